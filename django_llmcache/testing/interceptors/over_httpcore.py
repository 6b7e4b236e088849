"""Watches what a mock in the pool of ``httpcore2`` or ``httpcore`` passes on, which httpx shows nobody."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from django_llmcache.arrivals import is_here
from django_llmcache.recorder import session

from .patching import replace
from .sockets import watch


def install() -> None:
    """Watch each request at its connection, as far as the libraries are imported."""
    for core in [import_module(name) for name in ("httpcore2", "httpcore") if is_here(name)]:
        replace(core.HTTPConnection, "handle_request", _connected)
        replace(core.AsyncHTTPConnection, "handle_async_request", _connected)


def _connected(original: Callable[..., Any]) -> Callable[..., Any]:
    """Tell of a request over a connection from before too, which no socket shows."""

    @wraps(original)
    def handle(connection: Any, request: Any) -> Any:  # awaited by whoever asked, on a loop
        if session.current() is not None:
            watch(request.url.host, request.url.port or request.url.scheme.decode(), client="httpx")
        return original(connection, request)

    return handle
