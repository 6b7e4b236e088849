"""Short texts, origins and headers that many entries bear, kept once."""

from __future__ import annotations

from typing import Final

from django_llmcache.entry import Origin

_HEADERS_KEPT: Final = 256
_TEXTS_KEPT: Final = 1024
_LONGEST_SHARED: Final = 100

Headers = tuple[tuple[str, str], ...]

_texts: dict[str, str] = {}
_origins: dict[Origin, Origin] = {}
_headers: dict[Headers, Headers] = {}


def shared_text(text: str) -> str:
    """Return the one copy of a text that many entries bear. Not ``sys.intern``: Python 3.12 never forgets those."""
    if text.__class__ is not str or len(text) > _LONGEST_SHARED:
        return text
    if len(_texts) >= _TEXTS_KEPT:
        _texts.clear()
    return _texts.setdefault(text, text)


def shared_origin(origin: Origin) -> Origin:
    """Return the one copy of where many entries are from."""
    if any(text.__class__ is not str or len(text) > _LONGEST_SHARED for text in origin):
        return origin
    if len(_origins) >= _TEXTS_KEPT:
        _origins.clear()
    return _origins.setdefault(origin, origin)


def shared_headers(headers: Headers) -> Headers:
    """Return the one copy of headers that many entries bear: as many bytes as the rest of an entry."""
    if len(_headers) >= _HEADERS_KEPT:
        _headers.clear()
    return _headers.setdefault(headers, headers)
