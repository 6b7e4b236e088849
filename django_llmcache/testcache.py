"""``TEST_CACHE`` as one typed value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .durations import fresh_for
from .exceptions import ConfigurationError
from .shapes import TEST_CACHE_KEYS, check_type, positive, texts

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "MODE": ("replay", "once", "refresh", "live"),
    "FALLBACK": ("latest_success", "latest_any", "error"),
    "EXPIRED": ("warn", "error"),
}
"""The words that a key of ``TEST_CACHE`` may have."""

_PORT: Final = r"(?::[\d*?!\[\]-]+)?"
_SIX: Final = r"(?=[^\]]*:[^\]]*:)[\da-fA-F:.*?]+(?:%[\w.-]+)?"
_HOST: Final = re.compile(rf"(?:[\w.*?!\[\]-]+|{_SIX}){_PORT}")
"""A name or an address, with the wildcards of a shell; white space, a scheme, a user and a path are no part of one."""

_BRACKETED: Final = re.compile(rf"\[({_SIX})\]({_PORT})")
_USER: Final = re.compile(r"^([\w+.-]*://)?.*@", re.DOTALL)


def _fresh_for(value: Any) -> tuple[float | None, Mapping[str, float | None]]:
    """Return how long recordings are fresh, and those of single providers."""
    where = "settings.LLMCACHE['TEST_CACHE']['TTL']"
    if not isinstance(value, dict):
        return fresh_for(value, source=where), {}
    for name in value:
        if not isinstance(name, str):
            raise ConfigurationError(
                f"{where} has the key {name!r}; give the name of a provider, or '*' for all others."
            )
    ttls = {name: fresh_for(ttl, source=f"{where}[{name!r}]") for name, ttl in value.items()}
    return ttls.pop("*", None), ttls


def _hosts(values: Any) -> tuple[str, ...]:
    """Return patterns of ``host`` or ``host:port`` as what is asked is compared with them: IPv6 without brackets."""
    found = []
    for index, entry in enumerate(map(str.strip, texts("TEST_CACHE']['HOSTS", values))):
        if not entry:  # as of a variable that is split at its commas
            continue
        six = _BRACKETED.fullmatch(entry)
        pattern = "".join(six.groups("")) if six else entry
        if not _HOST.fullmatch(pattern):
            raise ConfigurationError(
                f"settings.LLMCACHE['TEST_CACHE']['HOSTS'][{index}] is {_shown(entry)!r}; "
                f"give host or host:port, such as 127.0.0.1:8765."
            )
        found.append(pattern)
    return tuple(found)


def _shown(entry: str) -> str:
    """Return what is no host less the secrets that an address may have: its user and its query."""
    place, question, _ = _USER.sub(r"\1…@", entry).partition("?")
    return f"{place}?…" if question else place


class TestCacheSettings:
    """``TEST_CACHE``, typed.

    Raises:
        ConfigurationError: an unknown key, or a value that cannot work.
    """

    __test__ = False  # its name is no test, whatever pytest thinks of it

    def __init__(self, words: Mapping[str, Any]) -> None:
        for key in words:
            if key not in TEST_CACHE_KEYS:
                raise ConfigurationError(
                    f"settings.LLMCACHE['TEST_CACHE'] has {key!r}; it may have {', '.join(TEST_CACHE_KEYS)}."
                )
        values = {name: words.get(name, setting.default) for name, setting in TEST_CACHE_KEYS.items()}
        for name, value in values.items():
            where = f"['TEST_CACHE'][{name!r}]"
            check_type(where, value, TEST_CACHE_KEYS[name].types)
            if value is not None and value not in CHOICES.get(name, (value,)):
                known = ", ".join(CHOICES[name])
                raise ConfigurationError(f"settings.LLMCACHE{where} is {value!r}; give one of {known}.")
        self.enabled: bool | None = values["ENABLED"]
        self.dir: str | Path = values["DIR"]
        self.mode: str | None = values["MODE"]
        self.ttl, self.ttls = _fresh_for(values["TTL"])
        self.fallback: str = values["FALLBACK"]
        self.expired: str = values["EXPIRED"]
        self.hosts = _hosts(values["HOSTS"])
        self.ignore_paths = texts("TEST_CACHE']['IGNORE_PATHS", values["IGNORE_PATHS"])
        self.max_fixture_bytes = int(positive("['TEST_CACHE']['MAX_FIXTURE_BYTES']", values["MAX_FIXTURE_BYTES"]))
