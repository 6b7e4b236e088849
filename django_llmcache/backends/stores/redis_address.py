"""What an alias of ``CACHES`` says of its Redis: whom to reach is the alias', how is ours.

Address, database, credentials and encryption are taken as they are, from wherever the alias has them. How many
connections there are, how long anything is waited for, what is tried again and what becomes of bytes is not. Where the
alias names a class that is not redis-py's own or its backend's, as for Sentinel, that class alone knows whom to reach.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from django.core.cache.backends.redis import RedisCache
from django.utils.module_loading import import_string
from redis.connection import Connection, parse_url

from django_llmcache.exceptions import LLMCacheError

from .base import Alias

_HOW: Final = frozenset({
    # the pool's own
    "cache", "cache_config", "cache_factory", "event_dispatcher", "maint_notifications_config", "max_connections",
    "pool_class", "queue_class", "timeout",
    # how long is waited, and what is tried again
    "health_check_interval", "retry", "retry_on_error", "retry_on_timeout", "socket_connect_timeout", "socket_timeout",
    # what becomes of bytes
    "command_packer", "decode_responses", "encoder_class", "encoding", "encoding_errors", "legacy_responses",
    "parser_class", "protocol", "serializer",
})  # fmt: skip
"""What an alias may say to redis-py that is not taken."""

_KNOWN: Final = frozenset({
    "django.core.cache.backends.redis.RedisCacheClient",
    "django_redis.client.default.DefaultClient",
    "django_redis.pool.ConnectionFactory",
    "redis.client.Redis",
    "redis.connection.BlockingConnectionPool",
    "redis.connection.Connection",
    "redis.connection.ConnectionPool",
    "redis.connection.SSLConnection",
    "redis.connection.UnixDomainSocketConnection",
})  # fmt: skip
"""Classes in whose place ours reach the same server."""

_OF_THREADS: Final = ("ssl_ocsp_", "ssl_validate_ocsp")
"""How names begin of what redis-py's connections of an event loop can't do."""

_SCHEMES: Final = ("redis://", "rediss://", "unix://")
_MISREAD: Final = re.compile(r"rediss?://[^/?#]*[/?#][^=]*@")
"""An address whose password goes on after what ends the host's name."""


class Address(NamedTuple):
    """How a server is reached.

    Attributes:
        words: what redis-py's connections of threads take.
        kind: their class.
        at_once: how many of them the alias wants at most, ``None`` where it doesn't say.
    """

    words: dict[str, Any]
    kind: type
    at_once: int | None


def address_of(alias: Alias) -> Address | None:
    """Return how the first server of ``LOCATION`` is reached; ``None`` where the alias' own classes alone know.

    Raises:
        LLMCacheError: redis-py can't read ``LOCATION``.
    """
    urls = [str(url).strip() for url in _listed(alias.location)] or [""]
    cache = alias.made_with()
    known = all(_path(kind) in _KNOWN for kind in _classes(alias, cache))
    parsed = [_parsed(alias, url) for url in (urls[:1] if known else filter(_is_an_address, urls))]
    if not known:
        return None
    given = _given(alias, cache, urls[0])
    said = given | parsed[0]
    kind = given.get("connection_class") or said.get("connection_class", Connection)
    if _path(kind) not in _KNOWN or any(name.startswith(_OF_THREADS) for name in said):
        return None
    words = {name: value for name, value in said.items() if name not in _HOW and name != "connection_class"}
    return Address(words, kind, said.get("max_connections") or None)


def _listed(location: Any) -> list[Any]:
    return list(location) if isinstance(location, list | tuple) else re.split("[;,]", str(location))


def _is_an_address(url: str) -> bool:
    return url.startswith(_SCHEMES)


def _parsed(alias: Alias, url: str) -> dict[str, Any]:
    try:
        if _MISREAD.match(url):
            raise ValueError
        words: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:  # it may say a part of the password
        raise LLMCacheError(
            f"redis-py can't read the LOCATION of settings.CACHES[{alias.name!r}]. It begins with redis://, rediss:// "
            "or unix://, and a user name or password with other signs than letters and digits is percent-encoded: "
            "urllib.parse.quote(password, safe='')."
        ) from None
    return words


def _classes(alias: Alias, cache: Any) -> Iterator[Any]:
    """Yield the classes that see to whom is reached."""
    if issubclass(alias.backend, RedisCache):
        pool = alias.options.get("pool_class") or "redis.ConnectionPool"
        yield cache._class
        yield import_string(pool) if isinstance(pool, str) else pool
    else:
        yield cache._client_cls
        factory = cache.client.connection_factory  # a setting of the project's may name its class
        yield type(factory)
        yield factory.pool_cls
        yield factory.redis_client_cls


def _path(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _given(alias: Alias, cache: Any, url: str) -> dict[str, Any]:
    """Return what the alias says to redis-py beside the address."""
    if issubclass(alias.backend, RedisCache):
        return alias.options
    factory = cache.client.connection_factory
    words: dict[str, Any] = factory.make_connection_params(url) | factory.pool_cls_kwargs
    words.pop("url")
    return words
