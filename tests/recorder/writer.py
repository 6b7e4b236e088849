"""Writes fixtures to a folder in a process of its own: `python -m tests.recorder.writer FOLDER NAME COUNT BYTES STEP`.

COUNT fixtures are written under one key that all writers share, and as many under keys of their own. At the STEP-th of
the steps that put a file on disk the process is killed, before the step is done; 0 is for never.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path

from django_llmcache.recorder.store import FixtureStore

from .made import fixture


def main(folder: str, name: str, number: str, size: str, step: str) -> None:
    if int(step):
        die_at(int(step))
    store = FixtureStore(Path(folder))
    body = b"%s " % name.encode() + b"\xff" * int(size)
    for index in range(int(number)):
        store.write(fixture(body, name="shared", take=name, sequence=index))
        store.write(fixture(body, name=f"{name} {index}", take=name))


def die_at(step: int) -> None:
    steps = count(1)

    def deadly(work):
        def instead(*args):
            if next(steps) == step:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
            return work(*args)

        return instead

    os.fsync = deadly(os.fsync)
    Path.replace = deadly(Path.replace)


if __name__ == "__main__":
    main(*sys.argv[1:])
