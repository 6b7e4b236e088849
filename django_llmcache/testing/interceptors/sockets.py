"""Watches the connections that are made, for clients that the recorder doesn't know.

In ``replay`` a connection to a provider is refused; in the other modes one that no call makes of which the recorder
knows is noted as a leak. All else (databases, loopback servers, other hosts) passes.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit

from django_llmcache.recorder import in_force
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode

from .answering import refuse_cassette
from .callers import client_of, is_nobody
from .patching import replace

_SCHEMES: Final[dict[Any, str]] = {80: "http", 443: "https", "80": "http", "443": "https"} | {
    name: name for name in ("http", "https")
}
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

_let_pass: Final[list[tuple[Any, Any]]] = []
"""The hosts and ports that loops are looking up: each was watched in the task, which tells whose session it is."""


def install() -> None:
    """Watch connections and look-ups of names."""
    for owner, name, make in (
        (socket.socket, "connect", _connecting),
        (socket.socket, "connect_ex", _connecting),
        (socket, "getaddrinfo", _looking_up),
        # Where the loop looks names up in a thread, nothing of the client is on the stack any more.
        (asyncio.BaseEventLoop, "getaddrinfo", looking_up_on_a_loop),
        # On a connection from before, or through a proxy; urllib, urllib3 and botocore send with it too.
        (http.client.HTTPConnection, "putrequest", _sending),
    ):
        replace(owner, name, make)


def _connecting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def connect(self: socket.socket, address: Any) -> Any:
        if in_force.current() is not None and isinstance(address, tuple):
            try:
                watch(address[0], address[1])
            except BaseException:
                self.close()  # whoever called expects an OSError at most, and would leave it open
                raise
        return original(self, address)

    return connect


def _looking_up(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if in_force.current() is not None and (host, port) not in _let_pass:
            watch(host, port)
        return original(host, port, *args, **kwargs)

    return getaddrinfo


def looking_up_on_a_loop(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loop's ``getaddrinfo`` that is watched, once: the thread that it goes on in has no session."""

    @wraps(original)
    async def getaddrinfo(self: Any, host: Any, port: Any, **kwargs: Any) -> Any:
        if in_force.current() is not None:
            watch(host, port)
        _let_pass.append((host, port))
        try:
            return await original(self, host, port, **kwargs)
        finally:
            _let_pass.remove((host, port))

    return getaddrinfo


def _sending(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def putrequest(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if in_force.current() is not None:
            to_proxy = urlsplit(url) if "://" in url else None
            host, port = self._tunnel_host or self.host, self._tunnel_port or self.port
            scheme = "https" if self.default_port == http.client.HTTPS_PORT else "" if self._tunnel_host else "http"
            if to_proxy is not None and to_proxy.hostname:
                host, port, scheme = to_proxy.hostname, to_proxy.port or to_proxy.scheme, to_proxy.scheme
            watch(host, port, scheme=scheme, is_request=True)
        return original(self, method, url, *args, **kwargs)

    return putrequest


def watch(host: Any, port: Any, *, client: str = "", scheme: str = "", is_request: bool = False) -> None:
    """Refuse a connection to a provider in a replay, and note it in the other modes, unless the recorder knows of it.

    Args:
        host: as the client says it.
        port: a number, a service's name, or neither.
        client: the library that connects, where it is not on the stack itself; it makes requests.
        scheme: of the address, where more is known of it than the port.
        is_request: whether a request is about to be sent. Any other connection may be to a database.

    Raises:
        FixtureMiss: it is refused, also where a request may be to a provider, as the settings can't be read.
    """
    current = in_force.current()
    if current is None or not isinstance(host, str | bytes):
        return
    name = (host.decode("ascii", "replace") if isinstance(host, bytes) else host).lower().rstrip(".")
    address = f"//{_bracketed(name)}{_port(port)}"
    wanted = Outgoing("CONNECT", f"{_SCHEMES.get(port, 'https')}:{address}", (), b"")
    provider = current.setup.provider_of(wanted.host) or ""
    refused = current.setup.unreadable and (provider or client or is_request)
    if not (provider or refused) or any(map(in_force.is_calling, _names(wanted))):
        return
    if not refused:
        refuse_cassette(wanted)
    who = client_of(client)
    known = _SCHEMES.get(port, scheme)
    asked = Outgoing(f"{who} connects to", f"{known}:{address}" if known else address, (), b"")
    if refused:
        raise current.refuse(asked)
    if current.mode is Mode.REPLAY:
        raise current.miss(asked, provider, "blocked")
    _note(current, wanted, who)


def _note(current: Session, wanted: Outgoing, client: str) -> None:
    """Note a leak, once for each client: a look-up and a connection are two steps, perhaps by two names."""
    names = _names(wanted)
    if is_nobody(client):
        noted = any(leak.endswith(f" to {name}") for leak in current.leaks for name in names)
    else:
        noted = any(f"{client} connected to {name}" in current.leaks for name in names)
    if not noted:
        current.leaks.append(f"{client} connected to {wanted.host}")


def _names(wanted: Outgoing) -> list[str]:
    """Return the host, and one of this machine by each of its names."""
    host = wanted.parts.hostname or ""
    tail = wanted.host.removeprefix(host)
    return [f"{name}{tail}" for name in (_LOOPBACK if host in _LOOPBACK else (host,))]


def _port(port: Any) -> str:
    return f":{port}" if str(port).isdecimal() and int(port) and port not in _SCHEMES else ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
