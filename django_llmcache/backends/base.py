"""What a backend promises: storage only, no policy."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

from asgiref.sync import sync_to_async

from django_llmcache.counts import Batch, SiteCounts
from django_llmcache.entry import Entry, Selector

Result = TypeVar("Result")

_MOST_THREADS: Final = 32

OnEvict = Callable[[Entry, str], None]
"""Called with each entry removed and why: ``expired``, ``capacity``, ``deleted`` or ``cleared``."""


class BackendStats(NamedTuple):
    """What a backend holds and what it did since it was made.

    Attributes:
        entries: how many it holds, the expired ones that nobody has met yet among them; ``None`` where it can't tell.
        bytes: the sum of their ``Entry.size``, ``None`` where it can't tell.
        hits, misses: reads that found an entry, and that did not.
        puts: entries stored, those that took another's place among them.
        evictions: entries removed, by reason.
        errors: what failed inside the backend and was not raised.
    """

    entries: int | None
    bytes: int | None
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


class Found(NamedTuple):
    """What a look-up found.

    Attributes:
        entry: the entry, or ``None`` when there is none that is still good.
        mark: to hand to ``put`` with the answer that is asked for instead.
        error: why what is stored there could not be read, where that is so.
        late: seconds since the entry expired, which is kept beyond that; 0 where it has not.
    """

    entry: Entry | None
    mark: Hashable
    error: Exception | None = None
    late: float = 0.0


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
    immediate = False
    """Whether it waits for nothing, neither a disk nor a network. Then it is asked by ``get``, on an event loop too."""

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
        """Return the entry, or ``None`` when there is none that is still good, or kept beyond that.

        It is kept for ``entry.stale_for`` seconds after it has expired; ``lateness`` tells.
        """

    def has_to_clear(self, entry: Entry) -> bool:
        """Return whether an entry is still to be cleared, since its store was away when what it is made of changed."""
        return False

    @property
    def clears_tried(self) -> int:
        """Return how much this process has asked to be cleared or deleted, where that may fail, what failed counted."""
        return 0

    def lateness(self, entry: Entry) -> float:
        """Return the seconds since an entry expired that ``get`` gave; not above 0 where it has not.

        To be asked of a backend that is ``immediate``; others tell by ``find``.
        """
        return 0.0

    @abstractmethod
    def put(self, entry: Entry, mark: Hashable = None) -> bool:
        """Store the entry under ``entry.key``, in the place of another that has this key.

        Args:
            entry: what to store; it expires ``entry.ttl`` seconds from now, however often it is read, and is kept for
                ``entry.stale_for`` seconds more.
            mark: what ``find`` or ``mark`` gave before the answer was asked for; an answer asked for before a clear
                that concerns it is not stored.

        Returns:
            Whether it was stored. A ``ttl`` of zero stores nothing, nor does an entry larger than the whole store.

        Raises:
            EntryTooLargeError: the store takes no value of this size.
        """

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Remove one entry; return whether there was one that was still good."""

    @abstractmethod
    def clear(self, selector: Selector) -> int | None:
        """Remove what the selector names; return how many were still good, ``None`` when it can't count."""

    def rehearse_clear(self) -> None:  # noqa: B027 - most have no store that could refuse
        """Do on the store what a clear does, and clear nothing; raises whatever is against it."""

    def expire(self, tags: Collection[str]) -> Collection[str]:
        """Remove what has one of these tags; return the tags that anything may have had."""
        for tag in tags:
            self.clear(Selector(tag=tag))
        return tags

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield the entries that are still good, as they are met: others may come and go meanwhile."""

    @abstractmethod
    def stats(self) -> BackendStats:
        """Return what it holds and did."""

    def mark(self) -> Hashable:
        """Return a stamp to hand to ``put`` later."""
        return 0

    def expect(self, tags: Collection[str]) -> None:  # noqa: B027 - most need not know
        """Hear, before the mark is taken, that an answer with these tags is on its way."""

    def at_hand(self, key: str) -> Entry | None:
        """Return an entry that is still good and can be had without waiting; others are to be asked for by ``find``."""
        return None

    def find(self, key: str, groups: tuple[str, ...] = ()) -> Found:
        """Return the entry and a stamp for ``put``, in one round trip where the store is elsewhere.

        Args:
            key: the entry's.
            groups: what an answer stored under this key could be cleared by beside provider and model, as
                ``groups_of`` names it.
        """
        entry = self.get(key)
        late = 0.0 if entry is None else max(0.0, self.lateness(entry))
        return Found(entry, self.mark(), late=late)

    async def afind(self, key: str, groups: tuple[str, ...] = ()) -> Found:
        """Do what ``find`` does without keeping the event loop waiting."""
        return await aside(self.find, key, groups)

    async def aput(self, entry: Entry, mark: Hashable = None) -> bool:
        """Do what ``put`` does without keeping the event loop waiting."""
        return self.put(entry, mark) if self.immediate else await aside(self.put, entry, mark)

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

    def holder(self, key: str) -> str | None:
        """Return the token of whoever has the lock on a key, ``None`` where it is free.

        After a colon, it is followed by what changes as long as that one is alive.
        """
        return None

    def renew(self, key: str, token: str, seconds: float) -> None:  # noqa: B027 - nothing was taken
        """Give a sign of life, where this token has the lock: it is free so many seconds from now."""

    def release(self, key: str, token: str) -> None:  # noqa: B027 - nothing was taken
        """Give the lock back, where this token has it."""

    def give_up(self, key: str, token: str) -> None:
        """Give the lock back, and note for those who wait that this token has nothing to share with them."""
        self.release(key, token)

    def has_given_up(self, key: str, token: str) -> bool:
        """Return whether this token has given the lock up lately; one that has lost it has not."""
        return False

    def add_counts(self, batch: Batch) -> bool:
        """Add what this process counted to what the whole site did; return whether that is kept."""
        return False

    def site_counts(self) -> SiteCounts | None:
        """Return what the whole site counted, ``None`` where every process keeps its own."""
        return None

    def count_anew(self) -> None:  # noqa: B027 - most are counted elsewhere
        """Count from zero, as a child does after a fork: what its parent counted is the parent's."""

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of threads and connections. A backend that is used again takes them up again."""


def groups_of(scope: str, tags: Iterable[str]) -> tuple[str, ...]:
    """Return the names of what an entry can be cleared by alone, beside its provider and model.

    Args:
        scope: the scope's digest as in the key, ``"-"`` when shared.
        tags: the entry's.
    """
    return (f"s:{scope}", *(f"t:{tag}" for tag in sorted(tags)))


async def aside(function: Callable[..., Result], *args: Any) -> Result:
    """Return what a function gives that waits for a disk or a network, called in a thread of its own kind.

    Not in the loop's default pool, which whatever else may fill, nor in Django's one shared thread. Where no thread is
    to be had, as at the end of the interpreter, the loop is kept waiting: better than that a call fails.
    """
    turns = [function]

    def work() -> Result:
        return turns.pop()(*args)  # once: a pool may keep what it could start no thread for

    try:
        return await sync_to_async(work, thread_sensitive=False, executor=_pool())()
    except RuntimeError:
        if not turns:
            raise  # the function's own
        return work()


_threads: tuple[int, ThreadPoolExecutor] | None = None


def _pool() -> ThreadPoolExecutor:
    global _threads
    pid = os.getpid()
    if _threads is None or _threads[0] != pid:  # a child has none of its parent's threads
        _threads = (pid, ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="llmcache-backend"))
    return _threads[1]
