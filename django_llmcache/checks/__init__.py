"""System checks: what is wrong with the settings, said at ``manage.py check`` and at start.

=============  =========================================================================
id             what
=============  =========================================================================
llmcache.E001  an unknown key in ``LLMCACHE`` or in one of its parts
llmcache.E002  a value of the wrong type or range
llmcache.E003  a dotted path that does not import, or is not what it should be
llmcache.E004  options that the backend refuses
llmcache.E005  ``INSTRUMENT`` without the library that it needs
llmcache.E006  middleware for web requests among the LLM pipeline's, or ours for LLM calls among Django's
llmcache.W001  an in-process backend in production: each worker process has its own (deploy only)
llmcache.W002  the test strategy outside tests
llmcache.W003  settings that contradict each other; the safer one holds
llmcache.W004  the environment turns the test cache on, outside tests
llmcache.W005  a field is ignored that says what is asked: different questions would share one answer
llmcache.W006  the alias that entries are kept in pickles (deploy only)
llmcache.W007  ``TAG_MODELS`` names a model that there is not
llmcache.W008  middleware that retries stands above the cache: each try is a look-up
llmcache.W009  the backend could not be made: calls go on without the cache
=============  =========================================================================
"""

from __future__ import annotations

from typing import Any, Final

from django.core import checks
from django.core.checks import CheckMessage, Tags

TAG: Final = "llmcache"
"""``manage.py check --tag llmcache`` runs these checks alone."""


def check_settings(**_: Any) -> list[CheckMessage]:
    """Return what is wrong with ``settings.LLMCACHE``."""
    from . import settings

    return settings.problems()


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Return what does not fit a deployment."""
    from . import stores

    return list(stores.of_deployment())


def connect() -> None:
    """Register the checks with Django, which import what they look at when they run: a test run may never do so."""
    checks.register(check_settings, Tags.caches, TAG)
    checks.register(check_deployment, Tags.caches, TAG, deploy=True)
