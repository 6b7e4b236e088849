"""The only reader of ``settings.LLMCACHE`` and of the environment.

Read through ``current()`` at each use: a snapshot that ``setting_changed`` drops, so ``override_settings`` holds
at once. Changing the dict in place is not supported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .exceptions import ConfigurationError
from .policies import UNSET, Unset, checked_scope, seconds


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

SECRET: Final = frozenset({"API_KEY", "HEADERS"})
"""Keys of one provider whose value no message shows, whatever it is."""

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
            check_type(f"[{name!r}]", values[name], setting.types, shown=name not in ("OPTIONS", "PROVIDERS"))
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
        self.max_entry_bytes = int(_positive("['MAX_ENTRY_BYTES']", values["MAX_ENTRY_BYTES"]))
        self.key_version: int | str = values["KEY_VERSION"]
        self.ignore_fields = _texts("IGNORE_FIELDS", values["IGNORE_FIELDS"])
        self.scope = checked_scope(values["SCOPE"], source="settings.LLMCACHE['SCOPE']")
        if self.require_scope and self.scope == "public":
            self.scope = None  # the two contradict each other, and the safer one holds
        self.middleware = _texts("MIDDLEWARE", values["MIDDLEWARE"])
        self.providers = {name: _provider(name, words) for name, words in values["PROVIDERS"].items()}
        self.run_dir = rooted(values["RUN_DIR"]) if values["RUN_DIR"] else None
        self.async_threads = int(_positive("['ASYNC_THREADS']", values["ASYNC_THREADS"]))

    def ttl_for(self, provider: str, model: str, operation: str) -> float | None:
        """Return the time to live, in seconds, of an answer whose caller named none; ``None`` is for ever.

        The provider's ``TTL`` holds, then the first rule of ``TTL_RULES`` that matches, then ``DEFAULT_TTL``.
        """
        own: float | Unset | None = self.providers.get(provider, {}).get("TTL", UNSET)
        if not isinstance(own, Unset):
            return own
        for rule in self.ttl_rules:
            if rule.matches(provider, model, operation):
                return rule.ttl
        return self.default_ttl


def check_type(where: str, value: Any, types: tuple[type, ...], *, shown: bool = True) -> None:
    """Raise ConfigurationError unless ``value`` has one of ``types``; a bool is no number here.

    Args:
        where: the key after ``settings.LLMCACHE``.
        value: what is there.
        types: what may be there.
        shown: whether the message may show the value; one that could hold a credential is not shown.
    """
    good = isinstance(value, types) and not (isinstance(value, bool) and bool not in types)
    if not good:
        found = repr(value) if shown else f"of type {type(value).__name__}"
        raise ConfigurationError(f"settings.LLMCACHE{where} is {found}; it must be {names_of(types)}.")


def names_of(types: tuple[type, ...]) -> str:
    """Return types as a reader of a message or of the documentation knows them."""
    return " or ".join("None" if kind is _NONE else kind.__name__ for kind in types)


def _positive(where: str, value: Any) -> float:
    wrong = ConfigurationError(f"settings.LLMCACHE{where} is {value!r}; it must be a finite number above 0.")
    try:
        number = seconds(value)
    except ConfigurationError:
        raise wrong from None
    if not number:
        raise wrong
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


def _provider(name: Any, words: Any) -> Mapping[str, Any]:
    if not isinstance(name, str):
        raise ConfigurationError(f"settings.LLMCACHE['PROVIDERS'] has the key {name!r}; a provider's name is a str.")
    where = f"['PROVIDERS'][{name!r}]"
    check_type(where, words, (dict,), shown=False)
    for key, value in words.items():
        if key not in PROVIDER_KEYS:
            raise ConfigurationError(f"settings.LLMCACHE{where} has {key!r}; it may have {', '.join(PROVIDER_KEYS)}.")
        check_type(f"{where}[{key!r}]", value, PROVIDER_KEYS[key], shown=key not in SECRET)
    own = dict(words)
    if own.get("BASE_URL") and not own["BASE_URL"].startswith(("https://", "http://")):  # not shown: it may name a user
        raise ConfigurationError(f"settings.LLMCACHE{where}['BASE_URL'] must begin with https:// or http://.")
    if "TTL" in own:
        own["TTL"] = seconds(own["TTL"], source=f"settings.LLMCACHE{where}['TTL']")
    if "TIMEOUT" in own:
        own["TIMEOUT"] = _positive(f"{where}['TIMEOUT']", own["TIMEOUT"])
    return own


snapshot: Settings | None = None
"""The settings in force; ``None`` before they are first read and after they change: then ``current()`` reads them."""


def current() -> Settings:
    """Return the settings in force.

    Raises:
        ConfigurationError: a value cannot work; the message names the setting.
    """
    global snapshot
    if snapshot is None:
        try:
            snapshot = Settings(raw())
        except ConfigurationError as error:
            # Anew: a report that shows the variables of each frame would show the providers' API keys.
            raise ConfigurationError(str(error)) from None
    return snapshot


@contextmanager
def instead(raw: Mapping[str, Any]) -> Iterator[None]:
    """Let another dict hold in place of ``settings.LLMCACHE``: for a process that serves nobody, such as the demo's.

    Raises:
        ConfigurationError: a value cannot work.
    """
    global snapshot
    before, snapshot = snapshot, Settings(raw)
    try:
        yield
    finally:
        snapshot = before


def raw() -> Any:
    """Return ``settings.LLMCACHE`` as it is written, an empty dict when it is not."""
    return getattr(settings, "LLMCACHE", {})


def environment(name: str) -> str | None:
    """Return an environment variable, ``None`` when it is unset or empty."""
    return os.environ.get(name) or None


def imported(source: str, path: str) -> Any:
    """Import what a setting names.

    Args:
        source: which setting has the path, up to the verb: ``settings.LLMCACHE['SCOPE'] is``.
        path: the dotted path.

    Raises:
        ConfigurationError: it does not import, whatever its module raised.
    """
    try:
        return import_string(path)
    except Exception as error:
        said = str(error) if isinstance(error, ImportError) else repr(error)
        raise ConfigurationError(f"{source} {path!r}, which does not import: {said}") from error


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
    global snapshot
    if setting in ("LLMCACHE", "BASE_DIR"):
        snapshot = None


setting_changed.connect(_forget, dispatch_uid="django_llmcache.conf")
