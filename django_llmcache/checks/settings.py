"""The system checks of ``settings.LLMCACHE``: what can't be read, what imports nothing, and what contradicts itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Final

from django.apps import apps
from django.core import checks
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from django_llmcache import backends, conf, decisions, pipeline, providers, strategies
from django_llmcache.canonical import steps_of
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.shapes import meant

from . import middleware, stores

QUESTIONS: Final = frozenset({
    "arguments", "contents", "contents.*.parts", "contents.*.parts.*.text", "input", "messages", "messages.*.content",
    "model", "prompt",
})  # fmt: skip
"""Fields that say what is asked, or whom, in any dialect and of ``@cached``."""


def problems() -> list[CheckMessage]:
    """Return what is wrong with ``settings.LLMCACHE``."""
    raw = conf.raw()
    if not isinstance(raw, Mapping):
        hint = "Write LLMCACHE = {…}, or leave it out: every key has a default."
        return [_error("E002", f"settings.LLMCACHE is a {type(raw).__name__}; it must be a dict.", hint=hint)]
    messages: list[CheckMessage] = []
    known = _known(raw, messages)
    for name, value in known.items():
        for part in _parts(name, value):
            try:
                conf.Settings({name: part})
            except ConfigurationError as error:
                messages.append(_error("E002", str(error), hint=_form(name, str(error))))
    try:
        settings = conf.current()
    except ConfigurationError:
        return messages  # what imports and what contradicts is seen when the values can be read
    found = [*middleware.misplaced(settings)]
    found += [*_imports(settings, told={message.msg for message in found}), *_instrument(settings)]
    found += [*_contradictions(raw, settings), *_ignored(settings), *_tag_models(settings)]
    found += [*middleware.retries_above_cache(settings), *_test_strategy(settings), *_test_cache()]
    return messages + found


def _known(raw: Mapping[Any, Any], messages: list[CheckMessage]) -> dict[str, Any]:
    """Return what is there without the unknown keys, of which ``messages`` gets one each."""
    known: dict[str, Any] = _without_unknown("LLMCACHE", raw, conf.SETTINGS, messages)
    listed = known.get("PROVIDERS")
    if isinstance(listed, dict):
        known["PROVIDERS"] = {
            name: _without_unknown(f"LLMCACHE['PROVIDERS'][{name!r}]", words, conf.PROVIDER_KEYS, messages)
            for name, words in listed.items()
        }
    rules = known.get("TTL_RULES")
    if isinstance(rules, list | tuple):
        known["TTL_RULES"] = [
            _without_unknown(f"LLMCACHE['TTL_RULES'][{index}]", rule, conf.RULE_KEYS, messages)
            for index, rule in enumerate(rules)
        ]
    if (words := known.get("TEST_CACHE")) is not None:
        known["TEST_CACHE"] = _without_unknown("LLMCACHE['TEST_CACHE']", words, conf.TEST_CACHE_KEYS, messages)
    return known


def _parts(name: str, value: Any) -> Iterator[Any]:
    """Yield a setting in the parts that are right or wrong each by itself, so that all that are wrong are told."""
    if name == "TEST_CACHE" and isinstance(value, dict):
        yield from ({key: word} for key, word in value.items())
    elif name == "PROVIDERS" and isinstance(value, dict):
        for provider, words in value.items():
            split = isinstance(provider, str) and isinstance(words, dict)
            yield from ({provider: {key: word}} for key, word in words.items()) if split else [{provider: words}]
    else:
        yield value


def _without_unknown(where: str, given: Any, known: Any, messages: list[CheckMessage]) -> Any:
    if not isinstance(given, Mapping):
        return given
    unknown = [key for key in given if key not in known]
    messages += [_error("E001", f"{where} has the unknown key {key!r}.", hint=meant(key, known)) for key in unknown]
    return {key: value for key, value in given.items() if key in known}


def _form(name: str, told: str) -> str:
    if not told.startswith(f"settings.LLMCACHE[{name!r}] "):
        return f"docs/settings.md says what each part of {name} may be."
    setting = conf.SETTINGS[name]
    return f"{name} is {conf.names_of(setting.types)}, {setting.default!r} when it is left out; see docs/settings.md."


def _imports(settings: conf.Settings, told: set[str]) -> Iterator[CheckMessage]:
    failed: set[str] = set()
    said = set(told)  # the middleware says again what is wrong with the strategy
    for where, attempt in _attempts(settings):
        try:
            attempt()
        except Exception as error:
            if str(error) not in said:
                text = f"settings.LLMCACHE{where} names something that can't be used: {error!r}"
                text = str(error) if isinstance(error, ConfigurationError) else text
                yield _error("E003", text, hint=_path_hint(where))
            failed.add(where)
            said.add(str(error))
    if "['BACKEND']" not in failed:
        yield from stores.of_backend(settings)


def _attempts(settings: conf.Settings) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each place that has a dotted path, with what imports it and looks at what came."""
    yield "['STRATEGY']", strategies.current
    yield "['MIDDLEWARE']", pipeline.handler
    for name, words in settings.providers.items():
        where = f"['PROVIDERS'][{name!r}]" + ("['CLASS']" if "CLASS" in words else "")
        yield where, lambda name=name: providers.get(name)  # type: ignore[misc]
    for key, path in (("CACHEABLE", settings.cacheable), ("SCOPE", settings.scope)):
        if path is not None and (key == "CACHEABLE" or "." in path):
            yield f"[{key!r}]", lambda key=key, path=path: decisions.imported(key, path)  # type: ignore[misc]
    yield "['BACKEND']", lambda: backends.class_at(settings.backend)


