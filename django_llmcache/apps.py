"""The Django app."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Any, Final

from django.apps import AppConfig
from django.core.signals import setting_changed

from . import arrivals, conf
from .exceptions import ConfigurationError

NEEDS_WRAPT: Final = (
    "settings.LLMCACHE['INSTRUMENT'] is True, and needs wrapt: pip install 'django-llmcache[instrument]'. "
    "Until then nothing is instrumented."
)

TESTS: Final = "django.test.testcases"
"""Where Django has its test cases."""

logger = logging.getLogger("django_llmcache")


class LLMCacheConfig(AppConfig):
    """The response cache and the test cache for LLM calls."""

    name = "django_llmcache"
    label = "llmcache"
    verbose_name = "LLM cache"

    def ready(self) -> None:
        """Register the system checks, instrument, and hook unittest for ``live_api`` as soon as tests are imported."""
        # What has the entries and the counts is one for the whole process, also where a test patches `sys.modules`.
        from . import backends, checks, invalidation, telemetry  # noqa: F401

        checks.connect()
        invalidation.connect()
        _instrument()
        setting_changed.connect(_instrument, dispatch_uid="django_llmcache.instrument")
        if arrivals.is_here(TESTS):
            hook_unittest()
        else:  # `manage.py test`, a script of one's own around a test runner: never a server
            arrivals.wait_for([TESTS], hook_unittest)


def hook_unittest() -> None:
    """Let ``live_api`` tests be answered for under Django's runner; under pytest our plugin does that."""
    if "django_llmcache.testing.plugin" not in sys.modules:
        from .testing import hooks

        hooks.install()


def _instrument(*, setting: str = "LLMCACHE", **_: Any) -> None:
    """Put the pipeline under the HTTP libraries, or take it away, as ``INSTRUMENT`` says."""
    if setting != "LLMCACHE":
        return
    home = "django_llmcache.transports.instrument"
    try:
        settings = conf.current()
    except ConfigurationError:
        return  # the system checks tell of it, and every call does
    if settings.instrument or home in sys.modules:
        try:
            instrument = import_module(home)
        except ImportError:
            logger.exception(NEEDS_WRAPT)
        else:
            instrument.follow(settings)
