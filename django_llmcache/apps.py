"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class LLMCacheConfig(AppConfig):
    """The response cache and the test cache for LLM calls."""

    name = "django_llmcache"
    label = "llmcache"
    verbose_name = "LLM cache"

    def ready(self) -> None:
        """Register the system checks."""
        from . import checks

        checks.connect()
