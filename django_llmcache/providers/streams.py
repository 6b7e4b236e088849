"""Streamed answers: iterators of events, which pass the pipeline like any answer and are never stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import orjson

from django_llmcache.bodies import JSON
from django_llmcache.events import Framing, StreamEvent, error_of, framing_for
from django_llmcache.messages import LLMResponse
from django_llmcache.transports.wire import AsyncWireStream, WireAnswer, WireStream

from .failures import Failure


class _Stream(LLMResponse):
    """What the sync and the async stream share. The body is never whole, so ``body`` is empty."""

    __slots__ = ("_failure", "_framing", "_wire")

    def __init__(self, wire: Any, failure: Failure) -> None:
        super().__init__(b"", status=wire.status, headers=wire.headers)
        kind = self.headers.get("content-type", "")
        self._wire = wire
        self._failure = failure
        self._framing: Framing = framing_for(kind)

    def marked(self, result: str, **details: Any) -> Self:
        """Take the mark on itself: a stream can be read only once, so there is no copy."""
        self._result = result
        self._key = details.get("key")
        self._reason = details.get("reason")
        return self

    def _parsed(self) -> JSON:
        raise TypeError("A stream has no whole answer to read: iterate over its events, and read theirs.")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._status} {self._result}>"

    def _read(self, events: Iterator[StreamEvent]) -> Iterator[StreamEvent]:
        """Yield events, and raise what the provider says went wrong in the middle."""
        try:
            for event in events:
                if error_of(event.data):
                    raise self._failure.of(self._answer(orjson.dumps(event.data)))
                yield event
            return
        except orjson.JSONDecodeError as error:
            broken = str(error.doc).encode()
        # Not from that error: it has the text as it came, with the credential that it may echo.
        raise self._failure.not_json(self._answer(broken))

    def _answer(self, body: bytes) -> WireAnswer:
        return WireAnswer(self._status, self._headers, body)


class LLMStream(_Stream):
    """The events of one answer, as they arrive.

    Iterate it once: ``for event in stream: print(event.text, end="")``. Leaving the loop early, ``close()`` or
    the end of a ``with`` block gives the connection back.
    """

    __slots__ = ()
    _wire: WireStream

    @classmethod
    def open(cls, wire: WireStream, failure: Failure) -> LLMStream:
        """Return the stream, or raise what its head says is wrong."""
        if 200 <= wire.status < 300:
            return cls(wire, failure)
        try:
            raise failure.of(WireAnswer(wire.status, wire.headers, b"".join(wire.pieces())))
        finally:
            wire.close()

    def __iter__(self) -> Iterator[StreamEvent]:
        """Yield each event when it has come.

        Raises:
            ProviderError: the connection broke, or the provider told of an error in the stream.
        """
        try:
            for piece in self._wire.pieces():
                yield from self._read(self._framing.feed(piece))
            yield from self._read(self._framing.flush())
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncLLMStream(_Stream):
    """The same on an event loop: ``async for event in stream``, ``async with``, ``await stream.aclose()``."""

    __slots__ = ()
    _wire: AsyncWireStream

    @classmethod
    async def open(cls, wire: AsyncWireStream, failure: Failure) -> AsyncLLMStream:
        """Return the stream, or raise what its head says is wrong."""
        if 200 <= wire.status < 300:
            return cls(wire, failure)
        try:
            body = b"".join([piece async for piece in wire.pieces()])
            raise failure.of(WireAnswer(wire.status, wire.headers, body))
        finally:
            await wire.close()

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        """Yield each event when it has come; raises as ``LLMStream`` does."""
        try:
            async for piece in self._wire.pieces():
                for event in self._read(self._framing.feed(piece)):
                    yield event
            for event in self._read(self._framing.flush()):
                yield event
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
