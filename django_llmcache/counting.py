"""Counting without a lock, exactly."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Final

from .locks import fork_safe_lock

_reading = fork_safe_lock()
_FOLDED_AT: Final = 1000


class Counter:
    """A count that any thread adds to by ``next(counter.steps)``: one step in C, which no other thread can split.

    ``n += 1`` is several steps and would need a lock on the hit path. ``itertools.count`` shows its value only by
    taking a step (reading its repr is a trick, pickling it is deprecated), so a look takes one and is counted too.
    """

    __slots__ = ("_looks", "steps")

    def __init__(self) -> None:
        self.steps = count()
        self._looks = 0

    @property
    def value(self) -> int:
        """Return how often it was added to."""
        with _reading:
            value = next(self.steps) - self._looks
            self._looks += 1
            return value


class Tally:
    """A sum that any thread adds to by ``add``, which takes no lock but once in a thousand times."""

    __slots__ = ("_count", "_pending", "_total")

    def __init__(self) -> None:
        self._pending: deque[int] = deque()
        self._count = 0
        self._total = 0

    def add(self, amount: int) -> None:
        """Add to the sum."""
        self._pending.append(amount)
        if len(self._pending) > _FOLDED_AT:
            self._fold()

    @property
    def value(self) -> int:
        """Return the sum."""
        self._fold()
        return self._total

    @property
    def count(self) -> int:
        """Return how often it was added to."""
        self._fold()
        return self._count

    def _fold(self) -> None:
        with _reading:
            for _ in range(len(self._pending)):
                self._total += self._pending.popleft()
                self._count += 1
