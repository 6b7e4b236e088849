"""Say quickly of most bodies that they hold no credential: this is asked of every request, also in a replay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from .credentials import LONG, is_parameter, is_watched, runs_of

_BLOB: Final = 4096
"""Characters from which on a run without ``-``, ``_`` and ``.`` is an image in base64."""

_WORD: Final = 40
"""Characters up to which a run is likely to come again: the name of a tool or of a model."""

_LAST: Final = (b"r", b"R", b"c", b"C")
_START: Final = re.compile(
    rb"sk-|nvapi-|xai-|pplx-|tvly-|pk-lf-|(?:gsk|hf|r8|fw|ek|jina|npm|dop_v1|whsec|shpat|pcsk|tgp_v1|[sr]k|lsv2)_"
    rb"|gh[pousr]_|github_pat_|glpat-|xox[a-z]-|xapp-|AIza|ya29\.|AQ\.|1//0|A(?:KIA|SIA|BIA|CCA|BSK)|dapi[0-9a-f]"
    rb"|SG\.|eyJ[A-Za-z0-9_-]{8,}\.|pypi-|pa-|SK[0-9a-f]{32}|AA[A-Za-z0-9_-]{33}|[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\."
)
_LOGIN: Final = re.compile(rb":\\*/\\*/[^\s/:\"'<>]*:(?:[^\s/\"'<>]+|[^\s\"'<>]{1,1200})@")
_PARAMETER: Final = re.compile(rb"(?:[?&;]|u0026|u003[bf])(?:amp;)?([A-Za-z0-9_.-]{3,40})(?:=|\\u003[dD])")

_APART: Final = re.compile(rb'"[\s\\][\s\\nrt]*:')
"""White space between a name and its colon, as JSON has it or a string in which JSON is."""

_ESCAPED: Final = re.compile(rb"u00(?:22|3[aA])")
"""The quote or the colon behind a name, as a string in which JSON is may have them."""

_REMEMBERED: Final = 4096
_unwatched: set[bytes] = set()
"""Names that are no credential's, as they were met."""


def may_hold_credentials(body: bytes, known: Iterable[bytes] = ()) -> bool:
    """Return ``False`` only where ``findings`` would find nothing in a body of JSON or plain text.

    Args:
        body: decoded.
        known: credentials to look for besides those that show by a name or a shape.
    """
    return (
        _names_one(body)
        or _shows_one(body)
        or any(value in body for value in known)
        or (b"@" in body and _LOGIN.search(body) is not None)
        or b"-----BEGIN" in body
        or ((b"=" in body or b"u003" in body) and any(map(_is_parameter, _PARAMETER.findall(body))))
    )


def _names_one(body: bytes) -> bool:
    if _APART.search(body) or _ESCAPED.search(body):
        return True
    before = body.split(b'":')
    before.pop()
    # Inside a text that is JSON itself, the quote after a name is escaped.
    names = {piece.rpartition(b'"')[2] for piece in before} - _unwatched
    for name in names:
        if b"\\u" in name or is_watched(name.decode("utf-8", "replace")):
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
    runs = runs_of(body)
    start = runs.find(LONG)
    while start >= 0:
        end = runs.find(b" ", start)
        run = body[start : end if end >= 0 else len(body)]
        if len(run) < _BLOB or b"-" in run or b"_" in run or b"." in run:
            before = body[max(start - 10, 0) : start].rstrip()
            if before[-1:] in _LAST and before.lower().endswith((b"bearer", b"basic")):
                return True
            if _begins(run) if len(run) <= _WORD else _START.search(run):
                return True
        if end < 0:
            return False
        start = runs.find(LONG, end)
    return False
