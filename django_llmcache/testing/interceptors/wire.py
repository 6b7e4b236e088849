"""Answers in the classes that ``urllib3`` and ``http.client`` have for them, with bodies read as they are on the wire.

One constructor for both ways: what is replayed, and what is recorded while its caller reads it. The standard library
parses the framing, so that pieces, lengths and broken connections are what they are to a live client.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import ReadTimeoutError

from django_llmcache.recorder.exchange import Pairs
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.taping import Taping

from .answering import headers_of, is_stream, reason_of

_PIECE = 65536


def replayed(replay: Replay, *, method: str, url: str) -> HTTPResponse:
    """Return a recorded answer as if it came from a connection."""
    answer = replay.response
    body = answer.body
    head = _Head(
        11, answer.status, reason_of(answer), headers_of(answer, method), chunked=is_stream(answer), length=len(body)
    )
    if replay.at_once and not head.chunked:
        headers = HTTPHeaderDict(head.pairs)
        return _response(head, headers, _Whole(body, headers), method=method, url=url)
    pieces = _framed(_paced(replay), cut=answer.truncated) if head.chunked else _paced(replay)
    return _streamed(head, _Wire(pieces), method=method, url=url)


def taped(live: HTTPResponse, tape: Taping, *, method: str, url: str) -> HTTPResponse:
    """Return an answer that tells the tape of each piece of the live one as its caller reads it."""
    pairs = tuple(live.headers.items())
    head = _Head(
        live.version, live.status, live.reason or "", pairs, chunked=live.chunked, length=live.length_remaining
    )
    tape.began(head.status, head.reason, pairs)
    pieces = _told(live, tape)
    if head.length == 0:  # nothing will be read, so nobody would give the connection back
        next(pieces, None)

    def close() -> None:
        tape.ended(complete=False)  # says nothing new where the end was reached
        live.close()
        live.release_conn()

    return _streamed(head, _Wire(_framed(pieces) if head.chunked else pieces, close), method=method, url=url)


class _Head(NamedTuple):
    """What is known of an answer before its body.

    Attributes:
        version: 10 or 11.
        status, reason, pairs: as they came.
        chunked: whether the body comes in chunks.
        length: of the body, ``None`` for one that ends with its connection.
    """

    version: int
    status: int
    reason: str
    pairs: Pairs
    chunked: bool
    length: int | None


class _Parsed(http.client.HTTPResponse):
    """An answer whose head is known, and need not be parsed: that would take as long as all else."""

    def __init__(self, head: _Head, source: _Wire, *, method: str) -> None:
        super().__init__(source, method=method)  # type: ignore[arg-type] # it asks for makefile() alone
        self._head = head
        self.begin()

    def begin(self) -> None:
        head = self._head
        self.version, self.reason = head.version, head.reason
        self.code = self.status = head.status
        self.headers = self.msg = http.client.HTTPMessage()
        for name, value in head.pairs:
            self.msg.set_raw(name, value)  # adds: a name may come more than once
        self.chunked, self.chunk_left, self.will_close = head.chunked, None, False
        self.length = None if head.chunked else head.length


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


class _Whole(io.BytesIO):
    """An answer whose body is there: what ``urllib3`` and ``requests`` ask of one of ``http.client``, and no framing.

    Attributes:
        msg: the headers.
    """

    def __init__(self, body: bytes, msg: HTTPHeaderDict) -> None:
        super().__init__(body)
        self.msg = msg
        self._size = len(body)

    def isclosed(self) -> bool:
        """Return whether the body was read to its end, or closed."""
        return self.closed or self.tell() >= self._size


def _framed(pieces: Iterator[bytes], *, cut: bool = False) -> Iterator[bytes]:
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
        except BaseException as error:  # a cancellation of gevent's too
            tape.broke(error, timeout=ReadTimeoutError)
            raise
        tape.chunk(piece)
        if not piece or live.closed:  # of a body with a known length nobody reads the end
            tape.ended()
        if not piece:
            return
        yield piece


def _streamed(head: _Head, source: _Wire, *, method: str, url: str) -> HTTPResponse:
    parsed = _Parsed(head, source, method=method)
    return _response(head, HTTPHeaderDict(head.pairs), parsed, method=method, url=url)


def _response(head: _Head, headers: HTTPHeaderDict, body: Any, *, method: str, url: str) -> HTTPResponse:
    # Of an answer that is there, requests alone looks at it, twice, for cookies; any other has to be closed by it.
    original = None if isinstance(body, _Whole) and "set-cookie" not in headers else body
    return HTTPResponse(
        body=body, headers=headers, status=head.status, reason=head.reason, version=head.version,
        preload_content=False, decode_content=False, original_response=original, request_method=method, request_url=url,
    )  # fmt: skip
