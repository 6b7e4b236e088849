"""What a request bears in its own headers that is a credential."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from django_llmcache.naming import TELLING, names_credential, plain, words_of

from .credentials import HARMLESS, HEADERS, POSSIBLE, is_parameter, is_telling, looks_random

PLACES: Final = HARMLESS | frozenset({
    "correlation", "dedup", "dedupe", "deduplication", "feature", "foreign", "group", "idempotency", "index",
    "message", "model", "object", "ordering", "partition", "primary", "prompt", "public", "request", "route", "routing",
    "sort", "surrogate", "trace", "translation",
})  # fmt: skip
"""Words that make the name of a thing, or its place, of a ``key``."""

_SCHEME: Final = re.compile(r"(?:api-?key|basic|bearer|key|token)\s+", re.IGNORECASE)
_SCHEMED: Final = re.compile(r"(?:basic|bearer)\s+\S", re.IGNORECASE)
SIGNS: Final = dict.fromkeys(map(ord, "!#$%&*?@^|"), "-")
"""For the signs of a password, one that any random text may have."""

_BETWEEN: Final = re.compile(r"(?:%[0-9A-Fa-f]{2}|[-_.~+/=!#$%&*?@^|])+")
_MAIL: Final = re.compile(r"[^@]+@[\w-]+(?:\.[\w-]+)+")
_PLAIN: Final = re.compile(
    r"""
    (?:[a-z]*(?:[A-Z][a-z]{2,})*|[a-z]?[A-Z]{1,5})\d{0,8}(?:[a-z]{0,6}|[A-Z]{0,2})  # support, Llama3, 20240718, 4o, 70B
    | \d{1,3}x\d{1,3}[bB]? | v\d{1,2}[a-z]{1,5}\d{1,2}  # 8x7b, v1beta2
    """,
    re.VERBOSE,
)
_PAIR: Final = re.compile(r"""(?<![\w-])(?P<name>[\w-]+)\s*=\s*(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,=][^\s,]*)""")
_FIRST: Final = re.compile(r"\A[^\s,]+\s+")
_ENDS: Final = str.maketrans("&;", "  ")
_ESCAPE: Final = re.compile(r"\\(?:(?P<octal>[0-3][0-7]{2})|(?P<sign>.))", re.DOTALL)
_URL_SAFE: Final = str.maketrans("-_", "+/")


@lru_cache(maxsize=4096)
def is_known(name: str) -> bool:
    """Return whether a header of this name, in lower case, is a credential whatever its value, or names an account."""
    return name in HEADERS or names_credential(name)


@lru_cache(maxsize=4096)
def is_bearing(name: str) -> bool:
    """Return whether a header of this name, in lower case, is a credential, be it only where its value looks like one.

    A ``key``, a ``token`` or an ``auth`` of a name that nobody knows may as well be a tenant's name or a mode.
    """
    if is_known(name) or is_telling(name) or plain(name) in POSSIBLE:
        return True
    *before, last = words_of(name)
    if last == "key":
        return PLACES.isdisjoint(before)
    return last in TELLING and (last != "token" or HARMLESS.isdisjoint(before))


def looks_made(value: str) -> bool:
    """Return whether a text looks random, and is not made of words and numbers: a model's name, a date, a version."""
    return (
        looks_random(value.translate(SIGNS))
        and not all(map(_PLAIN.fullmatch, _BETWEEN.split(value)))
        and not _MAIL.fullmatch(value)
    )


@lru_cache(maxsize=256)
def borne(name: str, value: str) -> tuple[str, ...]:
    """Return the credentials in a header that may have some: all of it less its scheme, and the parts it is made of.

    Behind a name that is not known, and without the scheme of a credential, only what looks like one.

    Args:
        name: in lower case.
        value: as it is sent, its bytes read as Latin-1.
    """
    value = value.strip()
    parts = tuple(dict.fromkeys(part for text in (value, *_read_anew(value)) for part in _parts(name, text)))
    return parts if is_known(name) or _SCHEMED.match(value) else tuple(filter(looks_made, parts))


def _parts(name: str, value: str) -> list[str]:
    scheme, _, behind = value.partition(" ")
    last = value.rpartition(" ")[2]
    if name == "cookie":
        cookies = [pair.partition("=")[2] for pair in value.split(";")]
        return [last, *map(_bare, cookies), *(_bare(unquote(cookie)) for cookie in cookies)]
    if scheme.lower() == "basic":
        return [last, *(part for login in _decoded(last) for part in _of_login(login))]
    named = list(_named(value))
    whole = [] if named else [_SCHEME.sub("", value, count=1), behind if name.endswith("authorization") else ""]
    whole = [_bare(each) for each in (*whole, *named, *_unnamed(value))]
    return [*whole, *(part for each in whole for part in _of_login(each))]


def _named(value: str) -> Iterator[str]:
    """Yield of named values those that tell of a credential: others, as a digest's ``uri``, stand in any recording."""
    for text in dict.fromkeys((value, value.translate(_ENDS))):  # a & or ; may be a part of a value, or end it
        for pair in _PAIR.finditer(text):
            if is_parameter(pair["name"]) or is_telling(pair["name"]):
                yield pair["value"]


def _unnamed(value: str) -> Iterator[str]:
    """Yield the last word before each comma that no name stands before, and the last of all if it may be no name."""
    rest = _PAIR.sub(",", value)
    for each in (rest if rest == value else _FIRST.sub("", rest)).split(","):
        yield each.rstrip().rpartition(" ")[2]
    last = value.rpartition(" ")[2]
    if "=" in last:
        yield last


def _of_login(login: str) -> tuple[str, ...]:
    """Return the password of a login, and its user where that is the key: alone, or by its looks."""
    user, colon, password = login.partition(":")
    if not colon:
        return ()
    return (password,) if password and not looks_random(user) else (password, user)


def _decoded(login: str) -> tuple[str, ...]:
    try:
        return _readings(b64decode(login.translate(_URL_SAFE) + "=="))
    except ValueError:
        return ()


def _read_anew(value: str) -> tuple[str, ...]:
    """Return how a server may read a header's value, besides as it is."""
    try:
        return () if value.isascii() else _readings(value.encode("latin-1"))
    except ValueError:
        return ()


def _readings(data: bytes) -> tuple[str, ...]:
    """Return what bytes may mean: clients write, and servers read, either charset."""
    latin = data.decode("latin-1")
    try:
        return (data.decode(), latin)
    except ValueError:
        return (latin,)


def _bare(text: str) -> str:
    """Return a text less the white space, the quotes and the escapes in them that a header may have it in."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return _ESCAPE.sub(lambda found: chr(int(found["octal"], 8)) if found["octal"] else found["sign"], text[1:-1])
    return text
