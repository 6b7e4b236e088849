"""Short texts and headers that many entries bear, kept once."""

from __future__ import annotations

from typing import Final

_HEADERS_KEPT: Final = 256
_TEXTS_KEPT: Final = 1024
_LONGEST_SHARED: Final = 100

Headers = tuple[tuple[str, str], ...]

_texts: dict[str, str] = {}
_headers: dict[Headers, Headers] = {}


def shared_text(text: str) -> str:
    """Return the one copy of a text that many entries bear. Not ``sys.intern``: Python 3.12 never forgets those."""
    if text.__class__ is not str or len(text) > _LONGEST_SHARED:
        return text
    if len(_texts) >= _TEXTS_KEPT:
        _texts.clear()
    return _texts.setdefault(text, text)


def shared_headers(headers: Headers) -> Headers:
    """Return the one copy of headers that many entries bear: as many bytes as the rest of an entry."""
    if len(_headers) >= _HEADERS_KEPT:
        _headers.clear()
    return _headers.setdefault(headers, headers)
