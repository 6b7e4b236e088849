"""The Django app."""

from __future__ import annotations

import sys

from django.apps import AppConfig


class LLMCacheConfig(AppConfig):
    """The response cache and the test cache for LLM calls."""

    name = "django_llmcache"
    label = "llmcache"
    verbose_name = "LLM cache"

    def ready(self) -> None:
        """Register the system checks, and under ``manage.py test`` hook unittest for ``live_api`` tests."""
        from . import checks

        checks.connect()
        if sys.argv[1:2] == ["test"]:
            from .testing import hooks

            hooks.install()
