"""What a backend promises: storage only, no policy."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from django_llmcache.entry import Entry, Selector

OnEvict = Callable[[Entry, str], None]
"""Called with each entry removed and why: ``expired``, ``capacity``, ``deleted`` or ``cleared``."""


class BackendStats(NamedTuple):
    """What a backend holds and what it did since it was made.

    Attributes:
        entries: how many it holds, the expired ones that nobody has met yet among them.
        bytes: the sum of their ``Entry.size``.
        hits, misses: reads that found an entry, and that did not.
        puts: entries stored, those that took another's place among them.
        evictions: entries removed, by reason.
        errors: what failed inside the backend and was not raised.
    """

    entries: int
    bytes: int
    hits: int
    misses: int
    puts: int
    evictions: dict[str, int]
    errors: int

    @property
    def hit_rate(self) -> float:
        """Return the share of reads that found an entry, from 0 to 1; 0 when there was none."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0


def ignore_evictions(entry: Entry, reason: str) -> None:
    """Take no notice."""


class BaseBackend(ABC):
    """Where entries live. Every method may be called from any thread.

    Args:
        options: ``LLMCACHE["OPTIONS"]``.
        on_evict: told of every entry that is removed. What it raises breaks nothing.
        clock: monotonic seconds; tests inject their own.
        cleanup_interval: seconds between sweeps, where the backend sweeps itself.

    Raises:
        ConfigurationError: an option that cannot work.
    """

    name = "base"
    in_process = False
    """Whether every process has a store of its own, so that a shell must reach the workers to clear it."""

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        on_evict: OnEvict = ignore_evictions,
        clock: Callable[[], float] = time.monotonic,
        cleanup_interval: float = 300,
    ) -> None:
        self.options = dict(options or {})
        self.on_evict = on_evict
        self.clock = clock
        self.cleanup_interval = cleanup_interval

    @abstractmethod
    def get(self, key: str) -> Entry | None:
        """Return the entry, or ``None`` when there is none that is still good."""

    @abstractmethod
    def put(self, entry: Entry, mark: int | None = None) -> bool:
        """Store the entry under ``entry.key``, in the place of another that has this key.

        Args:
            entry: what to store; it expires ``entry.ttl`` seconds from now, however often it is read.
            mark: what ``mark()`` gave before the answer was asked for; an answer asked for before a clear that
                concerns it is not stored.

        Returns:
            Whether it was stored. A ``ttl`` of zero stores nothing, nor does an entry larger than the whole store.
        """

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Remove one entry; return whether there was one that was still good."""

    @abstractmethod
    def clear(self, selector: Selector) -> int | None:
        """Remove what the selector names; return how many were still good, ``None`` when it can't count."""

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield the entries that are still good, as they are met: others may come and go meanwhile."""

    @abstractmethod
    def stats(self) -> BackendStats:
        """Return what it holds and did."""

    def mark(self) -> int:
        """Return a stamp to hand to ``put`` later."""
        return 0

    def acquire(self, key: str, token: str, seconds: float) -> bool:
        """Take the lock on a key, which keeps others from asking a provider for the same answer.

        Args:
            key: the answer's.
            token: who takes it; nobody else can release it.
            seconds: after which it is free again, whatever became of its holder.

        Returns:
            Whether it was free. A backend that only this process uses needs no lock, and says so each time.
        """
        return True

    def release(self, key: str, token: str) -> None:  # noqa: B027 - nothing was taken
        """Give the lock back, where this token has it."""

    def count_anew(self) -> None:  # noqa: B027 - most are counted elsewhere
        """Count from zero, as a child does after a fork: what its parent counted is the parent's."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of threads and connections. A backend that is used again takes them up again."""
