"""Sees what ``aiohttp`` sends: where a session asks its connector for a connection.

Redirects, cookies, time-outs and the ways to read a body stay the library's own: it is given a connection that answers,
with a body that is fetched piece by piece when its reader waits for more.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from aiohttp import BaseConnector, ClientConnectorError, ClientPayloadError, HttpVersion11, SocketTimeoutError
from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage
from aiohttp.payload import BytesPayload
from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy

from django_llmcache.recorder import in_force
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.taping import Taping

from .answering import (
    DROPPED,
    REFUSED,
    TIMED_OUT,
    begin,
    concerns,
    headers_of,
    is_stream,
    latin,
    lowered,
    reason_of,
    spoiled,
)
from .patching import replace_unless_mocked

_AT_HAND: Final = (bytes, bytearray, BytesPayload)
_LIMIT: Final = 65536


def install() -> None:
    """Let aiohttp pass by the recorder."""
    replace_unless_mocked(BaseConnector, "connect", _connecting)


def _connecting(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def connect(connector: BaseConnector, req: Any, traces: Any, timeout: Any) -> Any:
        if in_force.current() is None or "upgrade" in req.headers:  # a websocket is nothing to replay
            return await original(connector, req, traces=traces, timeout=timeout)
        if not (isinstance(req.body, _AT_HAND) or concerns(str(req.url))):
            return await original(connector, req, traces=traces, timeout=timeout)
        exchange = begin(await _outgoing(req), timeout=timeout.sock_read or timeout.total)
        if isinstance(exchange, Replay):
            if exchange.failure == "refused":
                raise ClientConnectorError(req.connection_key, OSError(errno.ECONNREFUSED, REFUSED))
            return _Offline(connector, exchange, req.method)
        if exchange is None:
            return await original(connector, req, traces=traces, timeout=timeout)
        try:
            with exchange.calling():
                connection = await original(connector, req, traces=traces, timeout=timeout)
        except Exception as error:
            exchange.broke(error)
            raise
        _Tap(connection.protocol, exchange, req.method)
        return connection

    return connect


async def _outgoing(req: Any) -> Outgoing:
    return Outgoing(req.method.upper(), str(req.url), lowered(req.headers.items()), await _body(req))


async def _body(req: Any) -> bytes:
    body = req.body
    if body is None or isinstance(body, bytes | bytearray):
        return bytes(body or b"")
    return bytes(await body.as_bytes())  # of a memoryview it gives that


class _Tap:
    """Gives the body of a connection's next answer to a tape, as its reader reads it."""

    def __init__(self, protocol: Any, tape: Taping, method: str) -> None:
        self._protocol = protocol
        self._tape = tape
        self._method = method
        self._read, self._set = protocol.read, protocol.set_response_params
        self._decoded = True
        protocol.read = self.read
        protocol.set_response_params = self.set_response_params

    def set_response_params(self, **params: Any) -> None:
        self._decoded = params.get("auto_decompress", True)
        self._set(**params)

    async def read(self) -> tuple[RawResponseMessage, StreamReader]:
        try:
            message, body = await self._read()
        except Exception as error:
            self._tape.broke(error)
            raise
        if message.code < 200:  # 100 Continue: the answer is still to come
            return message, body
        del self._protocol.read, self._protocol.set_response_params
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.raw_headers]
        if self._decoded:
            pairs = [pair for pair in pairs if pair[0].lower() != "content-encoding"]
        self._tape.began(message.code, message.reason, tuple(pairs))
        if body.at_eof():
            self._tape.ended()
        else:
            body = _Taped(body, self._tape, chunked=message.chunked)
        if not self._tape.is_spoiled:
            return message, body
        await body.read()  # a fault is cut from the whole answer
        return _answer(spoiled(self._tape), self._method)


class _Unpaused(BaseProtocol):
    """What a body asks for less when it has enough: ours fetches only what it is asked for."""

    def pause_reading(self) -> None:
        pass

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - as in its base
        pass


