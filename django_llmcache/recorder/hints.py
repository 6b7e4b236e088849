"""Say quickly of most bodies that they hold no credential: this is asked of every request, also in a replay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from django_llmcache.naming import ENDINGS

from .credentials import LONG, NEAR, POSSIBLE, is_parameter, is_watched, runs_of

_BLOB: Final = 4096
"""Characters from which on a run without other signs than base64 has is an image."""

_NO_BASE64: Final = (b"-", b"_", b".", b"&", b"(", b")")

_WORD: Final = 40
"""Characters up to which a run is likely to come again: the name of a tool or of a model."""

_SIGNS: Final = frozenset((b":", b"="))
_LAST: Final = frozenset((b"r", b"R", b"c", b"C")) | _SIGNS
_START: Final = re.compile(
    rb"sk-|nvapi-|xai-|pplx-|tvly-|pk-lf-|(?:gsk|hf|r8|fw|ek|jina|npm|dop_v1|whsec|shpat|pcsk|tgp_v1|[sr]k|lsv2)_"
    rb"|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|xapp-|AIza|ya29\.|AQ\.|1//0|A(?:KIA|SIA|BIA|CCA|BSK)|dapi[0-9a-f]"
    rb"|SG\.|eyJ[A-Za-z0-9_-]{8,}\.|pypi-|pa-|SK[0-9a-f]{32}|AA[A-Za-z0-9_-]{33}|[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\."
)
_LOGIN: Final = re.compile(rb":\\*/\\*/[^\s/:\"'<>]*:(?:[^\s/\"'<>]+|[^\s\"'<>]{1,1200})@")
_PARAMETER: Final = re.compile(
    # It begins with one set of characters, which is found far faster than any of several beginnings.
    rb"[?&;u](?:(?<!u)|00(?:26|3[bf]))(?:amp;)?([A-Za-z0-9_.-]{3,40})(?:=|\\u003[dD])"
)

_APART: Final = re.compile(rb'"[\s\\][\s\\nrt]*:')
"""White space between a name and its colon, as JSON has it or a string in which JSON is."""

_ESCAPE: Final = re.compile(rb"\\(?:/|u00[236])")
_SIGN: Final = re.compile(rb"\\u00(?:2[267bBfF]|3[aAdD]|60)")
"""A quote, the sign behind a name, or a sign in base64 or a password, as a string may have them."""

_SLASH: Final = re.compile(rb"(?<!\\)\\+/")
"""Tried from the first of a run of backslashes only, or the time grows with the square of their number."""

_NAMES: Final = tuple(name.encode() for name in (*ENDINGS, *POSSIBLE))
_OPENING: Final = b" \t\n\r\x0b\x0c\\\"'`*"
_GIVEN: Final = re.compile(rb"=(?=.{16})", re.DOTALL)
_NEAR: Final = NEAR + 1
"""Bytes in which a name is, and the sign behind it."""

_BEFORE: Final = 2 * NEAR
"""Bytes before a value in which they are, and the quotes and the like behind them."""

_LOWER: Final = bytes(range(256)).lower()
_PUNCTUATION: Final = bytes(code for code in range(128) if not chr(code).isalnum())

_REMEMBERED: Final = 4096
_unwatched: set[bytes] = set()
"""Names that are no credential's, as they were met."""


def may_hold_credentials(body: bytes, known: Iterable[bytes] = ()) -> bool:
    """Return ``False`` only where ``findings`` would find nothing in a body of JSON or plain text.

    Args:
        body: decoded.
        known: credentials to look for besides those that show by a name or a shape.
    """
    slashed = _ESCAPE.search(body) is not None
    if slashed and _SIGN.search(body):
        return True
    return (
        _names_one(body)
        or _shows_one(_SLASH.sub(b"/", body) if slashed else body)
        or any(value in body for value in known)
        or (b"@" in body and _LOGIN.search(body) is not None)
        or b"-----BEGIN" in body
        or ((b"=" in body or b"u003" in body) and any(map(_is_parameter, _PARAMETER.findall(body))))
    )


def _names_one(body: bytes) -> bool:
    if _APART.search(body):
        return True
    before = body.split(b'":')
    before.pop()
    # Inside a text that is JSON itself, the quote after a name is escaped.
    names = {piece.rpartition(b'"')[2] for piece in before} - _unwatched
    for name in names:
        if b"\\" in name.rstrip(b"\\") or is_watched(name.decode("utf-8", "replace")):
            return True
        if len(_unwatched) < _REMEMBERED:
            _unwatched.add(name)
    return False


@lru_cache(maxsize=4096)
def _is_parameter(name: bytes) -> bool:
    return is_parameter(name.decode("ascii"))


@lru_cache(maxsize=4096)
def _begins(word: bytes) -> bool:
    return _START.search(word) is not None


def _shows_one(body: bytes) -> bool:
    runs, signed = runs_of(body), b"=" in body
    start = runs.find(LONG)
    while start >= 0:
        end = runs.find(b" ", start)
        run = body[start : end if end >= 0 else len(body)]
        before = body[start - _BEFORE if start > _BEFORE else 0 : start].rstrip(_OPENING)
        if before[-1:] in _LAST and _asks(before[-_NEAR:]):
            return True
        if signed and b"=" in run and _is_given(body, start, run):
            return True
        if (len(run) < _BLOB or any(sign in run for sign in _NO_BASE64)) and (
            _begins(run) if len(run) <= _WORD else _START.search(run)
        ):
            return True
        if end < 0:
            return False
        start = runs.find(LONG, end)
    return False


@lru_cache(maxsize=4096)
def _asks(before: bytes) -> bool:
    """Return whether a credential may come next: behind the scheme of one, or its name and a sign."""
    if before[-1:] in _SIGNS:
        return before.translate(_LOWER, _PUNCTUATION).endswith(_NAMES)
    return before.lower().endswith((b"bearer", b"basic"))


def _is_given(body: bytes, start: int, run: bytes) -> bool:
    """Return whether the name of a credential stands before a sign in a run."""
    signs = (start + sign.end() for sign in _GIVEN.finditer(run))
    return any(_asks(body[max(sign - _NEAR, 0) : sign]) for sign in signs)
