"""Copies of clients of ``httpx2`` and ``httpx`` that exist already: cached, over the transports of the original."""

from __future__ import annotations

from functools import cache
from typing import Any

from . import cached_httpx

_Client: Any = object
"""What the classes below are put before: a cached client of whichever library."""


def around(client: Any) -> Any:
    """Return a copy of a client that is cached, with all that it has: transports, hooks, headers, its class' own ways.

    Args:
        client: a ``Client`` or an ``AsyncClient`` of ``httpx2`` or ``httpx``; one that is cached is returned itself.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(client, cached_httpx.Cached):
        return client
    cached, is_async = cached_httpx.class_for(client)
    kind = _class_of(_AsyncCopy if is_async else _SyncCopy, cached)
    made = kind.__new__(kind)
    vars(made).update(vars(client))  # the transports too, which both have from here on
    made.llmcache_inner = client
    return made


@cache
def _class_of(copy: type, cached: type) -> Any:
    return type(cached.__name__, (copy, cached), {})


class _Copy(_Client):  # type: ignore[misc] # of whichever library
    """A copy of a client: as both have the same transports, they are open together and closed together."""

    llmcache_inner: Any
    """The original."""

    def __del__(self) -> None:
        """Close nothing, as the classes of the SDKs do at their end: the original may be in use still."""

    @property
    def is_closed(self) -> bool:
        closed: bool = self.llmcache_inner.is_closed
        return closed

    def send(self, request: Any, **options: Any) -> Any:
        if self.is_closed:
            return self.llmcache_inner.send(request, **options)  # which says so
        return super().send(request, **options)


class _SyncCopy(_Copy):
    def close(self) -> None:
        super().close()
        self.llmcache_inner.close()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.llmcache_inner.close()


class _AsyncCopy(_Copy):
    async def aclose(self) -> None:
        await super().aclose()
        await self.llmcache_inner.aclose()

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        await self.llmcache_inner.aclose()
