"""Start worker processes, talk to them, and see them ended."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 20
"""Seconds after which a test gives a process up."""


class WorkerProcess:
    """A process that runs ``tests.workers.worker``, or another module that heeds ``call``.

    Args:
        settings: Django's, as keywords for ``settings.configure``.
        module: what it runs.
        prefix: a command to run it under.
        options: of the script.
        environment: variables to add.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        *,
        module: str = "tests.workers.worker",
        prefix: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        command = [*prefix, sys.executable, "-m", module, json.dumps(settings, default=str), *options]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()
        self.errors: list[str] = []
        self.readers = [threading.Thread(target=self._hear), threading.Thread(target=self._hear_errors)]
        for reader in self.readers:
            reader.start()
        self.pid = self.expect("ready")["pid"]

    def say(self, line: str) -> None:
        """Give an order."""
        self.process.stdin.write(f"{line}\n")

    def expect(self, event: str) -> dict[str, Any]:
        """Return the next event, which must be this one."""
        heard = self.heard.get(timeout=PATIENCE)
        assert heard["event"] == event, (heard, self.errors)
        return heard

    def call(self) -> None:
        """Make it use its cache once, where nothing is to be cleared."""
        self.say("call")
        self.expect("called")

    def end(self) -> list[str]:
        """Let it end and return what it wrote to stderr."""
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.errors

    def _hear(self) -> None:
        for line in self.process.stdout:
            self.heard.put(json.loads(line))
        self.heard.put({"event": "end of output"})

    def _hear_errors(self) -> None:
        self.errors.extend(self.process.stderr)


class Crew:
    """The workers of one test, all ended after it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members: list[WorkerProcess] = []

    def hire(self, settings: dict[str, Any] | None = None, **options: Any) -> WorkerProcess:
        """Start a worker, on the folder ``path`` unless the settings say otherwise, and let it call once."""
        worker = WorkerProcess(settings or {"LLMCACHE": {"RUN_DIR": str(self.path)}}, **options)
        self.members.append(worker)
        worker.call()
        return worker

    def dismiss(self) -> None:
        """End all that still run."""
        for worker in self.members:
            if worker.process.stdin.closed:
                continue
            worker.end()