class _Fetched(StreamReader):
    """A body whose pieces are fetched when its reader waits for more."""

    __slots__ = ()

    def __init__(self, *, chunked: bool) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(_Unpaused(loop), _LIMIT, loop=loop)
        if chunked:
            self.begin_http_chunk_receiving()


class _Taped(_Fetched):
    """A live body, of which the tape is told as it passes."""

    __slots__ = ("_chunked", "_live", "_tape")

    def __init__(self, live: StreamReader, tape: Taping, *, chunked: bool) -> None:
        super().__init__(chunked=chunked)
        self._live = live
        self._tape = tape
        self._chunked = chunked

    async def _wait(self, func_name: str) -> None:
        try:
            data, chunk_ends = await self._live.readchunk()
        except BaseException as error:  # a cancellation too
            self._tape.broke(error)
            raise
        self._tape.chunk(data)
        self.feed_data(data)
        if chunk_ends and self._chunked:
            self.end_http_chunk_receiving()
        if not data and not chunk_ends:
            self._tape.ended()
            self.feed_eof()

    def on_eof(self, callback: Callable[[], None]) -> None:
        self._live.on_eof(callback)  # the connection is free when all has come, read or not

    def set_exception(self, exc: BaseException, *args: Any) -> None:
        self._tape.ended(complete=False)  # says nothing new where the end was reached
        super().set_exception(exc, *args)


class _Replayed(_Fetched):
    """A recorded body."""

    __slots__ = ("_chunked", "_pieces", "_truncated")

    def __init__(self, replay: Replay) -> None:
        self._chunked = is_stream(replay.response)
        super().__init__(chunked=self._chunked)
        self._pieces = replay.pieces()
        self._truncated = replay.response.truncated
        if not self._chunked and not replay.response.body:
            self.feed_eof()

    async def _wait(self, func_name: str) -> None:
        for seconds, piece in self._pieces:
            if seconds > 0:
                await asyncio.sleep(seconds)
            self.feed_data(piece)
            if self._chunked:
                self.end_http_chunk_receiving()
            return
        if self._truncated:
            raise ClientPayloadError(DROPPED)
        self.feed_eof()


class _Handler(ResponseHandler):
    """The protocol of a connection that goes nowhere, and answers all the same."""

    def __init__(self, replay: Replay, method: str) -> None:
        super().__init__(asyncio.get_running_loop())
        self.connection_made(_Nowhere())
        self._replay = replay
        self._method = method

    async def read(self) -> tuple[RawResponseMessage, StreamReader]:
        return _answer(self._replay, self._method)


def _answer(replay: Replay, method: str) -> tuple[RawResponseMessage, StreamReader]:
    if replay.failure is not None:
        raise SocketTimeoutError(TIMED_OUT)
    answer = replay.response
    pairs = headers_of(answer, method)
    message = RawResponseMessage(
        HttpVersion11, answer.status, reason_of(answer), CIMultiDictProxy(CIMultiDict(pairs)),
        tuple([(latin(name), latin(value)) for name, value in pairs]),
        should_close=False, compression=None, upgrade=False, chunked=is_stream(answer),
    )  # fmt: skip
    return message, _Replayed(replay)


class _Nowhere(asyncio.Transport):
    """Takes what is sent and drops it."""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    abort = close


class _Offline:
    """What a session takes for a connection; it never enters the connector's pool."""

    def __init__(self, connector: BaseConnector, replay: Replay, method: str) -> None:
        self._connector = connector
        self.protocol: _Handler | None = _Handler(replay, method)

    @property
    def transport(self) -> asyncio.BaseTransport | None:
        return self.protocol.transport if self.protocol else None

    @property
    def closed(self) -> bool:
        return self.protocol is None

    def add_callback(self, callback: Callable[[], None]) -> None:
        pass

    def close(self) -> None:
        if self.protocol is not None:
            self.protocol.close()
            self.protocol = None

    release = close
