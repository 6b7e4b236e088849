"""Memcached, through Django's ``PyMemcacheCache``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from django.core.cache import InvalidCacheKey
from pymemcache import Client, HashClient
from pymemcache.exceptions import MemcacheServerError, MemcacheUnexpectedCloseError

from django_llmcache.backends.serializers import RawSerde
from django_llmcache.exceptions import ConfigurationError, EntryTooLargeError

from .base import Alias, Deadlines, Store
from .deadline import TimedSocket
from .over_alias import whole

LARGEST: Final = 1_000_000
"""Bytes of a value: by default memcached takes items of 1 MiB, key and its own head included (memcached(1), ``-I``)."""

_LAST_MOMENT: Final = 2**31
"""Seconds since the epoch that memcached can count to; an entry knows by itself when its time is over."""

_NO_CAS: Final = b"0"
"""What a server says in place of a value's number that was told not to have any (memcached(1), ``-C``)."""

_HOW: Final[dict[str, Any]] = {
    "default_noreply": False,
    "ignore_exc": False,
    "max_pool_size": None,
    "no_delay": True,
    "serde": RawSerde(),
    "use_pooling": True,
}
"""What an alias may say to pymemcache that is not taken: whom to reach is the alias', how is ours.

With Django each thread has a client of its own, so that a pool's size limits nothing; ours would be full.
"""

_LONGEST_KEY: Final = 160
"""Bytes that a key of ours has at most, the alias' own prefix apart."""


class _Timed(Client):  # type: ignore[misc] # it has no types
    """One server, with a time-out for a whole command."""

    def _connect(self) -> None:
        super()._connect()
        connected: Any = self.sock  # type: ignore[has-type]
        self.sock = TimedSocket(connected)


class _Servers(HashClient):  # type: ignore[misc] # it has no types
    """Several servers, each with its keys. None is taken out of the rotation when it fails: the breaker sees to that.

    Its keys would go to the others meanwhile, a clear's stamps among them, and the old ones count again once it is
    back. And what pymemcache notes of failed servers is not for threads: two that fail at once can lose one for good.
    """

    client_class = _Timed

    def _mark_failed_server(self, server: Any) -> None:
        pass

    def drop_idle(self) -> None:
        """Close the connections that nobody uses: after a failure each could be broken, and fail a call of its own."""
        for client in self.clients.values():
            while client.client_pool.free:
                client.client_pool.destroy(client.client_pool.get())


class MemcachedStore(Store):
    """Values as bytes, with a pool of connections for reads and one for writes, since they have other deadlines."""

    name = "memcached"
    largest = LARGEST

    def __init__(self, alias: Alias, deadlines: Deadlines) -> None:
        self._reader, self._writer = (_made(alias, seconds) for seconds in deadlines)
        try:
            self._writer.make_and_validate_key("k" * _LONGEST_KEY)
        except InvalidCacheKey as error:
            raise ConfigurationError(
                f"settings.CACHES[{alias.name!r}] makes keys that are too long for Memcached, which takes 250 bytes, "
                f"{_LONGEST_KEY} of them ours; shorten its KEY_PREFIX."
            ) from error

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        with _used(self._reader) as cache:
            found: dict[str, bytes] = cache.get_many(keys)
        return found

    def write(self, key: str, value: bytes, seconds: float | None) -> None:
        try:
            with _used(self._writer) as cache:
                cache.set(key, value, _lasting(seconds))
        except MemcacheServerError as error:
            if "too large" in str(error):
                raise EntryTooLargeError(f"Memcached refused a value of {len(value)} bytes.") from error
            raise

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        with _used(self._writer) as cache:
            return bool(cache.add(key, value, _lasting(seconds)))

    def swap(self, key: str, old: bytes, new: bytes) -> bool | None:
        with _used(self._writer) as cache:
            name = cache.make_and_validate_key(key)
            found, unique = cache._cache.gets(name)  # Django has no way to it
            if unique == _NO_CAS:
                return None
            return found == old and bool(cache._cache.cas(name, new, unique))

    def remove(self, key: str) -> None:
        with _used(self._writer) as cache:
            cache.delete(key)

    def touch(self, key: str, seconds: float) -> None:
        with _used(self._writer) as cache:
            cache.touch(key, _lasting(seconds))

    def refuses(self, error: Exception) -> bool:
        ours = isinstance(error, EntryTooLargeError | MemcacheServerError)
        return ours and not isinstance(error, MemcacheUnexpectedCloseError)

    def close(self) -> None:
        for cache in (self._reader, self._writer):
            cache._cache.close()


def _made(alias: Alias, seconds: float) -> Any:
    cache = alias.made_with(**_HOW, timeout=seconds, connect_timeout=seconds)
    cache._class = _Servers
    cache._cache  # noqa: B018 - made now: of threads that came first at once, each would make one, and all but one leak
    return cache


@contextmanager
def _used(cache: Any) -> Iterator[Any]:
    try:
        yield cache
    except Exception:
        cache._cache.drop_idle()
        raise


def _lasting(seconds: float | None) -> int | None:
    """Return the time-out to give, ``None`` for ever, as where the moment is beyond what memcached can count to."""
    timeout = whole(seconds)
    return None if timeout is not None and time.time() + timeout >= _LAST_MOMENT else timeout
