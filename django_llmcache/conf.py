"""The only reader of ``settings.LLMCACHE`` and of the environment.

Read through ``current()`` at each use: a snapshot that ``setting_changed`` drops, so ``override_settings`` holds
at once. Changing the dict in place is not supported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.signals import setting_changed

from .exceptions import ConfigurationError
from .policies import seconds


class Setting(NamedTuple):
    """One key of ``LLMCACHE``: its default and the types it may have."""

    default: Any
    types: tuple[type, ...]


_TIME: Final = (int, float, timedelta)
_NONE: Final = type(None)

SETTINGS: Final[Mapping[str, Setting]] = {
    "ENABLED": Setting(True, (bool,)),
    "CACHE_BY_DEFAULT": Setting(True, (bool,)),
    "CACHEABLE": Setting(None, (str, _NONE)),
    "REQUIRE_SCOPE": Setting(False, (bool,)),
    "STRATEGY": Setting("django_llmcache.strategies.ProductionStrategy", (str,)),
    "BACKEND": Setting("django_llmcache.backends.memory.MemoryBackend", (str,)),
    "OPTIONS": Setting({}, (dict,)),
    "DEFAULT_TTL": Setting(15 * 60, (*_TIME, _NONE)),
    "TTL_RULES": Setting([], (list, tuple)),
    "CLEANUP_INTERVAL": Setting(5 * 60, _TIME),
    "MAX_ENTRY_BYTES": Setting(4 * 1024 * 1024, (int,)),
    "KEY_VERSION": Setting(1, (int, str)),
    "IGNORE_FIELDS": Setting([], (list, tuple)),
    "SCOPE": Setting(None, (str, _NONE)),
    "MIDDLEWARE": Setting(["django_llmcache.middleware.cache.CacheMiddleware"], (list, tuple)),
    "PROVIDERS": Setting({}, (dict,)),
    "RUN_DIR": Setting(None, (str, Path, _NONE)),
    "ASYNC_THREADS": Setting(64, (int,)),
}
"""Every key that is read."""

PROVIDER_KEYS: Final[Mapping[str, tuple[type, ...]]] = {
    "CLASS": (str,),
    "API_KEY": (str, _NONE),
    "BASE_URL": (str,),
    "MODEL": (str, _NONE),
    "TIMEOUT": _TIME,
    "HEADERS": (dict,),
    "CACHE": (bool,),
    "TTL": (*_TIME, _NONE),
}
"""Every key of one provider in ``PROVIDERS``."""

RULE_KEYS: Final = frozenset({"PROVIDER", "MODEL", "OPERATION", "TTL"})


class TTLRule(NamedTuple):
    """One of ``TTL_RULES``: a time to live (seconds or ``None``) for what matches; ``*`` and ``?`` as in a shell."""

    provider: str
    model: str
    operation: str
    ttl: float | None

    def matches(self, provider: str, model: str, operation: str) -> bool:
        """Return whether the rule speaks of this kind of request."""
        return (
            fnmatchcase(provider, self.provider)
            and fnmatchcase(model, self.model)
            and fnmatchcase(operation, self.operation)
        )


class Settings:
    """One snapshot of ``LLMCACHE``, typed. Times are in seconds, sizes in bytes."""

    def __init__(self, raw: Any) -> None:
        if not isinstance(raw, Mapping):
            raise ConfigurationError(f"settings.LLMCACHE is a {type(raw).__name__}; it must be a dict.")
        values = {name: raw.get(name, setting.default) for name, setting in SETTINGS.items()}
        for name, setting in SETTINGS.items():
            check_type(f"[{name!r}]", values[name], setting.types)
        self.enabled: bool = values["ENABLED"]
        self.cache_by_default: bool = values["CACHE_BY_DEFAULT"]
        self.cacheable: str | None = values["CACHEABLE"]
        self.require_scope: bool = values["REQUIRE_SCOPE"]
        self.strategy: str = values["STRATEGY"]
        self.backend: str = values["BACKEND"]
        self.options: Mapping[str, Any] = values["OPTIONS"]
        self.default_ttl = seconds(values["DEFAULT_TTL"], source="settings.LLMCACHE['DEFAULT_TTL']")
        self.ttl_rules = tuple(_ttl_rule(index, rule) for index, rule in enumerate(values["TTL_RULES"]))
        self.cleanup_interval = _positive("['CLEANUP_INTERVAL']", values["CLEANUP_INTERVAL"])
        self.max_entry_bytes: int = values["MAX_ENTRY_BYTES"]
        self.key_version: int | str = values["KEY_VERSION"]
        self.ignore_fields = _texts("IGNORE_FIELDS", values["IGNORE_FIELDS"])
        self.scope: str | None = values["SCOPE"]
        self.middleware = _texts("MIDDLEWARE", values["MIDDLEWARE"])
        self.providers = {name: _provider(name, words) for name, words in values["PROVIDERS"].items()}
        self.run_dir = rooted(values["RUN_DIR"]) if values["RUN_DIR"] else None
        self.async_threads = int(_positive("['ASYNC_THREADS']", values["ASYNC_THREADS"]))

    def ttl_for(self, provider: str, model: str, operation: str) -> float | None:
        """Return the time to live, in seconds, of an answer whose caller named none; ``None`` is for ever.

        The first matching rule of ``TTL_RULES`` holds, then the provider's ``TTL``, then ``DEFAULT_TTL``.
        """
        for rule in self.ttl_rules:
            if rule.matches(provider, model, operation):
                return rule.ttl
        own = self.providers.get(provider, {})
        ttl: float | None = own.get("TTL", self.default_ttl)
        return ttl


def check_type(where: str, value: Any, types: tuple[type, ...]) -> None:
    """Raise ConfigurationError unless ``value`` has one of ``types``; a bool is no number here."""
    good = isinstance(value, types) and not (isinstance(value, bool) and bool not in types)
    if not good:
        wanted = " or ".join("None" if kind is _NONE else kind.__name__ for kind in types)
        raise ConfigurationError(f"settings.LLMCACHE{where} is {value!r}; it must be {wanted}.")


def _positive(where: str, value: Any) -> float:
    number = seconds(value, source=f"settings.LLMCACHE{where}")
    if not number:
        raise ConfigurationError(f"settings.LLMCACHE{where} is {value!r}; it must be a finite number above 0.")
    return number


def _texts(name: str, values: Any) -> tuple[str, ...]:
    for index, value in enumerate(values):
        check_type(f"[{name!r}][{index}]", value, (str,))
    return tuple(values)


def _ttl_rule(index: int, rule: Any) -> TTLRule:
    where = f"['TTL_RULES'][{index}]"
    check_type(where, rule, (dict,))
    if "TTL" not in rule or set(rule) - RULE_KEYS:
        raise ConfigurationError(
            f"settings.LLMCACHE{where} is {rule!r}; give TTL and any of PROVIDER, MODEL, OPERATION."
        )
    patterns = {name.lower(): rule.get(name, "*") for name in ("PROVIDER", "MODEL", "OPERATION")}
    for name, pattern in patterns.items():
        check_type(f"{where}[{name.upper()!r}]", pattern, (str,))
    return TTLRule(**patterns, ttl=seconds(rule["TTL"], source=f"settings.LLMCACHE{where}['TTL']"))


def _provider(name: str, words: Any) -> Mapping[str, Any]:
    where = f"['PROVIDERS'][{name!r}]"
    check_type(where, words, (dict,))
    for key, value in words.items():
        if key not in PROVIDER_KEYS:
            raise ConfigurationError(f"settings.LLMCACHE{where} has {key!r}; it may have {', '.join(PROVIDER_KEYS)}.")
        if key == "API_KEY" and not isinstance(value, str | None):  # never shown, whatever it is
            raise ConfigurationError(f"settings.LLMCACHE{where}['API_KEY'] is a {type(value).__name__}, not a text.")
        check_type(f"{where}[{key!r}]", value, PROVIDER_KEYS[key])
    own = dict(words)
    for key in ("TTL", "TIMEOUT"):
        if key in own:
            own[key] = seconds(own[key], source=f"settings.LLMCACHE{where}[{key!r}]")
    return own


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


def rooted(path: str | Path) -> Path:
    """Return a path made absolute: from ``settings.BASE_DIR`` if there is one, else from the working directory."""
    return Path(getattr(settings, "BASE_DIR", None) or ".").absolute() / path


def project() -> tuple[str, str]:
    """Return the folder and the settings module that tell this project from others on the machine."""
    # override_settings hides SETTINGS_MODULE.
    module = getattr(settings, "SETTINGS_MODULE", None) or environment("DJANGO_SETTINGS_MODULE") or ""
    folder = getattr(settings, "BASE_DIR", None)
    if folder is None:
        file = getattr(sys.modules.get(module), "__file__", None)
        folder = Path(file).parent if file else "."
    return str(Path(folder).resolve()), module


def under_test_runner() -> bool:
    """Return whether Django's test environment is set up in this process."""
    return hasattr(getattr(sys.modules.get("django.test.utils"), "_TestState", None), "saved_data")


def _forget(*, setting: str, **_: Any) -> None:
    global _snapshot
    if setting in ("LLMCACHE", "BASE_DIR"):
        _snapshot = None


setting_changed.connect(_forget, dispatch_uid="django_llmcache.conf")
