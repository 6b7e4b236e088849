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

    def decorate_class(self, cls: type[Any]) -> type[Any]:
        """Put the keys in force for a class, over what holds where it is written, or is overridden there already."""
        held = getattr(cls, "_overridden_settings", None) or {}
        self.options = {"LLMCACHE": _merged(held.get("LLMCACHE", conf.raw()), self._keys)}
        decorated: type[Any] = super().decorate_class(cls)
        return decorated


def _merged(raw: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    merged = {**raw, **keys}
    for name in ("PROVIDERS", "TEST_CACHE"):
        if name in raw and name in keys:
            merged[name] = {**raw[name], **keys[name]}
    return merged