def _path_hint(where: str) -> str:
    if where.startswith("['PROVIDERS']") and not where.endswith("['CLASS']"):
        return f"Mend the name, or set BASE_URL or CLASS in LLMCACHE{where}."
    hint = f"Mend the dotted path in LLMCACHE{where}, or install what it imports."
    return f"{hint} A SCOPE without a dot is taken as it stands." if where == "['SCOPE']" else hint


def _instrument(settings: conf.Settings) -> Iterator[CheckMessage]:
    if settings.instrument and find_spec("wrapt") is None:
        hint = "Install it: pip install 'django-llmcache[instrument]', or leave INSTRUMENT out."
        yield _error("E005", "settings.LLMCACHE['INSTRUMENT'] is True, and needs wrapt, which is missing.", hint=hint)


def _contradictions(raw: Mapping[str, Any], settings: conf.Settings) -> Iterator[CheckMessage]:
    for wrong, what, holds in (
        (
            not settings.enabled and raw.get("CACHE_BY_DEFAULT"),
            "ENABLED is False and CACHE_BY_DEFAULT is True",
            "Nothing is cached: ENABLED is the kill switch. Set ENABLED to True, or leave CACHE_BY_DEFAULT out.",
        ),
        (
            settings.require_scope and raw.get("SCOPE") == "public",
            "REQUIRE_SCOPE is True and SCOPE is 'public'",
            "No call is cached unless it names a scope of its own. Remove one of the two.",
        ),
        (
            _most_bytes(settings) < raw.get("MAX_ENTRY_BYTES", 0),
            "MAX_ENTRY_BYTES is more than the backend's MAX_BYTES",
            "An answer that is larger than the whole cache is not stored. Lower the one, or raise the other.",
        ),
    ):
        if wrong:
            yield checks.Warning(f"LLMCACHE: {what}.", hint=holds, id="llmcache.W003")


def _most_bytes(settings: conf.Settings) -> float:
    """Return the bytes that the in-process backend holds, where the settings say so; a near tier may hold less."""
    if settings.backend != conf.SETTINGS["BACKEND"].default:
        return math.inf
    said = settings.options.get("MAX_BYTES")
    return math.inf if isinstance(said, bool) or not isinstance(said, int | float) else said


def _ignored(settings: conf.Settings) -> Iterator[CheckMessage]:
    for path in settings.ignore_fields:
        steps = ["*" if step.isdecimal() else step for step in steps_of(path)]
        if ".".join(steps).removesuffix(".*") in QUESTIONS:
            yield checks.Warning(
                f"LLMCACHE['IGNORE_FIELDS'] has {path!r}, which says what is asked.",
                hint="Requests that differ in nothing else get one another's answers. Name what is inside it that "
                "doesn't matter, such as 'messages.*.id'.",
                id="llmcache.W005",
            )


def _tag_models(settings: conf.Settings) -> Iterator[CheckMessage]:
    for label in sorted(settings.tag_models or ()):
        try:
            apps.get_model(label)
        except LookupError as error:
            hint = "Mend the label, or leave it out: nothing is cleared for a model that there is not."
            yield checks.Warning(f"LLMCACHE['TAG_MODELS'] has {label!r}: {error}", hint=hint, id="llmcache.W007")


def _test_strategy(settings: conf.Settings) -> Iterator[CheckMessage]:
    try:
        strategy = import_string(settings.strategy)
    except Exception:
        return  # _imports tells of it
    if getattr(strategy, "tests_only", False) and not conf.under_test_runner():
        yield checks.Warning(
            f"LLMCACHE['STRATEGY'] is {settings.strategy!r} outside a test run.",
            hint="It behaves as ProductionStrategy there; set it in the settings of your tests only.",
            id="llmcache.W002",
        )


def _test_cache() -> Iterator[CheckMessage]:
    if conf.under_test_runner():
        return
    try:
        said = conf.test_cache_words()
    except ConfigurationError as error:
        told = str(error)
    else:
        told = "The environment turns the test cache on (LLMCACHE_TEST_CACHE_ENABLED), and this is no test run."
        if not said.enabled:
            return
    hint = "Nothing is recorded or replayed here; live_api would be refused. Unset it outside of test runs."
    yield checks.Warning(told, hint=hint, id="llmcache.W004")


def _error(number: str, message: str, *, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"llmcache.{number}")
