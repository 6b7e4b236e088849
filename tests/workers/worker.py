"""A worker process for the tests: does what each line of stdin says, tells what it did on stdout in JSON lines.

Run as ``python -m tests.workers.worker '{"LLMCACHE": {…}, "BASE_DIR": …}' [--chroot FOLDER]``. Its store always
holds ten entries that any clear removes.
"""

from __future__ import annotations

import json
import os
import sys
from time import monotonic
from typing import Any


def tell(event: str, **details: Any) -> None:
    """Write one line in one step, since a parent and its children share stdout."""
    os.write(1, json.dumps({"event": event, "pid": os.getpid(), **details}).encode() + b"\n")


class Worker:
    """What a web process would do with its channel."""

    def __init__(self) -> None:
        from django_llmcache import workers

        self.calls = 0
        self.channel = workers.current()
        workers.connect(apply=self.apply, publish=lambda: {"calls": self.calls})

    def apply(self, selector: Any) -> int:
        tell("applied", selector=selector.as_dict())
        return 10

    def call(self) -> None:
        """Do what the hit path does."""
        self.calls += 1
        if monotonic() >= self.channel.due:
            self.channel.poll()

    def run(self) -> None:
        """Do as stdin says until it ends."""
        to_child = 0
        for line in sys.stdin:
            match line.split():
                case ["call"]:
                    self.call()
                    tell("called")
                case ["fork"]:
                    to_child = self.fork()
                case ["child", _]:
                    os.write(to_child, b"call")
                case ["die"]:
                    os.abort()

    def fork(self) -> int:
        """Fork a child that calls whenever it is told to; return where to tell it."""
        read, write = os.pipe()
        if child := os.fork():
            tell("forked", child=child)
            os.close(read)
            return write
        os.close(write)
        while os.read(read, 4):
            self.call()
            tell("called")
        self.channel.close()
        os._exit(0)


def main(settings: str, *options: str) -> None:
    """Configure Django, go to jail when asked to, and work."""
    from django.conf import settings as django_settings

    django_settings.configure(**json.loads(settings))
    worker = Worker()
    if options:
        os.chroot(options[1])
        os.chdir("/")
    tell("ready")
    worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
