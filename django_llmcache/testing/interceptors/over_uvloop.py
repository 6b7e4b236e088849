"""Watches the connections of ``uvloop``'s loops, which look names up and connect below Python's sockets."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import uvloop

from django_llmcache.recorder import in_force

from .patching import replace
from .sockets import looking_up_on_a_loop, watch


def install() -> None:
    """Watch the loops, also those from before."""
    # The class is Python's own, over the one in C: what is set there holds for each loop, whoever makes it.
    for name, make in (("create_connection", _connecting), ("getaddrinfo", looking_up_on_a_loop)):
        replace(uvloop.Loop, name, make)


def _connecting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def create_connection(
        self: Any, protocol_factory: Any, host: Any = None, port: Any = None, **kwargs: Any
    ) -> Any:
        if in_force.current() is not None:
            watch(host, port)  # none where a socket is given, which is connected already
        return await original(self, protocol_factory, host, port, **kwargs)

    return create_connection
