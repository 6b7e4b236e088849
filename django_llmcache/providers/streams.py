"""Streamed answers: iterators of events, which pass the pipeline like any answer and are never stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self

import orjson

from django_llmcache.bodies import JSON
from django_llmcache.events import Framing, StreamEvent, end_after, error_of, framing_for
from django_llmcache.exceptions import ProviderError
from django_llmcache.messages import LLMResponse
from django_llmcache.parsing import written
from django_llmcache.transports.wire import AsyncWireStream, WireAnswer, WireStream

from .failures import Failure


class _Stream(LLMResponse):
    """What the sync and the async stream share. The body is never whole, so ``body`` is empty."""

    __slots__ = ("_awaited", "_came", "_failure", "_framing", "_is_read", "_wire")

    def __init__(self, wire: Any, failure: Failure) -> None:
        super().__init__(b"", status=wire.status, headers=wire.headers)
        kind = self.headers.get("content-type", "")
        self._wire = wire
        self._failure = failure
        self._framing: Framing = framing_for(kind)
        self._awaited: str | None = None
        self._came = False
        self._is_read = False

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

    def _begin(self) -> None:
        if self._is_read:
            raise RuntimeError("A stream is read once, and this one has been. Keep its events: events = list(stream).")
        self._is_read = True

    def _read(self, events: Iterator[StreamEvent]) -> Iterator[StreamEvent]:
        """Yield events, and raise what the provider says went wrong in the middle.

        Where it is raised, no variable holds a text as it came, with the credential that it may echo.
        """
        for event in self._told(events):
            if isinstance(event, ProviderError):
                raise event
            yield event

    def _told(self, events: Iterator[StreamEvent]) -> Iterator[StreamEvent | ProviderError]:
        failure = None
        try:
            for event in events:
                self._came = True
                if event.name == "error" or error_of(event.data) is not None:
                    failure = self._failure.of(self._answer(written(event.data)))
                    break
                self._awaited = end_after(event.data, self._awaited)
                yield event
        except orjson.JSONDecodeError as error:
            failure = self._failure.not_json(self._answer(str(error.doc).encode()))
        if failure is not None:
            yield failure

    def _check_end(self) -> None:
        if not self._came:
            raise self._failure.no_event(self._answer(b""))
        if self._awaited is not None:
            raise self._failure.cut_short(self._answer(b""), self._awaited)

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
            RuntimeError: it has been read.
        """
        self._begin()
        try:
            for events in map(self._framing.feed, self._wire.pieces()):
                yield from self._read(events)
            yield from self._read(self._framing.flush())
            self._check_end()
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
            raise failure.of(WireAnswer(wire.status, wire.headers, b"".join([piece async for piece in wire.pieces()])))
        finally:
            await wire.close()

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        """Yield each event when it has come; raises as ``LLMStream`` does."""
        self._begin()
        try:
            async for piece in self._wire.pieces():
                events = self._framing.feed(piece)
                del piece  # a report of what is raised below would show it
                for event in self._read(events):
                    yield event
            for event in self._read(self._framing.flush()):
                yield event
            self._check_end()
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
