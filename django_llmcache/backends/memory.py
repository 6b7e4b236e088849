"""The in-process backend: bounded in entries and bytes, lock-free to hit.

A hit is one ``dict.get`` and a comparison, both single steps under the interpreter's lock, so readers wait for
nobody. Whatever changes the store holds one lock. The dictionary is split into shards of a few thousand entries, so
that no ``put`` waits for a large one to be rebuilt. Eviction gives a second chance (CLOCK; Corbató, 1968): what was
read since the hand last passed is kept once more.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import Any, Final

from django_llmcache.counting import Counter
from django_llmcache.entry import Entry, Selector
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.locks import fork_safe_lock

from .base import BackendStats, BaseBackend
from .clearlog import ClearLog
from .held import Held, Noted, set_read
from .lease import Leases
from .sweeper import Sweeper

MAX_ENTRIES: Final = 10_000
MAX_BYTES: Final = 256 * 1024 * 1024

_ENTRIES_A_SHARD: Final = 4800
"""On average. A dictionary of 8192 slots holds 5461 before it grows, and chance gives some shards more than others."""
_TAGS_AN_ENTRY: Final = 8
_MOST_SHARDS: Final = 1024
_CHANCES: Final = 8
"""Entries that one eviction passes over because they were read; a store where all were read must not stop a put."""

logger = logging.getLogger("django_llmcache")
_lock = fork_safe_lock()
"""Held by whatever changes a store, or reads more than one entry's worth of it: every in-process store's one lock."""


class MemoryBackend(BaseBackend):
    """Keep entries in this process.

    ``OPTIONS``: ``MAX_ENTRIES`` (10,000) and ``MAX_BYTES`` (256 MiB), hard limits of what ``stats`` shows.
    """

    name = "memory"
    in_process = True
    immediate = True

    def __init__(self, options: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(options, **settings)
        if unknown := sorted(set(map(str, self.options)) - {"MAX_ENTRIES", "MAX_BYTES"}):
            raise ConfigurationError(
                f"settings.LLMCACHE['OPTIONS'] has {', '.join(unknown)}; "
                "MemoryBackend knows MAX_ENTRIES and MAX_BYTES alone."
            )
        self.max_entries = _limit(self.options, "MAX_ENTRIES", MAX_ENTRIES)
        self.max_bytes = _limit(self.options, "MAX_BYTES", MAX_BYTES)
        self._split = min(_MOST_SHARDS, math.ceil(self.max_entries / _ENTRIES_A_SHARD))
        self._shards: list[dict[str, Held]] = [{} for _ in range(self._split)]
        self._hand = 0
        self._count = 0
        self._bytes = 0
        self._clears = ClearLog()
        self._leases = Leases(self.clock)
        self._tags: set[str] = set()
        self._older_tags: set[str] = set()
        self._sweeper: Sweeper | None = None
        self.count_anew()

    def count_anew(self) -> None:
        self._hits, self._misses = Counter(), Counter()
        self._puts = 0
        self._errors = 0
        self._evictions: dict[str, int] = {}

    def get(self, key: str) -> Entry | None:
        shard = self._shards[hash(key) % self._split]
        held = shard.get(key) or _look_again(shard, key)
        if held is None:
            next(self._misses.steps)
            return None
        if held.deadline <= self.clock():
            self._remove(held, "expired")
            next(self._misses.steps)
            return None
        if not held.read:
            set_read(held, True)
        next(self._hits.steps)
        return held

    def put(self, entry: Entry, mark: Hashable = None) -> bool:
        return self.keep(entry, entry.ttl, mark)

    def keep(self, entry: Entry, seconds: float | None, mark: Hashable = None, note: Any = None) -> bool:
        """Store the entry for so many seconds (``None`` for ever), whatever its own ``ttl``; else as ``put``.

        One with a note is not kept beyond that.

        Args:
            entry: as ``put`` takes it.
            seconds: from now.
            mark: as ``put`` takes it.
            note: to be had with the entry by ``noted``.
        """
        size = entry.size
        if size > self.max_bytes or not (seconds is None or seconds > 0):
            return False
        deadline = math.inf if seconds is None else self.clock() + seconds
        late = entry.stale_for
        new = Held(entry, deadline + late, late) if note is None else Noted(entry, deadline, note)
        with _lock:
            if isinstance(mark, int) and self._clears.concerns(mark, entry):
                return False
            shard = self._shard(new.key)
            old = shard.get(new.key)
            gone = self._make_room(size, old)
            shard[new.key] = new
            self._count += old is None
            self._bytes += size - (old.size if old else 0)
            self._puts += 1
            if entry.tags:
                self._know(entry.tags)
            sweeper = self._new_sweeper()
        for held, reason in gone:
            self._tell(held, reason)
        if sweeper is not None:
            self._start(sweeper)
        return True

    def lateness(self, entry: Entry) -> float:
        return self.clock() - entry.deadline + entry.stale_for if isinstance(entry, Held) else 0.0

    def mark(self) -> int:
        return self._clears.mark

    def expect(self, tags: Collection[str]) -> None:
        with _lock:
            self._know(tags)

    def delete(self, key: str) -> bool:
        with _lock:
            self._clears.add(Selector(key=key))
            held = self._shard(key).get(key)
        return held is not None and self._remove(held, "deleted") == "deleted"

    def clear(self, selector: Selector) -> int:
        with _lock:
            self._clears.add(selector)
        shards = self._shards if selector.key is None else [self._shard(selector.key)]
        removed = [self._remove(held, "cleared") for shard in shards for held in _all(shard) if selector.matches(held)]
        return removed.count("cleared")

    def expire(self, tags: Collection[str]) -> Collection[str]:
        # Those that an entry may have: to look through all entries for each would take long.
        return super().expire({tag for tag in tags if tag in self._tags or tag in self._older_tags})

    def entries(self) -> Iterator[Entry]:
        for shard in self._shards:
            now = self.clock()
            yield from (held for held in _all(shard) if held.deadline > now)

    def stats(self) -> BackendStats:
        with _lock:
            return BackendStats(
                entries=self._count,
                bytes=self._bytes,
                hits=self._hits.value,
                misses=self._misses.value,
                puts=self._puts,
                evictions=dict(self._evictions),
                errors=self._errors,
            )

    def sweep(self) -> int:
        """Remove what has expired; return how many."""
        swept = 0
        for shard in self._shards:
            now = self.clock()
            expired = [held for held in _all(shard) if held.deadline <= now]
            swept += [self._remove(held, "expired") for held in expired].count("expired")
            time.sleep(0)  # let others run: a million entries take longer than one turn of the interpreter
        return swept

    def close(self) -> None:
        with _lock:
            sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.stop()

    def acquire(self, key: str, token: str, seconds: float) -> bool:
        with _lock:
            return self._leases.take(key, token, seconds)

    def release(self, key: str, token: str) -> None:
        with _lock:
            self._leases.give_back(key, token)

    def _shard(self, key: str) -> dict[str, Held]:
        return self._shards[hash(key) % self._split]

    def _know(self, tags: Collection[str]) -> None:
        """Note tags that entries have or will have. Those of entries that are gone are forgotten now and then."""
        self._tags.update(tags)
        if len(self._tags) > _TAGS_AN_ENTRY * self.max_entries:
            self._older_tags = self._tags  # some are of answers that are on their way
            self._tags = set().union(*(held.tags for shard in self._shards for held in shard.values()))

    def _make_room(self, size: int, old: Held | None) -> list[tuple[Held, str]]:
        """Drop entries until a new one of ``size`` bytes fits in the place of ``old``; return them with the reason."""
        most_entries = self.max_entries - (old is None)
        most_bytes = self.max_bytes - size + (old.size if old else 0)
        gone = []
        while self._count > most_entries or self._bytes > most_bytes:
            now = self.clock()
            held = self._choose(now, spared=old)
            reason = "capacity" if held.deadline > now else "expired"
            self._drop(held, reason)
            gone.append((held, reason))
        return gone

    def _choose(self, now: float, *, spared: Held | None) -> Held:
        """Return the entry to drop: the first that the hand meets at the front of a shard and that was not read."""
        chances = _CHANCES
        while True:
            shard = self._shards[self._hand]
            self._hand = (self._hand + 1) % self._split
            held = next(iter(shard.values()), None)
            if held is None:
                continue
            if held is not spared and (not held.read or chances <= 0 or held.deadline <= now):
                return held
            chances -= 1
            set_read(held, False)
            shard[held.key] = shard.pop(held.key)  # to the back

    def _drop(self, held: Held, reason: str) -> None:
        del self._shard(held.key)[held.key]
        self._count -= 1
        self._bytes -= held.size
        self._evictions[reason] = self._evictions.get(reason, 0) + 1

    def _remove(self, held: Held, reason: str) -> str | None:
        """Remove this very entry; return the reason that it left for, ``None`` when it had left before."""
        if held.deadline <= self.clock():
            reason = "expired"
        with _lock:
            if self._shard(held.key).get(held.key) is not held:
                return None
            self._drop(held, reason)
        self._tell(held, reason)
        return reason

    def _tell(self, held: Held, reason: str) -> None:
        try:
            self.on_evict(held, reason)
        except Exception:
            with _lock:
                self._errors += 1
                first = self._errors == 1
            if first:
                logger.exception("on_evict raised; the entry is gone, the call goes on, and stats() counts the next.")

    def _new_sweeper(self) -> Sweeper | None:
        """Return a sweeper to start, where this process has none: on first use, and anew in a forked child."""
        if self._sweeper is not None and self._sweeper.pid == os.getpid():
            return None
        self._sweeper = Sweeper(self, interval=self.cleanup_interval)
        return self._sweeper

    def _start(self, sweeper: Sweeper) -> None:
        try:
            sweeper.start()
        except RuntimeError:  # no thread to be had: what expired still goes when it is met, and the next put tries
            with _lock:
                self._sweeper = None if self._sweeper is sweeper else self._sweeper


def _look_again(shard: dict[str, Held], key: str) -> Held | None:
    """Look under the lock, before it is called a miss: the hand may have been moving the entry."""
    with _lock:
        return shard.get(key)


def _all(shard: dict[str, Held]) -> list[Held]:
    """Return the entries of a shard, under the lock: the hand may be moving one, which a clear must not miss."""
    with _lock:
        return list(shard.values())


def _limit(options: Mapping[str, Any], name: str, default: int) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"settings.LLMCACHE['OPTIONS'][{name!r}] is {value!r}; give a whole number from 1.")
    return value
