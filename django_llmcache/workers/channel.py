"""The worker's end: hear of clears, tell of oneself."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from django_llmcache.endings import at_exit
from django_llmcache.entry import Selector
from django_llmcache.exceptions import BackendUnavailableError, ConfigurationError, LLMCacheError
from django_llmcache.telemetry import logger

from .clears import BEGINNING, Clears, Position
from .folder import Folder, run_dir
from .privacy import private_tmp_warning
from .reports import HEARTBEAT, WorkerReport, file_of

LOOK_EVERY: Final = 0.5
"""Seconds between two looks of the thread."""

OVERDUE: Final = 1.0
"""Seconds after a look when a call looks for itself, since the thread is late or could not start."""

PUBLISH_EVERY: Final = 2.0
"""Seconds between two writings of what changed, unless it is a clear."""

PATIENCE: Final = 0.25
"""Seconds that a call which is due waits for the look of another thread, such as on a file system that hangs."""

GIVEN_UP: Final = 30.0
"""Seconds without a look of its own after a call has waited in vain, unless the other thread comes back."""

_CLEARED_KEPT: Final = 64

Apply = Callable[[Selector], int | None]
"""Clears this process's backend; returns how many entries went, ``None`` when it can't count."""

Publish = Callable[[], Mapping[str, Any]]
"""Returns what to publish, as JSON can say it."""


class Channel:
    """One process as a worker: it follows the clears in ``RUN_DIR`` and publishes its counters there.

    A call compares ``due`` with the clock, and calls ``poll`` when it has passed; a thread makes that rare. Whatever
    fails here is logged once for each cause, and never fails a call.

    Args:
        find_folder: returns the folder's path; asked at each look, so that changed settings hold.
        clock: monotonic seconds.

    Attributes:
        due: when to call ``poll``, in seconds of the clock.
    """

    __slots__ = (
        "_acknowledged", "_apply", "_cleared", "_clock", "_closed", "_connected", "_find_folder", "_lock", "_path",
        "_pid", "_position", "_publish", "_stats", "_stop", "_thread", "_told", "_turn_of", "_written", "_written_at",
        "due",
    )  # fmt: skip

    def __init__(
        self, find_folder: Callable[[], Path] = run_dir, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.due = math.inf
        self._find_folder = find_folder
        self._clock = clock
        self._apply: Apply = _count_nothing
        self._publish: Publish = dict
        self._connected = False
        self._path: Path | None = None
        self._position: Position | None = None
        self._told: set[object] = set()
        self._closed = False
        self._begin()

    def connect(self, *, apply: Apply, publish: Publish) -> None:
        """Say how this process clears and what it publishes; without it the channel does nothing."""
        self._apply = apply
        self._publish = publish
        self._connected = True
        self.due = 0.0

    @property
    def listening(self) -> bool:
        """Return whether this process has shown itself as a worker."""
        return self._written is not None

    def poll(self) -> None:
        """Look at the folder now, and see to it that a thread goes on doing so."""
        if self._closed or not self._connected:
            self.due = math.inf
            return
        if self._pid != os.getpid():
            self.forked()
        with self._turn() as mine:
            if mine and self._clock() >= self.due:
                self._look(at_once=False)
                if self._thread is None:
                    self._start()

    def look(self, *, publish: bool = False) -> None:
        """Apply the clears that are new and publish what is due, be it due or not with ``publish``."""
        with self._turn() as mine:
            if mine:
                self._look(at_once=publish)

    def tell(self, selector: Selector) -> None:
        """Announce a clear that this process has applied by itself, and wait for nobody."""
        if self._pid != os.getpid():
            self.forked()
        with self._turn() as mine:
            try:
                clears = Clears(self._enter(self._find_folder()) if mine else Folder.make(self._find_folder()))
                if mine:
                    self._follow(clears)
                before = (self._position or BEGINNING).n
                n = clears.append(selector, after=before)
                if mine and n == before + 1:  # else it comes again, behind one of somebody else's
                    self._position = clears.at(n)
            except Exception as error:
                self._warn(error)

    def forked(self) -> None:
        """Begin anew in a child: with the clears its parent had seen, a thread and a file of its own."""
        self._begin()
        self.due = 0.0 if self._connected else math.inf

    def close(self) -> None:
        """Stop the thread and take this process's file away."""
        self._closed = True
        self.due = math.inf
        if self._pid != os.getpid():
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=1)
        if self._lock.acquire(timeout=1):  # unless the file system hangs
            self._leave()
            self._lock.release()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._turn_of = 0
        self._thread: threading.Thread | None = None
        self._cleared: dict[int, int | None] = {}
        self._acknowledged: Position | None = None
        self._stats: Mapping[str, Any] | None = None
        self._written: tuple[int, ...] | None = None
        self._written_at = -math.inf

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Hold the lock, and say so; not for a receiver of an eviction that the clear at hand has told of."""
        if self._turn_of == threading.get_ident():
            yield False
            return
        if not self._lock.acquire(timeout=PATIENCE):
            self.due = self._clock() + GIVEN_UP
            yield False
            return
        self._turn_of = threading.get_ident()
        try:
            yield not self._closed
        finally:
            self._turn_of = 0
            self._lock.release()

    def _look(self, *, at_once: bool) -> None:
        try:
            folder = self._enter(self._find_folder())
            try:
                self._follow(Clears(folder))
            finally:
                self._tell(folder, at_once=at_once)
        except Exception as error:
            # A clear could come while the folder can't be read: then what was announced before is not to be skipped.
            self._position = self._position or BEGINNING
            self._warn(error)
        # Only now, so that no call of another thread goes on before a clear that it is late for.
        self.due = self._clock() + OVERDUE

    def _start(self) -> None:
        thread = threading.Thread(target=self._watch, args=(self._stop,), name="llmcache-workers", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is going: the calls look for themselves
            self._warn(error)
        else:
            self._thread = thread

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_EVERY):
            self.look()

    def _enter(self, path: Path) -> Folder:
        if path == self._path:
            return Folder.make(path)
        self._leave()
        self._path = path
        self._position = None
        if warning := private_tmp_warning(path):
            logger.warning(warning)
        return Folder.make(path)

    def _leave(self) -> None:
        if self._path is not None and self._written is not None:
            self._written = None
            try:
                Folder(self._path).remove(file_of(self._pid))
            except OSError as error:
                self._warn(error)

    def _follow(self, clears: Clears) -> None:
        """Apply what is new; whoever comes with an empty store begins at the end."""
        self._position = self._position or clears.end()
        for position, selector in clears.since(self._position):
            if selector is not None:
                self._cleared[position.n] = self._apply(selector)
            self._position = position
        for n in sorted(self._cleared)[:-_CLEARED_KEPT]:
            del self._cleared[n]

    def _tell(self, folder: Folder, *, at_once: bool) -> None:
        now = self._clock()
        name = file_of(self._pid)
        if self._written is None:
            at_exit(self.close)  # again for each folder, so that it comes before the removal of a temporary one
            at_once = True
        elif self._position != self._acknowledged or folder.stamp(name) != self._written:
            at_once = True  # there is a clear to acknowledge, or somebody removed or damaged the file
        waited = now - self._written_at
        if waited < PUBLISH_EVERY and not at_once:
            return
        stats = self._publish()
        if stats == self._stats and waited < HEARTBEAT and not at_once:
            return
        seen = (self._position or BEGINNING).n
        report = WorkerReport.of_this_process(seen=seen, cleared=self._cleared, stats=stats)
        folder.write(name, report.as_dict())
        self._written = folder.stamp(name)
        self._written_at = now
        self._acknowledged = self._position
        self._stats = stats

    def _warn(self, error: Exception) -> None:
        if isinstance(error, BackendUnavailableError | ConfigurationError):
            return  # of the one the log has a line already, and the other is raised by every call
        cause = _cause(error)
        if cause not in self._told:
            self._told.add(cause)
            logger.warning(
                "This process hears of no clear from a shell and publishes no counters until this is mended; "
                "its calls go on. %s: %s", type(error).__name__, error,
            )  # fmt: skip


def _cause(error: Exception) -> tuple[object, ...]:
    """Return what is the same when the same thing fails again, whatever file or key it names."""
    if isinstance(error, OSError):
        return type(error), error.errno
    return (type(error), str(error)) if isinstance(error, LLMCacheError) else (type(error),)


def _count_nothing(selector: Selector) -> None:
    """Stand in until ``connect``."""
