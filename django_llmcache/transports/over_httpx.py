"""Send over ``httpx2`` on the running event loop: one pooled client for each loop, closed with it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import httpx2

from .over_requests import POOL, connection_error
from .wire import WireAnswer, WireRequest

FAILURES: Final = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ExceptionGroup)
"""What it raises, with what escapes it from the library below: a group, for a port that is none."""

_clients: dict[asyncio.AbstractEventLoop, tuple[httpx2.AsyncClient, AsyncGenerator[None, None]]] = {}


async def send(wire: WireRequest) -> WireAnswer:
    """Send, and return the whole answer; raises as ``over_requests.send`` does."""
    client = await _client()
    try:
        answer = await client.send(_built(client, wire))
        return WireAnswer(answer.status_code, tuple(answer.headers.multi_items()), answer.content)
    except FAILURES as error:
        failure = connection_error(wire, error, timed_out=isinstance(error, httpx2.TimeoutException))
    raise failure


async def open_stream(wire: WireRequest) -> HttpxStream:
    """Send, and return when the answer's head has come; raises as ``over_requests.send`` does."""
    client = await _client()
    try:
        return HttpxStream(wire, await client.send(_built(client, wire), stream=True))
    except FAILURES as error:
        failure = connection_error(wire, error, timed_out=isinstance(error, httpx2.TimeoutException))
    raise failure


class HttpxStream:
    """An answer that is read as it arrives."""

    def __init__(self, wire: WireRequest, answer: httpx2.Response) -> None:
        self._wire = wire
        self._answer = answer
        self.status = answer.status_code
        self.headers = tuple(answer.headers.multi_items())

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they arrive."""
        try:
            async for piece in self._answer.aiter_bytes():
                yield piece
            return
        except FAILURES as error:
            failure = connection_error(self._wire, error, timed_out=isinstance(error, httpx2.TimeoutException))
        raise failure

    async def close(self) -> None:
        """Give the connection back."""
        await self._answer.aclose()


def _built(client: httpx2.AsyncClient, wire: WireRequest) -> httpx2.Request:
    return client.build_request(
        "POST", wire.url, content=wire.body, headers=wire.headers, timeout=httpx2.Timeout(wire.timeout)
    )


async def _client() -> httpx2.AsyncClient:
    loop = asyncio.get_running_loop()
    known = _clients.get(loop)
    if known is None:
        for old in list(_clients):  # a copy: other threads have loops of their own
            if old.is_closed():
                _clients.pop(old, None)
        client = httpx2.AsyncClient(
            verify=_tls(),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=POOL),
            auth=_keep_headers,
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        )
        closer = _close_with_loop(client, loop)
        known = _clients[loop] = (client, closer)
        await anext(closer)
    return known[0]


@cache
def _tls() -> ssl.SSLContext:
    """Read the certificates once: it takes tens of milliseconds, on the loop."""
    return httpx2.create_ssl_context()


async def _close_with_loop(client: httpx2.AsyncClient, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[None, None]:
    """Wait to be closed: ``asyncio.run`` and its like close every async generator before they close their loop."""
    try:
        yield
    finally:
        _clients.pop(loop, None)
        await client.aclose()


def _keep_headers(request: Any) -> Any:
    """Stand in for an auth handler: neither a ``.netrc`` nor a password in the address replaces the API key."""
    return request
