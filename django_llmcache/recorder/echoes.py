"""A credential of the request's own that comes back written otherwise: with escapes or without, or in base64."""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from html import unescape
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from .credentials import Span

_ESCAPES: Final = re.compile(r"""(?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))+""")
_UNCHANGED: Final = re.compile(r"[A-Za-z0-9_.-]+")
_TELLING: Final = 8
"""Characters of a credential that hardly stand anywhere without the rest."""

_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_BEFORE: Final = re.compile(r"[A-Za-z0-9+/_-]*\Z")
_AROUND: Final = 4096
"""Characters before it that are looked at: what is longer is a file, of which the rest tells nothing."""

_ANY: Final = "surrogatepass"
_READINGS: Final = 12
"""How many ways to read a text are tried at most."""


@lru_cache(maxsize=256)
def meant(value: str) -> tuple[str, ...]:
    """Return what a credential may be that is sent like this: in an address or a cookie it may be percent-encoded."""
    return tuple(dict.fromkeys((value, unquote(value), unquote_plus(value))))


@lru_cache(maxsize=256)
def written(value: str) -> tuple[str, ...]:
    """Return how a text may be written: as it is, percent-encoded, in a string of JSON and in one within that."""
    found = dict.fromkeys(
        (value, quote(value, "", errors=_ANY), quote(value, errors=_ANY), quote_plus(value, errors=_ANY))
    )
    for _ in range(2):
        for each in tuple(found):
            found |= dict.fromkeys(json.dumps(each, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    return tuple(dict.fromkeys(form for each in found for form in (each, each.replace("/", r"\/"))))


def sure(value: str) -> tuple[str, ...]:
    """Return texts of which one stands wherever any of ``written`` does; one alone where no escape changes it."""
    longest = max(_UNCHANGED.findall(value), key=len, default="")
    return (longest,) if len(longest) >= _TELLING else written(value)


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
    values = tuple(values)
    return any(value in way for way in _readings(data.decode("utf-8", "replace")) for value in values)


def _readings(text: str) -> Iterator[str]:
    """Yield a text as it is, and less its escapes: one kind of them after the other, for one may stand in another."""
    found = [text]
    for reading in found:
        yield reading
        for sign, undone in _UNDONE:
            if sign in reading and len(found) < _READINGS and (plain := undone(reading)) not in found:
                found.append(plain)


def _unescaped(text: str) -> str:
    return _ESCAPES.sub(lambda found: json.loads(f'"{found[0]}"'), text)


_UNDONE: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (("\\", _unescaped), ("%", unquote), ("&", unescape))
"""What begins the escapes of JSON, of an address and of HTML, and what undoes them."""
