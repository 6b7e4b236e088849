"""System checks: what is wrong with the settings, said at ``manage.py check`` and at start.

=============  =========================================================================
id             what
=============  =========================================================================
llmcache.E001  an unknown key in ``LLMCACHE`` or in one of its parts
llmcache.E002  a value of the wrong type or range
llmcache.E003  a dotted path that does not import, or is not what it should be
llmcache.E004  options that the backend refuses
llmcache.W001  an in-process backend in production: each worker process has its own (deploy only)
llmcache.W002  the test strategy outside tests
llmcache.W003  settings that contradict each other; the safer one holds
=============  =========================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage, Error, Tags
from django.utils.module_loading import import_string

from . import backends, conf, decisions, pipeline, providers, strategies
from .exceptions import ConfigurationError


def check_settings(**_: Any) -> list[CheckMessage]:
    """Return what is wrong with ``settings.LLMCACHE``."""
    raw = conf.raw()
    if not isinstance(raw, Mapping):
        return [_error("E002", f"LLMCACHE is a {type(raw).__name__}; it must be a dict.")]
    messages = [*_unknown_keys(raw)]
    try:
        settings = conf.Settings(raw)
    except ConfigurationError as error:
        return [*messages, _error("E002", str(error))]
    return [*messages, *_imports(settings), *_contradictions(raw, settings), *_test_strategy(settings)]


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Return what does not fit a deployment."""
    try:
        backend = backends.current()
    except ConfigurationError:
        return []  # check_settings tells of it
    if not backend.in_process:
        return []
    return [
        checks.Warning(
            f"{type(backend).__name__} keeps answers in the memory of each process.",
            hint=(
                "Workers don't share answers, and a restart forgets them. That is right for one worker; with several, "
                "set LLMCACHE['BACKEND'] to a shared one, or silence llmcache.W001 in SILENCED_SYSTEM_CHECKS."
            ),
            id="llmcache.W001",
        )
    ]


def connect() -> None:
    """Register the checks with Django."""
    checks.register(check_settings, Tags.caches)
    checks.register(check_deployment, Tags.caches, deploy=True)


def _unknown_keys(raw: Mapping[str, Any]) -> Iterator[CheckMessage]:
    yield from _unknown("LLMCACHE", raw, list(conf.SETTINGS))
    listed = raw.get("PROVIDERS")
    for name, words in listed.items() if isinstance(listed, Mapping) else ():
        if isinstance(words, Mapping):
            yield from _unknown(f"LLMCACHE['PROVIDERS'][{name!r}]", words, list(conf.PROVIDER_KEYS))


def _unknown(where: str, given: Mapping[Any, Any], known: list[str]) -> Iterator[CheckMessage]:
    for key in given:
        if key not in known:
            close = get_close_matches(str(key).upper(), known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(sorted(known))}."
            yield _error("E001", f"{where} has the unknown key {key!r}.", hint=hint)


def _imports(settings: conf.Settings) -> Iterator[CheckMessage]:
    attempts = [strategies.current, backends.current, pipeline.handler]
    attempts += [lambda name=name: providers.get(name) for name in settings.providers]  # type: ignore[misc]
    if settings.scope is not None and "." in settings.scope:
        attempts.append(lambda: decisions.imported("SCOPE", settings.scope or ""))
    if settings.cacheable is not None:
        attempts.append(lambda: decisions.imported("CACHEABLE", settings.cacheable or ""))
    for attempt in attempts:
        try:
            attempt()
        except ConfigurationError as error:
            number = "E003" if isinstance(error.__cause__, ImportError) else "E004"
            yield _error(number, str(error))


def _contradictions(raw: Mapping[str, Any], settings: conf.Settings) -> Iterator[CheckMessage]:
    for wrong, what, holds in (
        (
            not settings.enabled and raw.get("CACHE_BY_DEFAULT"),
            "ENABLED is False and CACHE_BY_DEFAULT is True",
            "Nothing is cached: ENABLED is the kill switch.",
        ),
        (
            settings.require_scope and settings.scope == "public",
            "REQUIRE_SCOPE is True and SCOPE is 'public'",
            "No call is cached unless it names a scope of its own.",
        ),
    ):
        if wrong:
            yield checks.Warning(f"LLMCACHE: {what}.", hint=holds, id="llmcache.W003")


def _test_strategy(settings: conf.Settings) -> Iterator[CheckMessage]:
    try:
        strategy = import_string(settings.strategy)
    except ImportError:
        return  # _imports tells of it
    if getattr(strategy, "tests_only", False) and not conf.under_test_runner():
        yield checks.Warning(
            f"LLMCACHE['STRATEGY'] is {settings.strategy!r} outside a test run.",
            hint="It behaves as ProductionStrategy there; set it in the settings of your tests only.",
            id="llmcache.W002",
        )


def _error(number: str, message: str, *, hint: str | None = None) -> CheckMessage:
    return Error(message, hint=hint, id=f"llmcache.{number}")
