"""A credential of the request's own that comes back in base64, perhaps within more text."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from functools import lru_cache
from html import unescape
from typing import Final
from urllib.parse import unquote

from .credentials import Span

_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_BEFORE: Final = re.compile(r"[A-Za-z0-9+/_-]*\Z")
_AROUND: Final = 4096
"""Characters before it that are looked at: what is longer is a file, of which the rest tells nothing."""


@lru_cache(maxsize=256)
def encoded(value: str) -> tuple[str, ...]:
    """Return what stands in base64 for a text alone, in each way in which its bytes may fall on the characters."""
    raw = value.encode("utf-8", "surrogatepass")
    found: dict[str, None] = {}
    for lead in range(3):
        first, last = (lead * 8 + 5) // 6, (lead + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            found[encode(bytes(lead) + raw).decode()[first:last]] = None
    return tuple(found)


def echoes(text: str, forms: tuple[str, ...]) -> list[Span]:
    """Return the runs of base64 in a text that have one of these forms in them."""
    found = []
    for form in forms:
        start = text.find(form)
        while start >= 0:
            whole = _BEFORE.search(text, max(0, start - _AROUND), start)
            run = _RUN.match(text, start)
            end = run.end() if run else start + len(form)
            found.append(Span(whole.start() if whole else start, end))
            start = text.find(form, end)
    return found


def hides(data: bytes, values: Iterable[str]) -> bool:
    """Return whether one of these texts stands in some bytes, as it is or as JSON, an address or HTML may write it."""
    text = data.decode("utf-8", "replace")
    ways = [text]
    if "\\u" in text:
        ways.append(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text))
    if "%" in text:
        ways.append(unquote(text))
    if "&" in text:
        ways.append(unescape(text))
    return any(value in way for value in values for way in ways)
