"""Any alias of ``CACHES``, through Django's own interface."""

from __future__ import annotations

import math
import os
import pickle
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from django.core.cache.backends.dummy import DummyCache

from django_llmcache.exceptions import BackendTimeoutError
from django_llmcache.locks import fork_safe_lock

from .base import Alias, Deadlines, Store

Result = TypeVar("Result")

THREADS: Final = 16
"""Operations under way at a time. Those of a store that hangs keep their threads until it lets go."""

DAMAGED: Final = (zlib.error, pickle.UnpicklingError, EOFError, ValueError)
"""What Django's caches raise of a file or a row that was cut short, or is none of theirs."""

_LAST_MOMENT: Final = datetime(9999, 12, 30, tzinfo=UTC).timestamp()


class LocMemStore(Store):
    """Django's ``LocMemCache`` or ``DummyCache``, which wait for nothing."""

    in_process = True

    def __init__(self, alias: Alias) -> None:
        self.name = _named(alias)
        self.keeps = not issubclass(alias.backend, DummyCache)
        self._cache = alias.made_with()

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        return _bytes_of(self._cache.get_many(keys))

    def write(self, key: str, value: bytes, seconds: float | None) -> None:
        self._cache.set(key, value, whole(seconds))

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        return bool(self._cache.add(key, value, whole(seconds)))

    def remove(self, key: str) -> None:
        self._cache.delete(key)

    def touch(self, key: str, seconds: float) -> None:
        self._cache.touch(key, whole(seconds))

    async def aread(self, keys: Sequence[str]) -> dict[str, bytes]:
        return self.read(keys)

    async def awrite(self, key: str, value: bytes, seconds: float | None) -> None:
        self.write(key, value, seconds)

    async def aadd(self, key: str, value: bytes, seconds: float | None) -> bool:
        return self.add(key, value, seconds)

    async def aremove(self, key: str) -> None:
        self.remove(key)

    async def atouch(self, key: str, seconds: float) -> None:
        self.touch(key, seconds)


class GuardedStore(Store):
    """The database, files, or a cache that we know nothing of: each operation in a thread, waited for so long alone.

    The thread has a database connection of its own as well. Inside the caller's transaction a lock would be held until
    that ends, and an error of the cache would end it.
    """

    def __init__(self, alias: Alias, deadlines: Deadlines) -> None:
        self.name = _named(alias)
        self._alias = alias
        self._deadlines = deadlines
        self._local = threading.local()
        self._lock = fork_safe_lock()
        self._pool: tuple[int, ThreadPoolExecutor] | None = None
        self._late = -math.inf

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        return _bytes_of(self._within(self._deadlines.read, lambda cache: _whole_of(cache, keys)))

    def write(self, key: str, value: bytes, seconds: float | None) -> None:
        self._within(self._deadlines.write, lambda cache: cache.set(key, value, whole(seconds)))

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        return bool(self._within(self._deadlines.write, lambda cache: cache.add(key, value, whole(seconds))))

    def remove(self, key: str) -> None:
        self._within(self._deadlines.write, lambda cache: cache.delete(key))

    def touch(self, key: str, seconds: float) -> None:
        self._within(self._deadlines.write, lambda cache: cache.touch(key, whole(seconds)))

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and pool[0] == os.getpid():
            pool[1].shutdown(wait=False, cancel_futures=True)

    def _within(self, seconds: float, work: Callable[[Any], Result]) -> Result:
        """Return what the work gives within so many seconds of its beginning.

        It may have to wait for a thread while others are in time. Once one of them was not, it waits no longer.
        """
        job = _Job(work)
        submitted = time.monotonic()
        try:
            future = self._threads().submit(self._do, job)
        except RuntimeError:  # the interpreter ends and gives no thread: the last counts are handed in from this one
            return self._do(job)
        left = seconds
        while True:
            try:
                return future.result(left)
            except TimeoutError:
                if future.done():
                    raise  # the store's own
            left = seconds if job.began is None else job.began + seconds - time.monotonic()
            if left <= 0 or (job.began is None and self._late >= submitted):
                future.cancel()
                self._late = time.monotonic()
                raise BackendTimeoutError(f"{self.name} took longer than {seconds:g} s.")

    def _do(self, job: _Job[Result]) -> Result:
        job.began = time.monotonic()
        try:
            return job.work(self._cache())
        finally:
            self._let_go()

    def _cache(self) -> Any:
        """Return this thread's cache: Django promises no other of one that many threads may use."""
        try:
            return self._local.cache
        except AttributeError:
            cache = self._local.cache = self._alias.made_with()
            return cache

    def _let_go(self) -> None:
        """Let go of what a thread has for one operation alone: nothing, of most."""

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None or self._pool[0] != os.getpid():  # a child has none of its parent's threads
                self._pool = (os.getpid(), ThreadPoolExecutor(THREADS, thread_name_prefix="llmcache-store"))
            return self._pool[1]


class _Job(Generic[Result]):
    """Something to be done, and since when it is."""

    def __init__(self, work: Callable[[Any], Result]) -> None:
        self.work = work
        self.began: float | None = None


def whole(seconds: float | None) -> int | None:
    """Return the time-out that Django's caches take, who know whole seconds alone: the next larger one.

    ``None`` for ever, as beyond what a database can count to.
    """
    return None if seconds is None or time.time() + seconds >= _LAST_MOMENT else max(1, math.ceil(seconds))


def _whole_of(cache: Any, keys: Sequence[str]) -> dict[str, Any]:
    """Return what is there; a value that is damaged is not, and is written anew as if there were none."""
    try:
        found: dict[str, Any] = cache.get_many(keys)
    except DAMAGED:
        found = {}
        for key in keys:
            with suppress(*DAMAGED):
                found[key] = cache.get(key)
    return found


def _named(alias: Alias) -> str:
    name = alias.backend.__name__.removesuffix("Cache").lower()
    return {"filebased": "file"}.get(name, name)


def _bytes_of(found: dict[str, Any]) -> dict[str, bytes]:
    return {key: value for key, value in found.items() if isinstance(value, bytes)}
