"""The only reader of ``settings.LLMCACHE`` and of the environment.

Read through ``current()`` at each use: a snapshot that ``setting_changed`` drops, so ``override_settings`` holds
at once. Changing the dict in place is not supported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.core.signals import setting_changed

from .exceptions import ConfigurationError
from .policies import seconds

DEFAULTS: Final[Mapping[str, Any]] = {
    "ENABLED": True,
    "CACHE_BY_DEFAULT": True,
    "STRATEGY": "django_llmcache.strategies.ProductionStrategy",
    "BACKEND": "django_llmcache.backends.memory.MemoryBackend",
    "OPTIONS": {},
    "DEFAULT_TTL": 15 * 60,
    "CLEANUP_INTERVAL": 5 * 60,
    "MAX_ENTRY_BYTES": 4 * 1024 * 1024,
    "KEY_VERSION": 1,
    "IGNORE_FIELDS": [],
    "MIDDLEWARE": ["django_llmcache.middleware.cache.CacheMiddleware"],
    "PROVIDERS": {},
    "ASYNC_THREADS": 64,
}
"""Every setting that is read, with its default."""

TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "ENABLED": (bool,),
    "CACHE_BY_DEFAULT": (bool,),
    "STRATEGY": (str,),
    "BACKEND": (str,),
    "OPTIONS": (dict,),
    "DEFAULT_TTL": (int, float, timedelta, type(None)),
    "CLEANUP_INTERVAL": (int, float, timedelta),
    "MAX_ENTRY_BYTES": (int,),
    "KEY_VERSION": (int, str),
    "IGNORE_FIELDS": (list, tuple),
    "MIDDLEWARE": (list, tuple),
    "PROVIDERS": (dict,),
    "ASYNC_THREADS": (int,),
}


class Settings:
    """One snapshot of ``LLMCACHE``, typed. Times are in seconds, sizes in bytes."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        if not isinstance(raw, Mapping):
            raise ConfigurationError(f"settings.LLMCACHE is a {type(raw).__name__}; it must be a dict.")
        values = {**DEFAULTS, **raw}
        for name, types in TYPES.items():
            check_type(name, values[name], types)
        self.enabled: bool = values["ENABLED"]
        self.cache_by_default: bool = values["CACHE_BY_DEFAULT"]
        self.strategy: str = values["STRATEGY"]
        self.backend: str = values["BACKEND"]
        self.options: Mapping[str, Any] = values["OPTIONS"]
        self.default_ttl = seconds(values["DEFAULT_TTL"], source="settings.LLMCACHE['DEFAULT_TTL']")
        interval = seconds(values["CLEANUP_INTERVAL"], source="settings.LLMCACHE['CLEANUP_INTERVAL']")
        self.cleanup_interval: float = interval or DEFAULTS["CLEANUP_INTERVAL"]
        self.max_entry_bytes: int = values["MAX_ENTRY_BYTES"]
        self.key_version: int | str = values["KEY_VERSION"]
        self.ignore_fields: tuple[str, ...] = tuple(values["IGNORE_FIELDS"])
        self.middleware: tuple[str, ...] = tuple(values["MIDDLEWARE"])
        self.providers: Mapping[str, Mapping[str, Any]] = values["PROVIDERS"]
        self.async_threads: int = values["ASYNC_THREADS"]


def check_type(name: str, value: Any, types: tuple[type, ...]) -> None:
    """Raise ConfigurationError unless ``value`` has one of ``types``; a bool is no number here."""
    good = isinstance(value, types) and not (isinstance(value, bool) and bool not in types)
    if not good:
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in types)
        raise ConfigurationError(f"settings.LLMCACHE[{name!r}] is {value!r}; it must be {wanted}.")


_snapshot: Settings | None = None


def current() -> Settings:
    """Return the settings in force.

    Raises:
        ConfigurationError: a value cannot work; the message names the setting.
    """
    global _snapshot
    if _snapshot is None:
        _snapshot = Settings(raw())
    return _snapshot


def raw() -> Any:
    """Return ``settings.LLMCACHE`` as it is written, an empty dict when it is not."""
    return getattr(settings, "LLMCACHE", {})


def environment(name: str) -> str | None:
    """Return an environment variable, ``None`` when it is unset or empty."""
    return os.environ.get(name) or None


def under_debug() -> bool:
    """Return ``settings.DEBUG``."""
    return bool(settings.DEBUG)


def _forget(*, setting: str, **_: Any) -> None:
    global _snapshot
    if setting == "LLMCACHE":
        _snapshot = None


setting_changed.connect(_forget, dispatch_uid="django_llmcache.conf")
