"""Undo the content-encodings of a body, piece by piece, so that a fixture holds what the provider said."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, Final, Protocol

from django_llmcache.exceptions import LLMCacheError

from .exchange import Chunk

BROTLI: Final = ("brotli", "brotlicffi")
"""Packages that decode ``br``; the first that is installed does."""

ZSTANDARD: Final = ("compression.zstd", "backports.zstd", "zstandard")
"""The same for ``zstd``; the first is part of Python from 3.14 on."""


class DecodingError(LLMCacheError, ValueError):
    """A body is not what its content-encoding says, or nothing here decodes it; the message names the encoding."""


class _Step(Protocol):
    """One encoding undone."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Decoder:
    """Decodes one body that comes in pieces.

    A body that ends too early is no error: what came of it is what there is.

    Args:
        encoding: the value of ``content-encoding``: ``gzip``, ``deflate``, ``br``, ``zstd``, or several of them in
            the order in which they were applied; ``""`` and ``identity`` for none.

    Raises:
        DecodingError: an encoding is unknown, or a package that decodes it is missing.
    """

    __slots__ = ("_encoding", "_steps")

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        names = [name.strip().lower() for name in encoding.split(",")]
        self._steps = [_step(name) for name in reversed(names) if name not in ("", "identity")]

    @property
    def idle(self) -> bool:
        """Return whether there is nothing to decode."""
        return not self._steps

    def feed(self, data: bytes) -> bytes:
        """Return what can be said with one more piece; may be empty.

        Raises:
            DecodingError: the piece is damaged.
        """
        for step in self._steps:
            data = self._told(step.feed, data)
        return data

    def finish(self) -> bytes:
        """Return what was still held back."""
        data = b""
        for step in self._steps:
            data = (self._told(step.feed, data) if data else b"") + self._told(step.finish)
        return data

    def _told(self, work: Callable[..., bytes], *data: bytes) -> bytes:
        try:
            return work(*data)
        except DecodingError:
            raise
        except Exception as error:
            # Each library has errors of its own.
            raise DecodingError(f"The body is not {self._encoding}, as its content-encoding says: {error}.") from error


def decoded(chunks: Iterable[Chunk], encoding: str) -> tuple[Chunk, ...]:
    """Return the chunks of a body decoded, each with the offset at which it came.

    One from which nothing could be said yet is part of the next.

    Args:
        chunks: as they came over the wire.
        encoding: the value of ``content-encoding``.

    Raises:
        DecodingError: the body is damaged, an encoding is unknown, or a package that decodes it is missing.
    """
    decoder = Decoder(encoding)
    if decoder.idle:
        return tuple(chunk for chunk in chunks if chunk.data)
    found: list[Chunk] = []
    offset = 0.0
    for chunk in chunks:
        offset = chunk.offset
        data = decoder.feed(chunk.data)
        if data:
            found.append(Chunk(offset, data))
    rest = decoder.finish()
    if rest:
        found.append(Chunk(offset, rest))
    return tuple(found)


def _step(name: str) -> _Step:
    if name in ("gzip", "x-gzip"):
        return _Members(lambda: zlib.decompressobj(16 + zlib.MAX_WBITS))
    if name == "deflate":
        return _Deflate()
    if name == "br":
        return _Brotli(_installed(name, BROTLI, "brotli"))
    if name == "zstd":
        return _Members(_zstandard(_installed(name, ZSTANDARD, "zstandard")))
    raise DecodingError(f"The content-encoding {name!r} is unknown: gzip, deflate, br and zstd are decoded.")


def _installed(encoding: str, names: Iterable[str], package: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise DecodingError(f"The content-encoding {encoding!r} needs a package that is not installed: {package}.")


def _zstandard(library: Any) -> Callable[[], Any]:
    """Return what makes a decoder of one frame; Python's own and that of ``zstandard`` differ in how."""
    made: Callable[[], Any] = library.ZstdDecompressor
    return made if hasattr(made(), "eof") else lambda: made().decompressobj()


class _Members:
    """A body of one or more members (gzip) or frames (zstd), each with an end of its own.

    What follows the last of them is padding, as every client takes it.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._current = make()
        self._whole = False
        self._speaks = False

    def feed(self, data: bytes) -> bytes:
        found = b""
        while data:
            if self._current.eof:
                self._current, self._speaks = self._make(), False
            try:
                said = self._current.decompress(data)
            except Exception:
                if self._speaks or not self._whole:
                    raise
                return found
            found += said
            self._speaks = self._speaks or bool(said)
            if not self._current.eof:
                break
            self._whole = True
            data = self._current.unused_data
        return found

    def finish(self) -> bytes:
        return b""


class _Deflate:
    """A zlib stream, as the standard says, or the bare one that some servers send."""

    def __init__(self) -> None:
        self._current = zlib.decompressobj()
        self._unread: bytes | None = b""

    def feed(self, data: bytes) -> bytes:
        if self._unread is None:
            return self._current.decompress(data)
        self._unread += data
        try:
            found = self._current.decompress(data)
        except zlib.error:
            self._current = zlib.decompressobj(-zlib.MAX_WBITS)
            found, self._unread = self._current.decompress(self._unread), None
        if found:
            self._unread = None
        return found

    def finish(self) -> bytes:
        return self._current.flush()


class _Brotli:
    def __init__(self, library: Any) -> None:
        current = library.Decompressor()
        # The one package calls it so, the other as everybody else does.
        self._decompress: Callable[[bytes], bytes] = getattr(current, "decompress", None) or current.process

    def feed(self, data: bytes) -> bytes:
        return self._decompress(data)

    def finish(self) -> bytes:
        return b""


def plain_body(encoding: str, body: bytes) -> bytes:
    """Return a whole body without its content-encoding; as it is where that can't be read."""
    if not encoding:
        return body
    try:
        decoder = Decoder(encoding)
        return decoder.feed(body) + decoder.finish()
    except DecodingError:
        # Some services give the header a meaning of their own.
        return body
