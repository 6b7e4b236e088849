"""Stores of bytes, one for each kind of alias in ``CACHES``; ``store_of`` picks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core.cache import caches
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import PyMemcacheCache
from django.core.cache.backends.redis import RedisCache
from django.utils.module_loading import import_string

from django_llmcache.exceptions import ConfigurationError, LLMCacheError

from .base import Alias, Deadlines, Store
from .over_alias import GuardedStore, LocMemStore
from .over_database import DatabaseStore
from .over_files import FileStore

__all__ = ["Alias", "Deadlines", "Store", "alias_of", "cure_for_pickle", "store_of"]

_DJANGO_REDIS: Final = "django_redis.cache"
_EXTRAS: Final = {"pymemcache": "memcached", "redis": "redis"}
"""What installs a library that a store needs."""


def alias_of(name: str) -> Alias:
    """Return an alias of ``CACHES``.

    Raises:
        ConfigurationError: there is none of this name, or its class does not import.
    """
    known = caches.settings
    if name not in known:
        raise ConfigurationError(
            f"settings.LLMCACHE['OPTIONS']['ALIAS'] is {name!r}, which settings.CACHES does not have; "
            f"it has {', '.join(sorted(known))}."
        )
    params = dict(known[name])
    path, location = params.pop("BACKEND"), params.pop("LOCATION", "")
    try:
        return Alias(name, import_string(path), location, params)
    except ImportError as error:
        raise ConfigurationError(f"settings.CACHES[{name!r}]['BACKEND'] does not import: {error}") from error


def store_of(alias: Alias, deadlines: Deadlines) -> Store:
    """Return the store of an alias, with connections of its own, which keep to the deadlines.

    Raises:
        LLMCacheError: the store's library is missing.
    """
    try:
        return _store_of(alias, deadlines)
    except ModuleNotFoundError as error:
        if (extra := _EXTRAS.get(error.name or "")) is None:
            raise
        raise LLMCacheError(
            f"settings.CACHES[{alias.name!r}] needs {error.name}, which is missing: "
            f"pip install 'django-llmcache[{extra}]'."
        ) from error


def _store_of(alias: Alias, deadlines: Deadlines) -> Store:
    if issubclass(alias.backend, RedisCache) or alias.backend.__module__ == _DJANGO_REDIS:
        from .over_redis import RedisStore
        from .redis_address import address_of

        address = address_of(alias)
        return GuardedStore(_outspoken(alias), deadlines) if address is None else RedisStore(alias, address, deadlines)
    if issubclass(alias.backend, PyMemcacheCache):
        from .over_memcached import MemcachedStore

        return MemcachedStore(alias, deadlines)
    if issubclass(alias.backend, LocMemCache | DummyCache):
        return LocMemStore(alias)
    if issubclass(alias.backend, FileBasedCache):
        return FileStore(alias, deadlines)
    if issubclass(alias.backend, BaseDatabaseCache):
        return DatabaseStore(alias, deadlines)
    return GuardedStore(alias, deadlines)


def _outspoken(alias: Alias) -> Alias:
    """Return an alias that raises what its Redis does: django-redis can be told, here or for all, to say nothing."""
    if alias.backend.__module__ != _DJANGO_REDIS:
        return alias
    return alias._replace(params={**alias.params, "OPTIONS": alias.options | {"IGNORE_EXCEPTIONS": False}})


def cure_for_pickle(alias: Alias) -> str | None:
    """Return what to do about an alias whose stock way of keeping values is pickle, ``None`` where that is well.

    Entries are read as the bytes that they are on Redis and Memcached whatever the alias says. The rest of what uses
    it is not, and ``pickle.loads`` runs what it reads.
    """
    options, serializers = alias.options, "django_llmcache.backends.serializers"
    if issubclass(alias.backend, LocMemCache | DummyCache):
        return None
    if issubclass(alias.backend, RedisCache):
        return (
            None
            if _is_safe("serializer", options)
            else f'Set "serializer": "{serializers}.RawSerializer" in its OPTIONS.'
        )
    if alias.backend.__module__ == _DJANGO_REDIS:
        return (
            None
            if _is_safe("SERIALIZER", options)
            else f'Set "SERIALIZER": "{serializers}.RawSerializer" in its OPTIONS.'
        )
    if issubclass(alias.backend, PyMemcacheCache):
        return None if _is_safe("serde", options) else f'Set "serde": {serializers}.RawSerde() in its OPTIONS.'
    return "Let nobody else write to it, or keep entries on Redis or Memcached, where they are read as bytes."


def _is_safe(name: str, options: Mapping[str, Any]) -> bool:
    """Return whether an option names a way to keep values, and one that is no pickle as far as its name says."""
    chosen = options.get(name)
    if chosen is None:
        return False
    kind = chosen if isinstance(chosen, type) else type(chosen)
    path = chosen if isinstance(chosen, str) else f"{kind.__module__}.{kind.__qualname__}"
    return "pickle" not in path.lower() and path != "django.core.cache.backends.redis.RedisSerializer"
