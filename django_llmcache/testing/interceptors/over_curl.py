"""Watches the calls of ``curl_cffi``, which connects below Python's sockets: refused in a replay, and a leak elsewhere.

It records none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from curl_cffi import AsyncCurl, Curl, CurlError, CurlInfo, CurlOpt

from django_llmcache.recorder import in_force

from .patching import replace
from .sockets import watch

_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_told: Final[WeakKeyDictionary[Any, str]] = WeakKeyDictionary()
"""The address that a handle was told last: of one without a scheme, it tells nothing itself."""


def install() -> None:
    """Watch the calls, also those of a handle from before."""
    replace(Curl, "setopt", _telling)
    replace(Curl, "perform", _performing)
    replace(AsyncCurl, "add_handle", _adding)


def _telling(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def setopt(self: Any, option: Any, value: Any) -> Any:
        if option == CurlOpt.URL:
            _told[self] = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        return original(self, option, value)

    return setopt


def _performing(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def perform(self: Any, *args: Any, **kwargs: Any) -> Any:
        if in_force.current() is not None:
            _watch(self)
        return original(self, *args, **kwargs)

    return perform


def _adding(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def add_handle(self: Any, curl: Any, *args: Any, **kwargs: Any) -> Any:
        if in_force.current() is not None:
            _watch(curl)
        return original(self, curl, *args, **kwargs)

    return add_handle


def _watch(curl: Any) -> None:
    url = _told.get(curl, "")
    with suppress(CurlError):
        url = curl.getinfo(CurlInfo.EFFECTIVE_URL).decode(errors="replace")
    with suppress(ValueError):  # what is no address is the library's own error
        parts = urlsplit(url if "://" in url else f"http://{url}")
        watch(parts.hostname, parts.port or _PORTS.get(parts.scheme), client="curl_cffi", scheme=parts.scheme)
