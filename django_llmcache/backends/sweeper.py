"""The thread that removes what has expired and nobody asks for."""

from __future__ import annotations

import os
import threading
import weakref
from queue import Empty, SimpleQueue
from typing import Any, Protocol

_Stop = SimpleQueue[None]  # its put() may be called from a finaliser, wherever that runs; an Event's set() may not


class Sweepable(Protocol):
    """What has something to sweep."""

    def sweep(self) -> Any:
        """Remove what has expired."""


class Sweeper:
    """A daemon thread that sweeps a backend every ``interval`` seconds.

    It ends when it is stopped, when nobody holds the backend any more, and when the process exits. A fork leaves it
    behind: ``pid`` is the process that it runs in.
    """

    def __init__(self, backend: Sweepable, *, interval: float) -> None:
        self.pid = os.getpid()
        stop: _Stop = SimpleQueue()
        self._finalizer = weakref.finalize(backend, stop.put, None)
        self._thread = threading.Thread(
            target=_sweep_until,
            args=(stop, weakref.ref(backend), min(interval, threading.TIMEOUT_MAX)),
            name="llmcache-sweeper",
            daemon=True,
        )

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: the process can't have another thread, or is about to exit.
        """
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and wait for the end of a sweep unless this thread is doing it."""
        self._finalizer()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)


def _sweep_until(stop: _Stop, held: weakref.ref[Sweepable], interval: float) -> None:
    while True:
        try:
            return stop.get(timeout=interval)
        except Empty:
            backend = held()
        if backend is None:
            return None
        backend.sweep()
        del backend  # nobody may hold it now but this thread, which must not keep it through the next wait
