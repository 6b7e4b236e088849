"""Two tiers: a memory of this process' own before a store that all processes share.

What the near tier has it holds against the stamps of the far one (see ``generations``), which it asks for once a second
and not at each hit. So a clear anywhere is seen here within that second and the time of one round trip. While the far
tier is away, the stamps that were asked for last count, however old they are. What this process clears itself is gone
from the near tier at once, what a look-up is about to take there included.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import Any, Final
from weakref import WeakMethod

from django_llmcache.counting import Counter
from django_llmcache.counts import Batch, SiteCounts
from django_llmcache.entry import Entry, Selector

from .base import BackendStats, BaseBackend, Found, OnEvict, ignore_evictions
from .breaker import Breaker
from .django_cache import DjangoCacheBackend
from .generations import DELETIONS, Ledger, Mark
from .held import noted
from .memory import MemoryBackend
from .options import SHARED, refuse_unknown
from .stamping import Now
from .steps import EVERYTHING, Look, Put
from .stores import Alias

CHECK_EVERY: Final = 1.0
"""Seconds for which stamps are taken to be in force."""

_NEAR: Final = ("MAX_ENTRIES", "MAX_BYTES")
_STAMPS_KEPT: Final = 10_000
_NONE: Final = ""
"""The stamp that no entry bears: what is near and has the group is gone, without a search for it."""


class TieredBackend(BaseBackend):
    """Keep entries in an alias of ``CACHES``, and those that this process used lately in its memory too.

    ``OPTIONS``: those of ``DjangoCacheBackend`` for the far tier, ``MAX_ENTRIES`` and ``MAX_BYTES`` for the near one.

    Args:
        options, on_evict, cleanup_interval: as ``BaseBackend``; told of what leaves the near tier.
        clock: monotonic seconds, of this process.
        wall_clock: seconds since the epoch, which all processes have in common.
    """

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        on_evict: OnEvict = ignore_evictions,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        cleanup_interval: float = 300,
    ) -> None:
        super().__init__(options, on_evict=on_evict, clock=clock, cleanup_interval=cleanup_interval)
        refuse_unknown(self.options, (*SHARED, *_NEAR), type(self).__name__)
        shared = {name: value for name, value in self.options.items() if name not in _NEAR}
        own = {name: value for name, value in self.options.items() if name in _NEAR}
        self.far = DjangoCacheBackend(shared, clock=wall_clock)
        self.far.payer.hear = WeakMethod(self._hear)
        self.near = MemoryBackend(own, on_evict=on_evict, clock=clock, cleanup_interval=cleanup_interval)
        self.name = f"memory over {self.far.name}"
        self.in_process = self.far.in_process
        self._wall_clock = wall_clock
        self._stamps: dict[str, tuple[str, float]] = {}
        self._most_stamps = _STAMPS_KEPT
        self._ledger: tuple[Ledger, float] | None = None
        self._cleared = -math.inf
        self.count_anew()

    def count_anew(self) -> None:
        self._hits, self._misses = Counter(), Counter()
        self.near.count_anew()
        self.far.count_anew()

    @property
    def breaker(self) -> Breaker:
        """Return what leaves the far tier alone while it fails."""
        return self.far.breaker

    @property
    def alias(self) -> Alias:
        """Return the alias of the far tier."""
        return self.far.alias

    def has_to_clear(self, entry: Entry) -> bool:
        return self.far.has_to_clear(entry)

    def get(self, key: str) -> Entry | None:
        return self.find(key).entry

    def at_hand(self, key: str) -> Entry | None:
        held = self.near.get(key)
        if held is None or self.far.owed.concerns(held):
            return None
        if not self._holds(held, noted(held), self.clock() - CHECK_EVERY):
            return None
        next(self._hits.steps)
        return held

    def find(self, key: str, groups: tuple[str, ...] = ()) -> Found:
        held = self.near.get(key)
        if held is not None and not self.far.owed.concerns(held):
            mark: Mark = noted(held)
            asked = self.clock()
            holds = self._holds(held, mark, asked - CHECK_EVERY)
            if holds is None:
                try:
                    holds = not self._learnt(self.far.stamps(_groups(mark)), asked).overtook(mark, held)
                except Exception:  # the far tier is away: what nobody is known to have cleared is as good as it was
                    holds = self._holds(held, mark, -math.inf) is not False
            if holds:
                return self._hit(held, mark)
            self.near.delete(key)
        asked = self.clock()
        return self._from_far(key, self.far.look(key, (*groups, DELETIONS)), asked)

    async def afind(self, key: str, groups: tuple[str, ...] = ()) -> Found:
        held = self.near.get(key)
        if held is not None and not self.far.owed.concerns(held):
            mark: Mark = noted(held)
            asked = self.clock()
            holds = self._holds(held, mark, asked - CHECK_EVERY)
            if holds is None:
                try:
                    holds = not self._learnt(await self.far.astamps(_groups(mark)), asked).overtook(mark, held)
                except Exception:  # as above
                    holds = self._holds(held, mark, -math.inf) is not False
            if holds:
                return self._hit(held, mark)
            self.near.delete(key)
        asked = self.clock()
        return self._from_far(key, await self.far.alook(key, (*groups, DELETIONS)), asked)

    def put(self, entry: Entry, mark: Hashable = None) -> bool:
        asked = self.clock()
        return self._kept(entry, self.far.keep(entry, mark, (DELETIONS,)), asked)

    async def aput(self, entry: Entry, mark: Hashable = None) -> bool:
        asked = self.clock()
        return self._kept(entry, await self.far.akeep(entry, mark, (DELETIONS,)), asked)

    def mark(self) -> Hashable:
        return self.far.mark()

    def rehearse_clear(self) -> None:
        self.far.rehearse_clear()

    def delete(self, key: str) -> bool:
        try:
            return self.far.delete(key)
        finally:
            self._cleared = self.clock()
            self.near.delete(key)

    def clear(self, selector: Selector) -> None:
        try:
            self.far.clear(selector)
        finally:
            self._cleared = self.clock()
            self.near.clear(selector)

    def expire(self, tags: Collection[str]) -> Collection[str]:
        return self.far.expire(tags)

    @property
    def clears_tried(self) -> int:
        return self.far.clears_tried

    def entries(self) -> Iterator[Entry]:
        """Yield what this process has in its memory: the caches of Django can't be listed."""
        return self.near.entries()

    def stats(self) -> BackendStats:
        far = self.far.stats()
        return far._replace(
            hits=self._hits.value,
            misses=self._misses.value,
            evictions=self.near.stats().evictions,
        )

    def add_counts(self, batch: Batch) -> bool:
        return self.far.add_counts(batch)

    def site_counts(self) -> SiteCounts | None:
        return self.far.site_counts()

    def close(self) -> None:
        self.near.close()
        self.far.close()

    def acquire(self, key: str, token: str, seconds: float) -> bool:
        return self.far.acquire(key, token, seconds)

    def holder(self, key: str) -> str | None:
        return self.far.holder(key)

    def renew(self, key: str, token: str, seconds: float) -> None:
        self.far.renew(key, token, seconds)

    def release(self, key: str, token: str) -> None:
        self.far.release(key, token)

    def give_up(self, key: str, token: str) -> None:
        self.far.give_up(key, token)

    def has_given_up(self, key: str, token: str) -> bool:
        return self.far.has_given_up(key, token)

    def _hear(self, tags: Collection[str]) -> None:
        """Take nothing near for good that has a tag which was cleared; until now it was owed."""
        self._cleared = now = self.clock()
        if EVERYTHING in tags:
            self.near.clear(Selector())
        for group in (f"t:{tag}" for tag in tags):
            if group in self._stamps:  # else nothing near bears it
                self._stamps[group] = (_NONE, now)

    def _hit(self, held: Entry, mark: Mark) -> Found:
        next(self._hits.steps)
        return Found(held, mark)

    def _from_far(self, key: str, look: Look, asked: float) -> Found:
        """Take what the far tier has into the near one, for as long as it lasts there."""
        self._learnt(look.now, asked)
        entry, packed = look.found.entry, look.packed
        if entry is None or packed is None:
            next(self._misses.steps)
            return look.found
        left = None if packed.expires is None else packed.expires - self._wall_clock()
        # Nothing, where it is kept beyond its time.
        self._take(entry, left, packed.mark, look.now.stamps.get(DELETIONS), asked)
        next(self._hits.steps)
        return look.found

    def _kept(self, entry: Entry, put: Put | None, asked: float) -> bool:
        if put is None:
            return False
        self._learnt(put.now, asked)
        self._take(entry, entry.ttl, put.mark, put.now.stamps.get(DELETIONS), asked)
        return True

    def _take(self, entry: Entry, seconds: float | None, mark: Mark, deletions: str | None, asked: float) -> None:
        """Keep an entry near, against the stamps that it bears and that of the last deletion before it was read.

        Not what this process may have cleared since it was asked for: of that the stamps that are known may not tell.
        """
        if deletions is None:
            return
        held = mark._replace(groups=(*mark.groups, (DELETIONS, deletions)))
        self.near.keep(entry, seconds, note=held)
        if asked < self._cleared:  # looked at afterwards, so that a clear meets the entry, or the entry the clear
            self.near.delete(entry.key)

    def _holds(self, held: Entry, mark: Mark, since: float) -> bool | None:
        """Return whether no clear has concerned an entry, ``None`` where the stamps were asked for before ``since``."""
        ledger = self._ledger
        if ledger is None or ledger[1] <= since:
            return None
        holds = not ledger[0].concerns(mark, held)
        for group, stamp in mark.groups:
            known = self._stamps.get(group)
            if known is None or known[1] <= since:
                return None
            holds = holds and known[0] == stamp
        return holds

    def _learnt(self, now: Now, asked: float) -> Now:
        """Note the stamps that were in force when they were asked for, or later."""
        if self._ledger is None or self._ledger[1] <= asked:
            self._ledger = (now.ledger, asked)
        for group, stamp in now.stamps.items():
            known = self._stamps.get(group)
            if known is None or known[1] <= asked:
                self._stamps[group] = (stamp, asked)
        if len(self._stamps) > self._most_stamps:
            self._forget_some()
        return now

    def _forget_some(self) -> None:
        """Forget the stamps of groups that nothing near is held against."""
        borne = {group for held in self.near.entries() for group, _ in noted(held).groups}
        for group in list(self._stamps):
            if group not in borne:
                self._stamps.pop(group, None)
        self._most_stamps = max(_STAMPS_KEPT, 2 * len(self._stamps))


def _groups(mark: Mark) -> tuple[str, ...]:
    return tuple(group for group, _ in mark.groups)
