"""What tests ask of ``live_api``: the words beside a test, those of its class, and the options that they make."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from inspect import isclass, signature
from typing import TYPE_CHECKING, Any, Final

from django_llmcache.durations import TTL, fresh_for
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.policies import UNSET, Unset
from django_llmcache.recorder.setup import NO_OPTIONS, Options
from django_llmcache.spelling import did_you_mean

from .modes import named_by_test

if TYPE_CHECKING:
    from django_llmcache.recorder.faults import Fault

NAME: Final = "live_api"
"""The tag of Django and the marker of pytest."""

WORDS: Final = "__llmcache_words__"
"""The attribute of a decorated function or class that has its words."""

FALLBACKS: Final = ("latest_success", "latest_any", "error")
EXPIRED: Final = ("warn", "error")
REPEATS: Final = ("last", "fail")


def options_from(**words: Any) -> Options:
    """Return the options that the words of ``live_api`` say.

    Raises:
        ConfigurationError: a word that there is not, or a value that cannot work; the message names it.
    """
    for name in words:
        if name not in KNOWN:
            hint = did_you_mean(name, KNOWN, otherwise=f"it has {', '.join(KNOWN)}.")
            raise ConfigurationError(f"live_api has no option {name!r}; {hint}")
    return _options(**words) if words else NO_OPTIONS


def _options(
    *,
    mode: str | None = None,
    ttl: TTL | Unset = UNSET,
    fallback: str | None = None,
    expired: str | None = None,
    ignore: Any = (),
    record_errors: Any = False,
    repeat: str = "last",
    samples: int = 1,
    fault: Any = None,
    pace: Any = 0.0,
) -> Options:
    if isinstance(ignore, str):
        raise ConfigurationError(f"ignore is the text {ignore!r}; give a list of dotted paths: [{ignore!r}].")
    ignore = tuple(ignore) if isinstance(ignore, Iterable) else (ignore,)
    if not all(isinstance(path, str) for path in ignore):
        raise ConfigurationError(f"ignore is {ignore!r}; give a list of dotted paths, such as ['metadata.trace'].")
    if not isinstance(record_errors, bool):
        raise ConfigurationError(f"record_errors is {record_errors!r}; give True or False.")
    if isinstance(pace, bool) or not isinstance(pace, int | float) or not 0 <= pace < math.inf:
        raise ConfigurationError(
            f"pace is {pace!r}; give a number from 0: 1.0 is the recorded pace, 0 waits for nothing."
        )
    if samples.__class__ is not int or samples < 1:
        raise ConfigurationError(f"samples is {samples!r}; give a whole number from 1.")
    return Options(
        mode=None if mode is None else named_by_test(mode),
        ttl=ttl if isinstance(ttl, Unset) else fresh_for(ttl),
        fallback=_one_of("fallback", fallback, FALLBACKS),
        expired=_one_of("expired", expired, EXPIRED),
        ignore=ignore,
        record_errors=record_errors,
        repeat=_one_of("repeat", repeat, REPEATS) or "last",
        samples=samples,
        fault=None if fault is None else _fault(fault),
        pace=pace,
    )


def _fault(text: Any) -> Fault:
    from django_llmcache.recorder.faults import Fault

    return Fault.parse(text)


KNOWN: Final = tuple(signature(_options).parameters)
"""What may stand beside ``live_api``."""


def words_of(target: Any) -> dict[str, Any] | None:
    """Return what a function or a class says of itself, ``None`` when it is not ``live_api``.

    A class says what its bases say as well, where it does not say otherwise.
    """
    said = [vars(base).get(WORDS) for base in reversed(target.__mro__)] if isclass(target) else [_own(target)]
    found = [words for words in said if words is not None]
    if not found and NAME not in _tags(target):
        return None
    return {name: value for words in found for name, value in words.items()}


def options_of(kind: type, name: str) -> Options | None:
    """Return the options of a test of a class, ``None`` when it is not ``live_api``.

    The nearest word holds, and what a method leaves unsaid its class says.

    Args:
        kind: the class that the test runs in.
        name: of the method.
    """
    said = [words_of(kind), words_of(getattr(kind, name, None))]
    found = [words for words in said if words is not None]
    return options_from(**{key: value for words in found for key, value in words.items()}) if found else None


def of_a_level(own: Options | None, tests: Sequence[Options]) -> Options:
    """Return what holds for the set-up that some tests share, whichever of them runs first.

    Args:
        own: what the class or the module says itself, ``None`` where it says nothing: then what all of its tests say.
        tests: its tests' options.
    """
    if own is None:
        agreed = {name: values.pop() for name, values in _values(tests).items() if len(values) == 1}
        own = NO_OPTIONS._replace(**agreed)
        own = own._replace(ignore=tuple(sorted({path for test in tests for path in test.ignore})))
    return own._replace(mode=None, fault=None, samples=1, repeat="last")


def names_of(function: Any) -> frozenset[str]:
    """Return the names of a test's function, and of what other decorators have wrapped."""
    names = set()
    while function is not None:
        names.add(getattr(function, "__name__", ""))
        function = getattr(function, "__wrapped__", None)
    return frozenset(names)


def _values(tests: Sequence[Options]) -> Mapping[str, set[Any]]:
    return {name: {getattr(test, name) for test in tests} for name in Options._fields}


def _own(target: Any) -> dict[str, Any] | None:
    words: dict[str, Any] | None = getattr(target, WORDS, None)
    return words


def _tags(target: Any) -> set[str]:
    tags = getattr(target, "tags", None)
    return tags if isinstance(tags, set) else set()


def _one_of(name: str, value: str | None, known: tuple[str, ...]) -> str | None:
    if value is None or value in known:
        return value
    raise ConfigurationError(f"{name} is {value!r}; give one of {', '.join(known)}.")
