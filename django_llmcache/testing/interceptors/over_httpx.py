"""Sees what ``httpx2`` and ``httpx`` send, sync and async: the same API twice, each with classes of its own."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from functools import cache, partial, wraps
from importlib import import_module
from typing import Any, Final

from django_llmcache.arrivals import is_here
from django_llmcache.recorder import in_force
from django_llmcache.recorder.exchange import Outgoing, Pairs
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.taping import Taping

from .answering import (
    DROPPED,
    REFUSED,
    TIMED_OUT,
    begin,
    concerns,
    headers_of,
    is_replaying,
    latin,
    lowered,
    spoiled,
)
from .certificates import LateContext, is_usual
from .mocks import is_mocked
from .patching import replace, replace_unless_mocked
from .sockets import watch

_SYNC: Final = "handle_request"
_ASYNC: Final = "handle_async_request"


def install() -> None:
    """Let both libraries, as far as they are imported, pass by the recorder."""
    for streams in [_streams(name) for name in ("httpx2", "httpx") if is_here(name)]:
        library = streams.library  # may be the other one under an alias: `replace` does nothing twice
        replace_unless_mocked(library.HTTPTransport, _SYNC, streams.sync)
        replace_unless_mocked(library.AsyncHTTPTransport, _ASYNC, streams.asynchronous)
        for transport in (library.HTTPTransport, library.AsyncHTTPTransport):
            replace_unless_mocked(transport, "__init__", streams.late)
        core = import_module("httpcore2" if library.__name__ == "httpx2" else "httpcore")
        replace(core.HTTPConnection, _SYNC, _connected)
        replace(core.AsyncHTTPConnection, _ASYNC, _connected)


@cache
def _streams(name: str) -> _Streams:
    return _Streams(sys.modules[name])  # to import it would wait for a thread that imports it and waits for us


class _Streams:
    """What one of the libraries is given: answers with a stream that is an instance of its own classes."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self._make_context: Callable[..., ssl.SSLContext] = library.create_ssl_context
        self._replayed: Any = type("ReplayedStream", (_Replayed, library.SyncByteStream, library.AsyncByteStream), {})
        own = {"timeout": library.TimeoutException}
        self._taped: Any = type("TapedStream", (_Taped, library.SyncByteStream), own)
        self._taped_async: Any = type("TapedAsyncStream", (_TapedAsync, library.AsyncByteStream), own)

    def late(self, original: Callable[..., Any]) -> Callable[..., None]:
        """Let transports that are made in a replay, and hardly connect, have their context when it is looked at."""

        @wraps(original)
        def make(transport: Any, *args: Any, **options: Any) -> None:
            plain = not args and options.get("verify", True) is True and not options.get("cert")
            if plain and is_replaying() and is_usual() and self._makes_as_ever():
                # No variable names certificates now, and none is to do so then.
                options["verify"] = LateContext(partial(self._make_context, trust_env=False))
            original(transport, *args, **options)

        return make

    def _makes_as_ever(self) -> bool:
        """Return whether the library's transports make contexts themselves, and no test has put a mock in the way."""
        home = sys.modules.get(f"{self.library.__name__}._transports.default")
        return getattr(home, "create_ssl_context", None) is self._make_context

    def sync(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def handle_request(transport: Any, request: Any) -> Any:
            if in_force.current() is None or not self._readable(request) or _is_mocked(transport, _SYNC):
                return original(transport, request)
            request.read()
            exchange = _begin(request)
            if isinstance(exchange, Replay):
                return self._answer(exchange, request)
            if exchange is None:
                return original(transport, request)
            try:
                with exchange.calling():
                    response = original(transport, request)
            except Exception as error:
                exchange.broke(error)
                raise
            response = _tapped(response, exchange, self._taped)
            if not exchange.is_spoiled:
                return response
            with closing(response):  # a fault is cut from the whole answer
                for _ in response.stream:
                    pass
            return self._answer(spoiled(exchange), request)

        return handle_request

    def asynchronous(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def handle_async_request(transport: Any, request: Any) -> Any:
            if in_force.current() is None or not self._readable(request) or _is_mocked(transport, _ASYNC):
                return await original(transport, request)
            await request.aread()
            exchange = _begin(request)
            if isinstance(exchange, Replay):
                return self._answer(exchange, request)
            if exchange is None:
                return await original(transport, request)
            try:
                with exchange.calling():
                    response = await original(transport, request)
            except Exception as error:
                exchange.broke(error)
                raise
            response = _tapped(response, exchange, self._taped_async)
            if not exchange.is_spoiled:
                return response
            async with aclosing(response):  # a fault is cut from the whole answer
                async for _ in response.stream:
                    pass
            return self._answer(spoiled(exchange), request)

        return handle_async_request

    def _readable(self, request: Any) -> bool:
        """Return whether the body is at hand, or worth reading."""
        return isinstance(request.stream, self.library.ByteStream) or concerns(str(request.url))

    def _answer(self, replay: Replay, request: Any) -> Any:
        if replay.failure == "timeout":
            raise self.library.ReadTimeout(TIMED_OUT, request=request)
        if replay.failure is not None:
            raise self.library.ConnectError(REFUSED, request=request)
        answer = replay.response
        extensions: dict[str, Any] = {"http_version": b"HTTP/1.1"}
        if answer.reason:
            extensions["reason_phrase"] = latin(answer.reason)
        return self.library.Response(
            answer.status,
            headers=[(latin(name), latin(value)) for name, value in headers_of(answer, request.method)],
            stream=self._replayed(replay, self.library.RemoteProtocolError),
            extensions=extensions,
        )


class _Replayed:
    """A recorded body, for a sync client or an async one."""

    def __init__(self, replay: Replay, dropped: Callable[[str], Exception]) -> None:
        self._replay = replay
        self._dropped = dropped

    def __iter__(self) -> Iterator[bytes]:
        for seconds, piece in self._replay.pieces():
            if seconds > 0:
                time.sleep(seconds)
            yield piece
        self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for seconds, piece in self._replay.pieces():
            if seconds > 0:
                from anyio import sleep  # both libraries need it, and either may run on trio

                await sleep(seconds)
            yield piece
        self._end()

    def _end(self) -> None:
        if self._replay.response.truncated:
            raise self._dropped(DROPPED)


class _Taped:
    """A live body, of which the tape is told as it passes."""

    timeout: type[Exception]

    def __init__(self, stream: Any, tape: Taping) -> None:
        self._stream = stream
        self._tape = tape

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._stream:
                self._tape.chunk(piece)
                yield piece
        except Exception as error:
            self._tape.broke(error, timeout=self.timeout)
            raise
        self._tape.ended()

    def close(self) -> None:
        self._tape.ended(complete=False)  # says nothing new where the end was reached
        self._stream.close()


class _TapedAsync:
    """A live body, of which the tape is told as it passes."""

    timeout: type[Exception]

    def __init__(self, stream: Any, tape: Taping) -> None:
        self._stream = stream
        self._tape = tape

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._stream)
        while True:
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                self._tape.ended()
                return
            except BaseException as error:  # a cancellation too, while it is waited for
                self._tape.broke(error, timeout=self.timeout)
                raise
            self._tape.chunk(piece)
            yield piece

    async def aclose(self) -> None:
        self._tape.ended(complete=False)  # says nothing new where the end was reached
        await self._stream.aclose()


def _connected(original: Callable[..., Any]) -> Callable[..., Any]:
    """Watch what a mock of the pool passes on, over a connection from before too, which no socket shows."""

    @wraps(original)
    def handle(connection: Any, request: Any) -> Any:  # awaited by whoever asked, on a loop
        if in_force.current() is not None:
            scheme = request.url.scheme.decode()
            watch(request.url.host, request.url.port or scheme, client="httpx", scheme=scheme)
        return original(connection, request)

    return handle


def _is_mocked(transport: Any, name: str) -> bool:
    """Return whether a mock below the transport answers: respx puts its own into the pool of connections."""
    return is_mocked(type(getattr(transport, "_pool", None)), name)


def _begin(request: Any) -> Replay | Taping | None:
    outgoing = Outgoing(request.method.upper(), str(request.url), lowered(_pairs(request.headers)), request.content)
    return begin(outgoing, timeout=request.extensions.get("timeout", {}).get("read"))


def _tapped(response: Any, tape: Taping, kind: Callable[[Any, Taping], Any]) -> Any:
    tape.began(response.status_code, response.extensions.get("reason_phrase", b"").decode("latin-1"),
               _pairs(response.headers))  # fmt: skip
    response.stream = kind(response.stream, tape)
    return response


def _pairs(headers: Any) -> Pairs:
    return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw])
