"""The in-process backend: bounded in entries and bytes, lock-free to read.

Readers take no lock: a look-up is one ``dict.get`` and a comparison. Writers share one lock. The dictionary is
split into shards of a few thousand entries, so that no single ``put`` waits for a large one to be rebuilt.
Eviction gives a second chance (CLOCK; Corbató, 1968): an entry read since it was last looked at is kept once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, Final

from django_llmcache.entry import Entry, Selector
from django_llmcache.exceptions import ConfigurationError

from .base import BackendStats, BaseBackend

MAX_ENTRIES: Final = 10_000
MAX_BYTES: Final = 256 * 1024 * 1024
_ENTRIES_A_SHARD: Final = 4096
_CLEARS_KEPT: Final = 256


class _Item:
    """An entry with its deadline on the monotonic clock, and whether it was read lately."""

    __slots__ = ("deadline", "entry", "read")

    def __init__(self, entry: Entry, deadline: float) -> None:
        self.entry = entry
        self.deadline = deadline
        self.read = False


class MemoryBackend(BaseBackend):
    """Keep entries in this process.

    ``OPTIONS``: ``MAX_ENTRIES`` (10,000) and ``MAX_BYTES`` (256 MiB), both hard limits.
    """

    name = "memory"

    def __init__(self, options: Mapping[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(options, **settings)
        if unknown := sorted(set(self.options) - {"MAX_ENTRIES", "MAX_BYTES"}):
            raise ConfigurationError(
                f"settings.LLMCACHE['OPTIONS'] has {unknown}; MemoryBackend knows MAX_ENTRIES, MAX_BYTES."
            )
        self.max_entries = _limit(self.options, "MAX_ENTRIES", MAX_ENTRIES)
        self.max_bytes = _limit(self.options, "MAX_BYTES", MAX_BYTES)
        shards = 1
        while shards < 256 and shards * _ENTRIES_A_SHARD < self.max_entries:
            shards *= 2
        self._shards: list[dict[str, _Item]] = [{} for _ in range(shards)]
        self._mask = shards - 1
        self._lock = threading.RLock()
        self._count = 0
        self._bytes = 0
        self._hand = 0
        self._hits = count()
        self._misses = count()
        self._puts = 0
        self._evictions: dict[str, int] = {}
        self._clears: list[Selector] = []
        self._cleared_before = 0
        self._sweeper: _Sweeper | None = None
        self._sweeper_pid = 0

    def get(self, key: str) -> Entry | None:
        item = self._shards[hash(key) & self._mask].get(key)
        if item is None:
            next(self._misses)
            return None
        if item.deadline <= self.clock():
            self._remove(item, "expired")
            next(self._misses)
            return None
        item.read = True
        next(self._hits)
        return item.entry

    def put(self, entry: Entry, mark: int | None = None) -> bool:
        if entry.size > self.max_bytes or (entry.ttl is not None and entry.ttl <= 0):
            return False
        item = _Item(entry, float("inf") if entry.ttl is None else self.clock() + entry.ttl)
        gone: list[tuple[Entry, str]] = []
        with self._lock:
            if mark is not None and self._cleared_since(mark, entry):
                return False
            shard = self._shards[hash(entry.key) & self._mask]
            old = shard.get(entry.key)
            if old is not None:
                self._bytes -= old.entry.size
                self._count -= 1
                del shard[entry.key]
            self._make_room(entry.size, gone)
            shard[entry.key] = item
            self._count += 1
            self._bytes += entry.size
            self._puts += 1
        self._tell(gone)
        self._start_sweeper()
        return True

    def mark(self) -> int:
        return self._cleared_before + len(self._clears)

    def delete(self, key: str) -> bool:
        item = self._shards[hash(key) & self._mask].get(key)
        return item is not None and self._remove(item, "deleted")

    def clear(self, selector: Selector) -> int:
        with self._lock:
            self._clears.append(selector)
            if len(self._clears) > _CLEARS_KEPT:
                del self._clears[0]
                self._cleared_before += 1
        return sum(self._clear_shard(shard, selector) for shard in self._shards)

    def entries(self) -> Iterator[Entry]:
        now = self.clock()
        for shard in self._shards:
            yield from [item.entry for item in list(shard.values()) if item.deadline > now]

    def stats(self) -> BackendStats:
        hits, misses = (int(repr(counter)[6:-1]) for counter in (self._hits, self._misses))
        with self._lock:
            return BackendStats(self._count, self._bytes, hits, misses, self._puts, dict(self._evictions))

    def sweep(self) -> int:
        """Remove what has expired; return how many."""
        now = self.clock()
        swept = 0
        for shard in self._shards:
            for item in [item for item in list(shard.values()) if item.deadline <= now]:
                swept += self._remove(item, "expired")
        return swept

    def close(self) -> None:
        if self._sweeper is not None and self._sweeper_pid == os.getpid():
            self._sweeper.stop()
        self._sweeper = None

    def _cleared_since(self, mark: int, entry: Entry) -> bool:
        if mark < self._cleared_before:
            return True
        return any(selector.matches(entry) for selector in self._clears[mark - self._cleared_before :])

    def _make_room(self, size: int, gone: list[tuple[Entry, str]]) -> None:
        now = self.clock()
        while self._count and (self._count >= self.max_entries or self._bytes + size > self.max_bytes):
            shard = self._shards[self._hand]
            item = next(iter(shard.values()), None)
            if item is None:
                self._hand = (self._hand + 1) & self._mask
                continue
            if item.read and item.deadline > now:
                item.read = False
                shard[item.entry.key] = shard.pop(item.entry.key)
            else:
                reason = "capacity" if item.deadline > now else "expired"
                self._drop(shard, item, reason)
                gone.append((item.entry, reason))
            self._hand = (self._hand + 1) & self._mask

    def _drop(self, shard: dict[str, _Item], item: _Item, reason: str) -> None:
        del shard[item.entry.key]
        self._count -= 1
        self._bytes -= item.entry.size
        self._evictions[reason] = self._evictions.get(reason, 0) + 1

    def _remove(self, item: _Item, reason: str) -> bool:
        key = item.entry.key
        shard = self._shards[hash(key) & self._mask]
        with self._lock:
            if shard.get(key) is not item:
                return False
            self._drop(shard, item, reason)
        self.on_evict(item.entry, reason)
        return True

    def _clear_shard(self, shard: dict[str, _Item], selector: Selector) -> int:
        matching = [item for item in list(shard.values()) if selector.matches(item.entry)]
        return sum(self._remove(item, "cleared") for item in matching)

    def _tell(self, gone: list[tuple[Entry, str]]) -> None:
        for entry, reason in gone:
            self.on_evict(entry, reason)

    def _start_sweeper(self) -> None:
        """Start the sweeper on first use, and anew in a forked child, which has the data but not the thread."""
        if self._sweeper_pid != os.getpid():
            self._sweeper_pid = os.getpid()
            self._lock = threading.RLock() if self._sweeper is not None else self._lock
            self._sweeper = _Sweeper(self.sweep, self.cleanup_interval)
            self._sweeper.start()


class _Sweeper(threading.Thread):
    def __init__(self, sweep: Callable[[], int], interval: float) -> None:
        super().__init__(name="llmcache-sweeper", daemon=True)
        self._sweep = sweep
        self._interval = interval
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(self._interval):
            self._sweep()

    def stop(self) -> None:
        self._stopped.set()
        self.join(timeout=5)


def _limit(options: Mapping[str, Any], name: str, default: int) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"settings.LLMCACHE['OPTIONS'][{name!r}] is {value!r}; give a whole number from 1.")
    return value
