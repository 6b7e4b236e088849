"""What tests use: ``live_api``, ``override_llmcache`` and ``assert_llm_calls``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asserting import assert_llm_calls
    from .live import live_api
    from .overriding import override_llmcache
    from .runner import LLMCacheDiscoverRunner, LLMCacheRunnerMixin

__all__ = ["LLMCacheDiscoverRunner", "LLMCacheRunnerMixin", "assert_llm_calls", "live_api", "override_llmcache"]

_HOMES = {
    "LLMCacheDiscoverRunner": "runner", "LLMCacheRunnerMixin": "runner", "assert_llm_calls": "asserting",
    "live_api": "live", "override_llmcache": "overriding",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: pytest loads its plugin from here before Django is set up."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
