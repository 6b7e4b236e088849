"""Memcached, through Django's ``PyMemcacheCache``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from django_llmcache.backends.serializers import RawSerde

from .base import Alias, Deadlines, Store
from .over_alias import whole

LARGEST: Final = 1_000_000
"""Bytes of a value: by default memcached takes items of 1 MiB, key and its own head included (memcached(1), ``-I``)."""

_SOON: Final = 1
"""Seconds after which pymemcache tries a server again that failed; its own 60 would outlast the server's return."""


_LAST_MOMENT: Final = 2**31
"""Seconds since the epoch that memcached can count to; an entry knows by itself when its time is over."""


class MemcachedStore(Store):
    """Values as bytes, with a pool of connections for reads and one for writes, since they have other deadlines."""

    name = "memcached"
    largest = LARGEST

    def __init__(self, alias: Alias, deadlines: Deadlines) -> None:
        self._reader, self._writer = (
            alias.made_with(
                serde=RawSerde(),
                use_pooling=True,
                timeout=seconds,
                connect_timeout=seconds,
                ignore_exc=False,
                retry_attempts=0,
                dead_timeout=_SOON,
                no_delay=True,
            )
            for seconds in deadlines
        )

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = self._reader.get_many(keys)
        return found

    def write(self, key: str, value: bytes, seconds: float | None) -> None:
        self._writer.set(key, value, _lasting(seconds))

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        return bool(self._writer.add(key, value, _lasting(seconds)))

    def remove(self, key: str) -> None:
        self._writer.delete(key)

    def touch(self, key: str, seconds: float) -> None:
        self._writer.touch(key, _lasting(seconds))

    def close(self) -> None:
        for cache in (self._reader, self._writer):
            cache._cache.close()


def _lasting(seconds: float | None) -> int | None:
    """Return the time-out to give, ``None`` for ever, as where the moment is beyond what memcached can count to."""
    timeout = whole(seconds)
    return None if timeout is not None and time.time() + timeout >= _LAST_MOMENT else timeout
