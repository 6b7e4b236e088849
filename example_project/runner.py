"""The test runner of ``manage.py test``."""

from __future__ import annotations

from typing import Any

from django_llmcache.testing import LLMCacheDiscoverRunner


class ExampleRunner(LLMCacheDiscoverRunner):
    """Adds a block at the end of live_api tests; without a label it runs the example's own: the others are pytest's."""

    def build_suite(self, test_labels: list[str] | None = None, **kwargs: Any) -> Any:
        """Return the tests of the labels."""
        return super().build_suite(test_labels or ["example_project"], **kwargs)
