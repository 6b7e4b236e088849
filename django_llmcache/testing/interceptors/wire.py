"""Answers in the classes that ``urllib3`` and ``http.client`` have for them, read from bytes as they are on the wire.

One constructor for both ways: what is replayed, and what is recorded while its caller reads it. The standard library
parses the head and the framing, so that pieces, trailers and broken connections are what they are to a live client.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

from urllib3 import HTTPHeaderDict, HTTPResponse

from django_llmcache.recorder.exchange import Pairs, first
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.taping import FRAMING, Taping

from .answering import headers_of, is_stream, latin, reason_of

_PIECE = 65536


def replayed(replay: Replay, *, method: str, url: str) -> HTTPResponse:
    """Return a recorded answer as if it came from a connection."""
    answer = replay.response
    chunked, pairs = is_stream(answer), headers_of(answer, method)
    head = _head(11, answer.status, reason_of(answer), pairs)
    source = _Wire(_framed(head, _paced(replay), chunked=chunked, cut=answer.truncated))
    return _response(source, pairs, method=method, url=url)


def taped(live: HTTPResponse, tape: Taping, *, method: str, url: str) -> HTTPResponse:
    """Return an answer that tells the tape of each piece of the live one as its caller reads it."""
    pairs = tuple(live.headers.items())
    tape.began(live.status, live.reason or "", pairs)
    pieces = _told(live, tape)
    if live.length_remaining == 0:  # nothing will be read, so nobody would give the connection back
        next(pieces, None)

    def close() -> None:
        tape.ended(complete=False)  # says nothing new where the end was reached
        live.close()
        live.release_conn()

    head = _head(live.version, live.status, live.reason or "", pairs)
    chunked = "chunked" in first(pairs, "transfer-encoding").lower()
    return _response(_Wire(_framed(head, pieces, chunked=chunked), close), pairs, method=method, url=url)


class _Wire(io.RawIOBase):
    """A connection that gives one piece for each read."""

    def __init__(self, pieces: Iterator[bytes], when_closed: Callable[[], None] | None = None) -> None:
        self._pieces = pieces
        self._when_closed = when_closed
        self._left = memoryview(b"")

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the file that ``http.client`` asks its socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._when_closed is not None:
                self._when_closed()


def _framed(head: bytes, pieces: Iterator[bytes], *, chunked: bool, cut: bool = False) -> Iterator[bytes]:
    yield head
    if not chunked:
        yield from pieces
        return
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    if not cut:
        yield b"0\r\n\r\n"


def _paced(replay: Replay) -> Iterator[bytes]:
    for seconds, piece in replay.pieces():
        if seconds > 0:
            time.sleep(seconds)
        if piece:
            yield piece


def _told(live: HTTPResponse, tape: Taping) -> Iterator[bytes]:
    while True:
        try:
            piece = live.read1(_PIECE, decode_content=False)
        except Exception as error:
            tape.broke(error)
            raise
        tape.chunk(piece)
        if not piece or live.closed:  # of a body with a known length nobody reads the end
            tape.ended()
        if not piece:
            return
        yield piece


def _head(version: int, status: int, reason: str, pairs: Pairs) -> bytes:
    """Return the status line with those headers that say how the body is framed: the others need no parsing."""
    lines = [b"HTTP/1.%d %d %b" % (version - 10, status, latin(reason))]
    lines += [b"%b: %b" % (latin(name), latin(value)) for name, value in pairs if name.lower() in FRAMING]
    return b"\r\n".join([*lines, b"", b""])


def _response(source: _Wire, pairs: Pairs, *, method: str, url: str) -> HTTPResponse:
    parsed = http.client.HTTPResponse(source, method=method)  # type: ignore[arg-type] # it asks for makefile() alone
    parsed.begin()
    for name, value in pairs:
        if name.lower() not in FRAMING:
            parsed.msg[name] = value  # adds: a name may come more than once
    return HTTPResponse(
        body=parsed, headers=HTTPHeaderDict(pairs), status=parsed.status, reason=parsed.reason, version=parsed.version,
        preload_content=False, decode_content=False, original_response=parsed, request_method=method, request_url=url,
    )  # fmt: skip
