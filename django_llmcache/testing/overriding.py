"""Other settings for a test: ``override_llmcache(DEFAULT_TTL=60)``."""

from __future__ import annotations

from typing import Any

from django.test import override_settings

from django_llmcache import conf
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.shapes import SETTINGS, meant


class override_llmcache(override_settings):  # noqa: N801 - reads as override_settings does
    """Set some keys of ``LLMCACHE`` in a block, a function or a test class; the others stay as they are.

    ``PROVIDERS`` and ``TEST_CACHE`` are merged per key as well.

    Raises:
        ConfigurationError: a key that there is not, where it is written; a value that cannot work, where it is read.
    """

    def __init__(self, **keys: Any) -> None:
        for key in keys:
            if key not in SETTINGS:
                raise ConfigurationError(f"override_llmcache has the unknown key {key!r}. {meant(key, SETTINGS)}")
        super().__init__()
        self._keys = keys

    def enable(self) -> None:
        """Put the keys in force, over what holds now."""
        self.options = {"LLMCACHE": _merged(conf.raw(), self._keys)}
        super().enable()

    def save_options(self, test_func: Any) -> None:
        """Put the keys on a test class, over those of the class above it; Django sets them as the class is set up."""
        before = test_func._overridden_settings or {}
        self.options = {"LLMCACHE": _merged(before.get("LLMCACHE", conf.raw()), self._keys)}
        super().save_options(test_func)


def _merged(raw: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    merged = {**raw, **keys}
    for name in ("PROVIDERS", "TEST_CACHE"):
        if name in raw and name in keys:
            merged[name] = {**raw[name], **keys[name]}
    return merged
