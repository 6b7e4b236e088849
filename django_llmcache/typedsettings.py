"""``LLMCACHE`` as one typed value, whoever read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .durations import lasting, seconds
from .exceptions import ConfigurationError
from .policies import UNSET, Unset, checked_scope
from .shapes import (
    SETTINGS,
    TIMEOUT,
    check_type,
    dotted,
    header_names,
    labels,
    positive,
    provider,
    share,
    texts,
    ttl_rule,
    version,
)
from .testcache import TestCacheSettings


class Settings:
    """One snapshot of ``LLMCACHE``, typed. Times are in seconds, sizes in bytes."""

    def __init__(self, raw: Any) -> None:
        if not isinstance(raw, Mapping):
            raise ConfigurationError(f"settings.LLMCACHE is a {type(raw).__name__}; it must be a dict.")
        values = {name: raw.get(name, setting.default) for name, setting in SETTINGS.items()}
        for name, setting in SETTINGS.items():
            check_type(f"[{name!r}]", values[name], setting.types, shown=name not in ("OPTIONS", "PROVIDERS"))
        self.enabled: bool = values["ENABLED"]
        self.cache_by_default: bool = values["CACHE_BY_DEFAULT"]
        self.cacheable: str | None = values["CACHEABLE"]
        self.require_scope: bool = values["REQUIRE_SCOPE"]
        self.strategy: str = values["STRATEGY"]
        self.backend: str = values["BACKEND"]
        self.options: Mapping[str, Any] = values["OPTIONS"]
        self.default_ttl = seconds(values["DEFAULT_TTL"], source="settings.LLMCACHE['DEFAULT_TTL']")
        self.ttl_rules = tuple(ttl_rule(index, rule) for index, rule in enumerate(values["TTL_RULES"]))
        self.ttl_jitter = share("['TTL_JITTER']", values["TTL_JITTER"])
        self.stale_for = lasting(values["STALE_FOR"], source="settings.LLMCACHE['STALE_FOR']")
        self.cleanup_interval = positive("['CLEANUP_INTERVAL']", values["CLEANUP_INTERVAL"])
        self.max_entry_bytes = int(positive("['MAX_ENTRY_BYTES']", values["MAX_ENTRY_BYTES"]))
        self.key_version = version("KEY_VERSION", values["KEY_VERSION"])
        self.ignore_fields = dotted("IGNORE_FIELDS", values["IGNORE_FIELDS"])
        self.key_headers = header_names("KEY_HEADERS", values["KEY_HEADERS"])
        self.scope = checked_scope(values["SCOPE"], source="settings.LLMCACHE['SCOPE']")
        if self.require_scope and self.scope == "public":
            self.scope = None  # the two contradict each other, and the safer one holds
        self.tag_models = labels("TAG_MODELS", values["TAG_MODELS"])
        self.middleware = texts("MIDDLEWARE", values["MIDDLEWARE"])
        self.providers = {name: provider(name, words) for name, words in values["PROVIDERS"].items()}
        self.instrument: bool = values["INSTRUMENT"]
        self.run_dir = Path(values["RUN_DIR"]) if values["RUN_DIR"] else None
        self.async_threads = int(positive("['ASYNC_THREADS']", values["ASYNC_THREADS"]))
        self.test_cache = TestCacheSettings(values["TEST_CACHE"])

    def ttl_for(self, provider: str, model: str, operation: str) -> float | None:
        """Return the time to live, in seconds, of an answer whose caller named none; ``None`` is for ever.

        The provider's ``TTL`` holds, then the first rule of ``TTL_RULES`` that matches, then ``DEFAULT_TTL``.
        """
        own: float | Unset | None = self.providers.get(provider, {}).get("TTL", UNSET)
        if not isinstance(own, Unset):
            return own
        for rule in self.ttl_rules:
            if rule.matches(provider, model, operation):
                return rule.ttl
        return self.default_ttl

    def timeout_for(self, provider: str) -> float:
        """Return the seconds to wait for a connection to a provider, and for each piece of its answer."""
        timeout: float = self.providers.get(provider, {}).get("TIMEOUT", TIMEOUT)
        return timeout
