"""The HTTP clients that the recorder knows, behind one function that tells what each of them saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from types import ModuleType
from typing import NamedTuple

import aiohttp
import httpx
import httpx2
import requests
from urllib3.exceptions import ReadTimeoutError

LONG = 10.0


class Seen(NamedTuple):
    """What came of a request.

    Attributes:
        status, reason, headers: of the answer; names in lower case.
        pieces: the body as it came, piece for piece, decoded.
        error: what the client raised: ``dropped``, ``timeout``, ``refused``, or nothing.
    """

    status: int = 0
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[bytes, ...] = ()
    error: str = ""

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def header(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other == name]


Told = Callable[[bytes], None]


class Wish(NamedTuple):
    """One request.

    Attributes:
        upto: how many pieces are read before the answer is closed; ``None`` for all.
        streamed: whether the body is read piece by piece, or by the client itself.
        told: called with each piece when it has come.
    """

    url: str
    method: str = "POST"
    body: bytes = b'{"model": "m", "messages": []}'
    headers: Mapping[str, str] = {"content-type": "application/json"}
    timeout: float = LONG
    upto: int | None = None
    streamed: bool = True
    told: Told = lambda piece: None


def over_requests(wish: Wish) -> Seen:
    seen = Seen()
    try:
        with (
            requests.Session() as session,
            session.request(
                wish.method, wish.url, data=wish.body, headers=dict(wish.headers), timeout=wish.timeout,
                stream=wish.streamed,
            ) as answer,
        ):  # fmt: skip
            pairs = tuple((name.lower(), value) for name, value in answer.raw.headers.items())
            seen = Seen(answer.status_code, answer.reason, pairs)
            pieces = answer.iter_content(None) if wish.streamed else [answer.content]
            for piece in islice(pieces, wish.upto):
                wish.told(piece)
                seen = seen._replace(pieces=(*seen.pieces, piece))
    except requests.exceptions.ChunkedEncodingError:
        return seen._replace(error="dropped")
    except requests.exceptions.Timeout:
        return seen._replace(error="timeout")
    except requests.exceptions.ConnectionError as error:  # in the middle of a body this is its time-out too
        return seen._replace(error="timeout" if isinstance(error.args[0], ReadTimeoutError) else "refused")
    return seen


def over_httpx(library: ModuleType, wish: Wish) -> Seen:
    seen = Seen()
    try:
        with library.Client(follow_redirects=True, timeout=wish.timeout, verify=False) as client:
            request = client.build_request(wish.method, wish.url, content=wish.body, headers=wish.headers)
            answer = client.send(request, stream=wish.streamed)
            seen = _head(answer)
            pieces: Iterable[bytes] = answer.iter_bytes() if wish.streamed else [answer.content]
            for piece in islice(pieces, wish.upto):
                wish.told(piece)
                seen = seen._replace(pieces=(*seen.pieces, piece))
            answer.close()
    except (library.RemoteProtocolError, library.TimeoutException, library.ConnectError) as error:
        return seen._replace(error=_named(library, error))
    return seen


def over_httpx_async(library: ModuleType, wish: Wish) -> Seen:
    return asyncio.run(_over_httpx_async(library, wish))


async def _over_httpx_async(library: ModuleType, wish: Wish) -> Seen:
    seen = Seen()
    try:
        async with library.AsyncClient(follow_redirects=True, timeout=wish.timeout, verify=False) as client:
            request = client.build_request(wish.method, wish.url, content=wish.body, headers=wish.headers)
            answer = await client.send(request, stream=wish.streamed)
            seen = _head(answer)
            pieces: AsyncIterable[bytes] = answer.aiter_bytes() if wish.streamed else _one(answer.content)
            async for piece in pieces:
                wish.told(piece)
                seen = seen._replace(pieces=(*seen.pieces, piece))
                if len(seen.pieces) == wish.upto:
                    break
            await answer.aclose()
    except (library.RemoteProtocolError, library.TimeoutException, library.ConnectError) as error:
        return seen._replace(error=_named(library, error))
    return seen


async def _one(content: bytes) -> AsyncIterable[bytes]:
    yield content


def over_aiohttp(wish: Wish) -> Seen:
    return asyncio.run(_over_aiohttp(wish))


async def _over_aiohttp(wish: Wish) -> Seen:
    seen = Seen()
    limits = aiohttp.ClientTimeout(total=None, sock_read=wish.timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=limits) as session,
            session.request(wish.method, wish.url, data=wish.body, headers=wish.headers) as answer,
        ):
            pairs = tuple((name.lower(), value) for name, value in answer.headers.items())
            seen = Seen(answer.status, answer.reason or "", pairs)
            pieces = _unmarked(answer.content) if wish.streamed else _one(await answer.read())
            async for piece in pieces:
                wish.told(piece)
                seen = seen._replace(pieces=(*seen.pieces, piece))
                if len(seen.pieces) == wish.upto:
                    break
    except aiohttp.ClientPayloadError:
        return seen._replace(error="dropped")
    except TimeoutError:
        return seen._replace(error="timeout")
    except aiohttp.ClientConnectorError:
        return seen._replace(error="refused")
    return seen


async def _unmarked(content: aiohttp.StreamReader) -> AsyncIterable[bytes]:
    while not content.at_eof():  # iter_chunks() never ends where there is no body
        piece, _ = await content.readchunk()
        if piece:
            yield piece


def _head(answer) -> Seen:
    return Seen(answer.status_code, answer.reason_phrase, tuple(answer.headers.multi_items()))


def _named(library: ModuleType, error: Exception) -> str:
    if isinstance(error, library.TimeoutException):
        return "timeout"
    return "refused" if isinstance(error, library.ConnectError) else "dropped"


CLIENTS: dict[str, Callable[[Wish], Seen]] = {
    "requests": over_requests,
    "httpx2": partial(over_httpx, httpx2),
    "httpx2 async": partial(over_httpx_async, httpx2),
    "httpx": partial(over_httpx, httpx),
    "httpx async": partial(over_httpx_async, httpx),
    "aiohttp": over_aiohttp,
}
