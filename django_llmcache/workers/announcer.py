"""The shell's end: announce a clear to the workers, read what they publish."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from django_llmcache.entry import Selector

from .clears import Clears
from .folder import Folder, run_dir, unusable
from .reports import UNREADABLE, WorkerReport, live

TIMEOUT: Final = 5.0
"""Seconds to wait for the workers. They promise 2."""

_PAUSE: Final = 0.05


class Acknowledgement(NamedTuple):
    """One worker that applied a clear; ``cleared`` is how many entries went, ``None`` when it could not count."""

    pid: int
    cleared: int | None


class ClearReport(NamedTuple):
    """What became of a clear: its number, the workers that applied it, and the process ids of those that did not."""

    n: int
    acknowledged: tuple[Acknowledgement, ...]
    silent: tuple[int, ...]

    @property
    def cleared(self) -> int | None:
        """Return how many entries went in all, ``None`` when a worker could not count its own."""
        counts = [worker.cleared for worker in self.acknowledged if worker.cleared is not None]
        return sum(counts) if len(counts) == len(self.acknowledged) else None


def announce(
    selector: Selector,
    *,
    path: Path | None = None,
    timeout: float = TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> ClearReport:
    """Make every worker clear, and wait until each has acknowledged.

    A worker that is stopped or stuck applies the clear before it next answers from its cache.

    Args:
        selector: what to clear.
        path: the folder, ``run_dir()`` when ``None``.
        timeout: seconds to wait for those that do not acknowledge.
        clock: monotonic seconds.
        pause: called with seconds between two looks.

    Raises:
        RunDirError: the folder can't be used or trusted.
    """
    path = path or run_dir()
    deadline = clock() + timeout
    try:
        folder = Folder.make(path)
        clears = Clears(folder)
        before = live(folder)
        n = clears.append(selector, after=max((worker.seen for worker in before), default=0))
        known = {worker.pid for worker in before}
        while True:
            workers = _concerned(live(folder), n, known)
            if all(worker.seen >= n for worker in workers) or clock() >= deadline:
                break
            pause(_PAUSE)
        clears.prune()
        if not workers:
            os.utime(path, (0, 0))  # what other users see of a folder that no worker uses
    except OSError as error:
        raise unusable(path, error) from error
    return ClearReport(
        n,
        tuple(Acknowledgement(worker.pid, worker.cleared.get(n)) for worker in workers if worker.seen >= n),
        tuple(worker.pid for worker in workers if worker.seen < n),
    )


def published(*, path: Path | None = None) -> list[WorkerReport]:
    """Return what the workers that run last published, by process id.

    Raises:
        RunDirError: the folder can't be used or trusted.
    """
    path = path or run_dir()
    try:
        folder = Folder.existing(path)
        workers = [] if folder is None else live(folder)
    except OSError as error:
        raise unusable(path, error) from error
    return [worker for worker in workers if worker.seen != UNREADABLE]


def _concerned(workers: list[WorkerReport], n: int, known: set[int]) -> list[WorkerReport]:
    """Return the workers that had a store when clear ``n`` was announced; remember them in ``known``."""
    concerned = [worker for worker in workers if worker.pid in known or worker.seen < n or n in worker.cleared]
    known.update(worker.pid for worker in concerned)
    return concerned
