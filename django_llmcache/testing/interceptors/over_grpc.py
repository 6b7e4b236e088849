"""Watches the calls of ``grpc``, which connects below Python's sockets: refused in a replay, and a leak elsewhere.

It records none of them: Google's SDKs speak HTTP too, with ``transport="rest"``, and that is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final

import grpc
from grpc import _channel as sync
from grpc.aio import _channel as asynchronous

from django_llmcache.recorder import in_force

from .patching import replace
from .sockets import watch

_TARGET: Final = re.compile(
    r"(?:(?:dns|google-c2p|ipv4|ipv6|passthrough|xds):(?://[^/]*/)?)?(\[[^]]*\]|[^:,/]*)(?::(\w+))?", re.IGNORECASE
)
"""A host and its port, with the scheme and the authority that may stand before it."""

_KINDS: Final = tuple(
    getattr(library, f"{name}MultiCallable")
    for library in (grpc, grpc.aio)
    for name in ("UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream")
)
_CALLS: Final = ("__call__", "with_call", "future")


def install() -> None:
    """Watch the calls, also those on a channel from before."""
    for kind in _kinds():
        for name in _CALLS:
            if name in vars(kind):
                replace(kind, name, _calling)


def _kinds() -> Iterator[type]:
    """Yield the classes of what calls one method of a server."""
    for module in (sync, asynchronous):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, _KINDS):
                yield kind


def _calling(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if in_force.current() is not None:
            host, port = _place(self._channel)
            watch(host, port or "https", client="grpc")  # the port that gRPC takes where none is named
        return original(self, *args, **kwargs)

    return call


def _place(channel: Any) -> tuple[str, str | None]:
    """Return the host and the port that a channel leads to."""
    target = channel.target() if callable(channel.target) else channel.target  # of a loop's it is a property
    found = _TARGET.match(target.decode())
    return (found[1].strip("[]"), found[2]) if found else ("", None)
