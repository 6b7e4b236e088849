"""The bytes that a shared store keeps of an entry: what it was stored under beside it, compressed where it is large.

``LLMP``, a byte for the format and one for what was done to the rest; then, perhaps compressed or sealed, the length
of a head of JSON, the head, and the entry as ``Entry.encode`` writes it.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, NamedTuple, Protocol

import orjson

from django_llmcache.entry import Entry
from django_llmcache.exceptions import EntryFormatError

from .generations import Mark

FORMAT: Final = 1
"""Version of the packed bytes; another version reads as a miss."""

_MAGIC: Final = b"LLMP"
_HEAD: Final = len(_MAGIC) + 2
_COMPRESSED: Final = 1
_SEALED: Final = 2
_LEVEL: Final = 1
"""Of zlib: the others take several times as long for a tenth less."""
_MOST: Final = 1 << 30
"""Bytes that a packed entry may have once it is decompressed: a few forged bytes must not fill the memory."""


class Packed(NamedTuple):
    """What was packed.

    Attributes:
        entry: the entry.
        mark: of the time when its answer was asked for.
        expires: seconds since the epoch, ``None`` for never.
    """

    entry: Entry
    mark: Mark
    expires: float | None


class Cipher(Protocol):
    """Seals bytes so that nobody else reads or changes them."""

    def seal(self, plain: bytes, key: str) -> bytes:
        """Return the bytes sealed for this key alone."""
        ...

    def open(self, sealed: bytes, key: str) -> bytes:
        """Return the bytes; raises ``EntryFormatError`` where they were changed, or sealed for another key."""
        ...


class Packer:
    """Packs entries, and unpacks them.

    Args:
        compress_over: bytes from which on entries are compressed.
        cipher: seals them; ``None`` leaves them readable.
    """

    def __init__(self, *, compress_over: int, cipher: Cipher | None = None) -> None:
        self._compress_over = compress_over
        self._cipher = cipher

    def pack(self, entry: Entry, mark: Mark, expires: float | None) -> bytes:
        """Return the bytes to store under ``entry.key``."""
        head = orjson.dumps((expires, mark.as_list()))
        content = b"".join((len(head).to_bytes(4, "big"), head, entry.encode()))
        done = 0
        if len(content) >= self._compress_over:
            content, done = zlib.compress(content, _LEVEL), _COMPRESSED
        if self._cipher is not None:
            done |= _SEALED
            content = self._cipher.seal(content, _bound(entry.key, done))
        return b"".join((_MAGIC, bytes((FORMAT, done)), content))

    def unpack(self, stored: Any, key: str) -> Packed:
        """Return what ``pack`` wrote under this key.

        Raises:
            EntryFormatError: damaged, of another format, written under another key, or not sealed as it is to be.
        """
        content = self._content(stored, key)
        try:
            end = 4 + int.from_bytes(content[:4], "big")
            expires, mark = orjson.loads(content[4:end])
            return Packed(Entry.decode(content[end:], key=key), Mark.from_list(mark), expires)
        except (ValueError, TypeError, IndexError) as error:
            raise EntryFormatError(f"The stored entry cannot be read: {error}") from error

    def _content(self, stored: Any, key: str) -> bytes:
        if not isinstance(stored, bytes) or stored[:4] != _MAGIC or len(stored) < _HEAD:
            raise EntryFormatError("The stored bytes are not an entry that llmcache packed.")
        if stored[4] != FORMAT:
            raise EntryFormatError(f"The stored entry is packed in format {stored[4]}; this version reads {FORMAT}.")
        content, done = stored[_HEAD:], stored[5]
        if bool(done & _SEALED) is not (self._cipher is not None):
            raise EntryFormatError("The stored entry is sealed, or is not, other than ENCRYPT says.")
        if self._cipher is not None:
            content = self._cipher.open(content, _bound(key, done))
        return _decompressed(content) if done & _COMPRESSED else content


def _bound(key: str, done: int) -> str:
    """Return what a seal holds for: the key, and how the content was made."""
    return f"{key}:{FORMAT}.{done}"


def _decompressed(content: bytes) -> bytes:
    worker = zlib.decompressobj()
    try:
        plain = worker.decompress(content, _MOST)
    except zlib.error as error:
        raise EntryFormatError(f"The stored entry cannot be decompressed: {error}") from error
    if not worker.eof:
        raise EntryFormatError("The stored entry is cut short, or far too large.")
    return plain
