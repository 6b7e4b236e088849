"""The system checks of what middleware stands where, in ``LLMCACHE["MIDDLEWARE"]`` and in Django's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from django_llmcache import conf
from django_llmcache.middleware.cache import CacheMiddleware
from django_llmcache.middleware.retry import RetryMiddleware
from django_llmcache.middleware.web import problem_of_place, serves_llm_calls


def misplaced(settings: conf.Settings) -> Iterator[CheckMessage]:
    """Yield an error for each middleware that is named in the other ``MIDDLEWARE`` than its own."""
    for path, factory in _factories(settings.middleware):
        if problem := problem_of_place(path, factory):
            hint = "Move it to settings.MIDDLEWARE; one for scopes behind those that find out who asks, such as "
            yield Error(problem, hint=f"{hint}django.contrib.auth's AuthenticationMiddleware.", id="llmcache.E006")
    for path, factory in _factories(conf.web_middleware()):
        if serves_llm_calls(factory):
            yield Error(
                f"settings.MIDDLEWARE has {path!r}, which serves LLM calls: every page would fail.",
                hint="Move it to LLMCACHE['MIDDLEWARE'].",
                id="llmcache.E006",
            )


def retries_above_cache(settings: conf.Settings) -> Iterator[CheckMessage]:
    """Yield a warning for each middleware that retries and stands above the cache."""
    above = []
    for path, factory in _factories(settings.middleware):
        if not isinstance(factory, type):
            continue
        if issubclass(factory, CacheMiddleware):
            break
        if issubclass(factory, RetryMiddleware):
            above.append(path)
    else:
        return
    for path in above:
        yield checks.Warning(
            f"LLMCACHE['MIDDLEWARE'] has {path!r} above the cache.",
            hint="Each try looks the request up once more and counts as a miss. Put it below CacheMiddleware.",
            id="llmcache.W008",
        )


def _factories(paths: Iterable[str]) -> list[tuple[str, Any]]:
    """Return what imports. Of what doesn't, another check tells, or Django when it makes its handler."""
    found = []
    for path in paths:
        with suppress(Exception):
            found.append((path, import_string(path)))
    return found
