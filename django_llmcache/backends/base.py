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
    """What a backend holds and did. ``evictions`` counts by reason; ``bytes`` is the entries' size in all."""

    entries: int
    bytes: int
    hits: int
    misses: int
    puts: int
    evictions: dict[str, int]


def ignore_evictions(entry: Entry, reason: str) -> None:
    """Take no notice."""


class BaseBackend(ABC):
    """Where entries live.

    Args:
        options: ``LLMCACHE["OPTIONS"]``.
        on_evict: told of every entry that is removed.
        clock: monotonic seconds; tests inject their own.
        cleanup_interval: seconds between sweeps, where the backend sweeps itself.
    """

    name = "base"

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
        """Store the entry under ``entry.key``.

        Args:
            entry: what to store.
            mark: what ``mark()`` gave before the answer was asked for; an answer asked for before a clear that
                concerns it is not stored.

        Returns:
            Whether it was stored.
        """

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Remove one entry; return whether it was there."""

    @abstractmethod
    def clear(self, selector: Selector) -> int | None:
        """Remove what the selector names; return how many, ``None`` when the backend can't count."""

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield the entries that are still good."""

    @abstractmethod
    def stats(self) -> BackendStats:
        """Return what it holds and did."""

    def mark(self) -> int:
        """Return a stamp to hand to ``put`` later."""
        return 0

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of threads and connections."""
