"""What each key of ``LLMCACHE`` may be, and what is made of it. Times are in seconds, sizes in bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

from .canonical import LARGEST_INTEGER, steps_of
from .credentials import carries
from .durations import seconds
from .endpoints import problem_of_address
from .exceptions import ConfigurationError
from .headers import is_name, unsendable
from .spelling import near


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
    "TTL_JITTER": Setting(0, (int, float)),
    "STALE_FOR": Setting(0, _TIME),
    "CLEANUP_INTERVAL": Setting(5 * 60, _TIME),
    "MAX_ENTRY_BYTES": Setting(4 * 1024 * 1024, (int,)),
    "KEY_VERSION": Setting(1, (int, str)),
    "IGNORE_FIELDS": Setting([], (list, tuple)),
    "KEY_HEADERS": Setting([], (list, tuple)),
    "SCOPE": Setting(None, (str, _NONE)),
    "TAG_MODELS": Setting(None, (list, tuple, _NONE)),
    "MIDDLEWARE": Setting(["django_llmcache.middleware.cache.CacheMiddleware"], (list, tuple)),
    "PROVIDERS": Setting({}, (dict,)),
    "INSTRUMENT": Setting(False, (bool,)),
    "RUN_DIR": Setting(None, (str, Path, _NONE)),
    "ASYNC_THREADS": Setting(64, (int,)),
    "TEST_CACHE": Setting({}, (dict,)),
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

TEST_CACHE_KEYS: Final[Mapping[str, Setting]] = {
    "ENABLED": Setting(None, (bool, _NONE)),
    "DIR": Setting("tests/llm_fixtures", (str, Path)),
    "MODE": Setting(None, (str, _NONE)),
    "TTL": Setting(None, (*_TIME, _NONE, dict)),
    "FALLBACK": Setting("latest_success", (str,)),
    "EXPIRED": Setting("warn", (str,)),
    "HOSTS": Setting([], (list, tuple)),
    "IGNORE_PATHS": Setting([], (list, tuple)),
    "MAX_FIXTURE_BYTES": Setting(1024 * 1024, (int,)),
}
"""Every key of ``TEST_CACHE``."""

TIMEOUT: Final = 60.0
"""Seconds to wait for a provider's connection and for each piece of its answer, where nobody says otherwise."""

LONGEST_TIMEOUT: Final = 24 * 60 * 60
"""Seconds. Sockets count milliseconds in 32 bits: far above, the operating system fails."""

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


def meant(key: Any, known: Collection[str]) -> str:
    """Return what an unknown key stands for, as far as it is near one that is known; else all that are."""
    word = near(key, known)
    return f"Did you mean {word!r}?" if word else f"Known: {', '.join(sorted(known))}."


def positive(where: str, value: Any) -> float:
    wrong = ConfigurationError(f"settings.LLMCACHE{where} is {value!r}; it must be a finite number above 0.")
    try:
        number = seconds(value)
    except ConfigurationError:
        raise wrong from None
    if not number:
        raise wrong
    return number


def texts(name: str, values: Any) -> tuple[str, ...]:
    for index, value in enumerate(values):
        check_type(f"['{name}'][{index}]", value, (str,))
    return tuple(values)


def dotted(name: str, values: Any) -> tuple[str, ...]:
    """Return paths, each step of which has a name or a number."""
    paths = texts(name, values)
    for index, path in enumerate(paths):
        if not all(steps_of(path)):
            raise ConfigurationError(
                f"settings.LLMCACHE['{name}'][{index}] is {path!r}; give a path such as 'trace_id' or 'messages.*.id'."
            )
    return paths


def version(name: str, value: int | str) -> int | str:
    """Return what can be part of a key."""
    if isinstance(value, int) and not -LARGEST_INTEGER <= value < LARGEST_INTEGER:
        raise ConfigurationError(f"settings.LLMCACHE['{name}'] is {value!r:.80}; give a number below 2**63, or a text.")
    return value


def header_names(name: str, values: Any) -> frozenset[str]:
    """Return names of request headers in lower case."""
    for index, header in enumerate(texts(name, values)):
        where = f"settings.LLMCACHE['{name}'][{index}]"
        if not is_name(header):
            raise ConfigurationError(f"{where} is {header!r}; give the name of a header, such as 'x-portkey-config'.")
        if carries(header):
            raise ConfigurationError(
                f"{where} is {header!r}, which carries a credential: no key has one. To keep the answers of several "
                f"users or accounts apart, set LLMCACHE['SCOPE']."
            )
    return frozenset(header.lower() for header in values)


def share(where: str, value: float) -> float:
    """Return a share, from 0 to 1."""
    if not 0 <= value <= 1:
        raise ConfigurationError(f"settings.LLMCACHE{where} is {value!r}; give a share from 0 to 1.")
    return float(value)


def labels(name: str, values: Any) -> frozenset[str] | None:
    """Return labels of models in lower case, ``None`` for ``None``."""
    if values is None:
        return None
    for index, label in enumerate(texts(name, values)):
        if label.count(".") != 1 or not all(label.split(".")):
            raise ConfigurationError(f"settings.LLMCACHE['{name}'][{index}] is {label!r}; give 'app_label.Model'.")
    return frozenset(label.lower() for label in values)


def ttl_rule(index: int, rule: Any) -> TTLRule:
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


def provider(name: Any, words: Any) -> Mapping[str, Any]:
    if not isinstance(name, str):
        raise ConfigurationError(f"settings.LLMCACHE['PROVIDERS'] has the key {name!r}; a provider's name is a str.")
    where = f"['PROVIDERS'][{name!r}]"
    check_type(where, words, (dict,), shown=False)
    for key, value in words.items():
        if key not in PROVIDER_KEYS:
            raise ConfigurationError(f"settings.LLMCACHE{where} has {key!r}; it may have {', '.join(PROVIDER_KEYS)}.")
        check_type(f"{where}[{key!r}]", value, PROVIDER_KEYS[key], shown=key not in SECRET)
    own = dict(words)
    if own.get("BASE_URL") and (problem := problem_of_address(own["BASE_URL"])):  # not shown: it may name a user
        raise ConfigurationError(f"settings.LLMCACHE{where}['BASE_URL'] {problem}.")
    if bad := unsendable(own.get("HEADERS", {})):
        raise ConfigurationError(f"The header {bad.name} in settings.LLMCACHE{where}['HEADERS'] {bad.problem}.")
    if "TTL" in own:
        own["TTL"] = seconds(own["TTL"], source=f"settings.LLMCACHE{where}['TTL']")
    if "TIMEOUT" in own:
        own["TIMEOUT"] = positive(f"{where}['TIMEOUT']", own["TIMEOUT"])
        if own["TIMEOUT"] > LONGEST_TIMEOUT:
            raise ConfigurationError(
                f"settings.LLMCACHE{where}['TIMEOUT'] is {words['TIMEOUT']!r}; give at most a day, {LONGEST_TIMEOUT}."
            )
    return own
