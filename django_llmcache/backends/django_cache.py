"""A backend over any alias of ``CACHES``: Redis, Memcached, the database, files.

Entries are bytes of our own (see ``packing``), and what is cleared is told by stamps beside them (see ``generations``).
What is done is written down in ``steps``; a store that fails is left alone for a while (see ``breaker``).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from threading import Semaphore
from typing import Any, Final
from weakref import WeakSet

from django.core.cache import caches

from django_llmcache.counting import Counter
from django_llmcache.counts import Batch, SiteCounts
from django_llmcache.entry import Entry, Selector

from . import locking
from .base import BackendStats, BaseBackend, Found, OnEvict, aside, groups_of, ignore_evictions
from .breaker import Breaker
from .generations import LEDGER
from .options import SharedOptions
from .packing import Packer
from .payer import Payer, concerned
from .perloop import PerLoop
from .sitecounts import Share, totalling
from .stamping import Now, Result, Steps
from .steps import EntrySteps, Look, Put
from .stores import Store, alias_of, store_of

_AT_ONCE: Final = 8
"""Operations under way at a time on one event loop; the others wait, and their deadlines have not begun."""


class DjangoCacheBackend(BaseBackend):
    """Keep entries in an alias of ``CACHES``, shared by all processes that use it.

    ``OPTIONS``: ``ALIAS`` (needed); ``READ_TIMEOUT`` (0.05) and ``WRITE_TIMEOUT`` (0.2), seconds that one operation may
    take; ``COMPRESS_OVER`` (32 KiB), bytes from which on an entry is compressed; ``MAX_VALUE_BYTES``, the largest value
    that the store takes (1,000,000 on Memcached, else none); ``ENCRYPT`` and ``ENCRYPTION_KEYS``, as docs/backends.md
    says.

    Args:
        options, on_evict, cleanup_interval: as ``BaseBackend``; the store evicts by itself and tells nobody.
        clock: seconds since the epoch, which all processes have in common.

    Attributes:
        payer: clears what has changed.
        owed: what of that is not cleared yet.
    """

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        on_evict: OnEvict = ignore_evictions,
        clock: Callable[[], float] = time.time,
        cleanup_interval: float = 300,
    ) -> None:
        super().__init__(options, on_evict=on_evict, clock=clock, cleanup_interval=cleanup_interval)
        self.settings = SharedOptions(self.options)
        packer = Packer(compress_over=self.settings.compress_over, cipher=self.settings.cipher())
        self._steps = EntrySteps(packer, lambda: self.clock())  # noqa: PLW0108 - tests set another
        self.payer = Payer(self._expire)
        self.owed = self.payer.owed
        self._clears = Counter()
        self.connect()
        self.name = f"{self._store.name} ({self.settings.alias})"
        self.in_process = self._store.in_process
        self.breaker = Breaker(self.name)
        self.count_anew()
        _made.add(self)

    def connect(self) -> None:
        """Take the alias as it is set now, with connections that this process has for itself."""
        self._aliases = caches.settings
        self.alias = alias_of(self.settings.alias)
        self._store: Store = store_of(self.alias, self.settings.deadlines)
        limit = self._store.at_once
        self._gate: AbstractContextManager[Any] = nullcontext() if limit is None else Semaphore(limit)
        self._gates: PerLoop[asyncio.Semaphore] = PerLoop()
        self._share = Share()

    def count_anew(self) -> None:
        self._hits, self._misses, self._puts, self._errors = Counter(), Counter(), Counter(), Counter()

    def get(self, key: str) -> Entry | None:
        return self.find(key).entry

    def find(self, key: str, groups: tuple[str, ...] = ()) -> Found:
        return self.look(key, groups).found

    async def afind(self, key: str, groups: tuple[str, ...] = ()) -> Found:
        return (await self.alook(key, groups)).found

    def look(self, key: str, groups: tuple[str, ...] = ()) -> Look:
        """Do what ``find`` does; return the stamps as well."""
        changes = self.owed.changes
        if changes:
            self.payer.settle(groups)
        look = self._run(self._steps.finding(key, groups))
        if changes and (entry := look.found.entry) is not None and concerned(changes, entry):
            self.payer.settle(groups_of(entry.scope, entry.tags))  # which the caller need not have named
            look = self._run(self._steps.finding(key, groups))
        return self._counted(look)

    async def alook(self, key: str, groups: tuple[str, ...] = ()) -> Look:
        """Do what ``look`` does on the event loop."""
        changes = self.owed.changes
        if changes:
            await aside(self.payer.settle, groups)
        look = await self._arun(self._steps.finding(key, groups))
        if changes and (entry := look.found.entry) is not None and concerned(changes, entry):
            await aside(self.payer.settle, groups_of(entry.scope, entry.tags))
            look = await self._arun(self._steps.finding(key, groups))
        return self._counted(look)

    def stamps(self, groups: tuple[str, ...]) -> Now:
        """Return the stamps in force."""
        return self._run(self._steps.reading(LEDGER, groups))[1]

    async def astamps(self, groups: tuple[str, ...]) -> Now:
        """Do what ``stamps`` does on the event loop."""
        return (await self._arun(self._steps.reading(LEDGER, groups)))[1]

    def mark(self) -> Hashable:
        return self._run(self._steps.marking())

    def put(self, entry: Entry, mark: Hashable = None) -> bool:
        return self.keep(entry, mark) is not None

    async def aput(self, entry: Entry, mark: Hashable = None) -> bool:
        return await self.akeep(entry, mark) is not None

    def keep(self, entry: Entry, mark: Hashable = None, others: tuple[str, ...] = ()) -> Put | None:
        """Do what ``put`` does; return under which stamps, of other groups too; ``None`` if it was not stored."""
        return self._count_put(self._run(self._steps.putting(entry, mark, self._largest, others)))

    async def akeep(self, entry: Entry, mark: Hashable = None, others: tuple[str, ...] = ()) -> Put | None:
        """Do what ``keep`` does on the event loop."""
        return self._count_put(await self._arun(self._steps.putting(entry, mark, self._largest, others)))

    def delete(self, key: str) -> bool:
        next(self._clears.steps)
        return self._store.keeps and self._run(self._steps.deleting(key))

    def clear(self, selector: Selector) -> None:
        next(self._clears.steps)
        if self._store.keeps:
            self._run(self._steps.clearing(selector))

    def rehearse_clear(self) -> None:
        if self._store.keeps:
            self._run(self._steps.rehearsing())

    def expire(self, tags: Collection[str]) -> Collection[str]:
        if not self._store.keeps:
            return ()
        next(self._clears.steps)
        return self.payer.expire(tags)

    @property
    def clears_tried(self) -> int:
        return self._clears.value

    def has_to_clear(self, entry: Entry) -> bool:
        return self.owed.concerns(entry)

    def entries(self) -> Iterator[Entry]:
        """Yield nothing: the caches of Django can't be listed."""
        return iter(())

    def stats(self) -> BackendStats:
        return BackendStats(
            entries=None,
            bytes=None,
            hits=self._hits.value,
            misses=self._misses.value,
            puts=self._puts.value,
            evictions={},
            errors=self._errors.value,
        )

    def add_counts(self, batch: Batch) -> bool:
        return not self.in_process and self._run(self._share.adding(batch, self.clock()))

    def site_counts(self) -> SiteCounts | None:
        return None if self.in_process else self._run(totalling(self.clock()))

    def close(self) -> None:
        self.payer.close()
        self._store.close()

    def acquire(self, key: str, token: str, seconds: float) -> bool:
        return self._run(locking.acquiring(key, token, seconds, self.clock()))

    def holder(self, key: str) -> str | None:
        return self._run(locking.holding(key))

    def renew(self, key: str, token: str, seconds: float) -> None:
        self._run(locking.renewing(key, token, seconds, self.clock()))

    def release(self, key: str, token: str) -> None:
        self._run(locking.releasing(key, token))

    def give_up(self, key: str, token: str) -> None:
        self._run(locking.giving_up(key, token))

    def has_given_up(self, key: str, token: str) -> bool:
        return self._run(locking.given_up(key, token))

    def _expire(self, tags: Collection[str]) -> Collection[str]:
        return self._run(self._steps.expiring(tags))

    def _run(self, steps: Steps[Result]) -> Result:
        if self._aliases is not caches.settings:
            self.connect()
        answer: Any = None
        try:
            while True:
                name, *args = steps.send(answer)
                if name == "sleep":
                    time.sleep(*args)
                    continue
                with self._gate:
                    self.breaker.check()
                    try:
                        answer = getattr(self._store, name)(*args)
                    except Exception as error:
                        self._fail(error, name)
                        raise
                self.breaker.succeed()
        except StopIteration as done:
            result: Result = done.value
            return result

    async def _arun(self, steps: Steps[Result]) -> Result:
        if self._aliases is not caches.settings:
            self.connect()
        answer: Any = None
        try:
            while True:
                name, *args = steps.send(answer)
                if name == "sleep":
                    await asyncio.sleep(*args)
                    continue
                async with self._gate_of_loop():
                    self.breaker.check()
                    try:
                        answer = await getattr(self._store, f"a{name}")(*args)
                    except Exception as error:
                        self._fail(error, name)
                        raise
                self.breaker.succeed()
        except StopIteration as done:
            result: Result = done.value
            return result

    @property
    def _largest(self) -> int | None:
        return self.settings.max_value_bytes or self._store.largest

    def _counted(self, look: Look) -> Look:
        next((self._misses if look.found.entry is None else self._hits).steps)
        return look

    def _count_put(self, put: Put | None) -> Put | None:
        if put is not None:
            next(self._puts.steps)
        return put

    def _fail(self, error: Exception, operation: str) -> None:
        next(self._errors.steps)
        if operation == "read" or not self._store.refuses(error):
            raise self.breaker.fail(error) from error

    def _gate_of_loop(self) -> asyncio.Semaphore:
        return self._gates.get() or self._gates.put(asyncio.Semaphore(min(_AT_ONCE, self._store.at_once or _AT_ONCE)))


_made: WeakSet[DjangoCacheBackend] = WeakSet()


def _connect_anew() -> None:
    """Leave the parent's connections to the parent: two processes on one would read each other's answers."""
    for backend in list(_made):
        backend.connect()
        backend.payer.take_over()
        backend.breaker = Breaker(backend.name)  # the parent's may be locked by a thread that the child doesn't have


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_connect_anew)
