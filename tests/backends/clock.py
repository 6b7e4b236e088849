"""The time of a process, to hold deadlines against: a machine that has other work as well is not what is tested."""

from __future__ import annotations

import threading
import time

EVERY, LATE = 0.005, 0.02
"""Seconds between two looks, and those of them that a busy machine may take."""


class Clock:
    """Seconds, less those in which the machine did not wake a thread of this process that was only to sleep a moment.

    Outside its ``with`` block it is the machine's own clock.
    """

    def __init__(self) -> None:
        self._woken: float | None = None
        self._lost = 0.0

    def __enter__(self) -> None:
        self._woken = time.perf_counter()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._woken = None

    def now(self) -> float:
        """Return the seconds; it stands still while this process does."""
        if self._woken is None:
            return time.perf_counter() - self._lost
        with self._lock:
            return (now := time.perf_counter()) - self._lost - self._late(now)

    def _watch(self) -> None:
        while not self._over.wait(EVERY):
            with self._lock:
                now = time.perf_counter()
                self._lost += self._late(now)
                self._woken = now

    def _late(self, now: float) -> float:
        return max(0.0, now - self._woken - LATE)
