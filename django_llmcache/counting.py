"""Counting without a lock, exactly."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final, Generic, NamedTuple, TypeVar

from .locks import fork_safe_lock

_reading = fork_safe_lock()
FOLDED_AT: Final = 1000
"""Additions that a tally keeps before they are summed."""

What = TypeVar("What")
Kind = TypeVar("Kind")


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


class Sum(NamedTuple):
    """How often something was added, and the sum of the numbers."""

    times: int = 0
    total: int = 0


class Tally(Generic[What, Kind]):
    """How often any thread has added a pair of numbers to something, and their sum, by the kind of thing.

    To add is to append to ``pending``; whoever finds more than ``FOLDED_AT`` there calls ``fold``, which alone takes a
    lock and does the sums.

    Args:
        kind_of: the kind that a thing is summed with, one of not too many.
    """

    __slots__ = ("_kind_of", "_sums", "pending")

    def __init__(self, kind_of: Callable[[What], Kind]) -> None:
        self.pending: deque[tuple[What, tuple[int, int]]] = deque()
        self._kind_of = kind_of
        self._sums: dict[Kind, list[int]] = {}

    @property
    def sums(self) -> dict[Kind, Sum]:
        """Return what was added, by kind."""
        with _reading:
            self.fold()
            return {kind: Sum(*summed) for kind, summed in self._sums.items()}

    def fold(self) -> None:
        """Take what is pending into the sums."""
        with _reading:
            last, summed, take = None, [0, 0], self.pending.popleft
            for _ in range(len(self.pending)):
                what, (one, other) = take()
                if what is not last:  # the same is often added many times on end
                    last, summed = what, self._sums.setdefault(self._kind_of(what), [0, 0])
                summed[0] += 1
                summed[1] += one + other
