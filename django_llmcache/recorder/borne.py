"""What a request bears in its own headers that is a credential, whatever it looks like."""

from __future__ import annotations

import re
from base64 import b64decode
from functools import lru_cache
from typing import Final

from .credentials import HARMLESS, HEADERS, TELLING, is_named, is_parameter, is_telling, looks_random

PLACES: Final = HARMLESS | frozenset({
    "correlation", "dedup", "dedupe", "deduplication", "feature", "foreign", "group", "idempotency", "index",
    "message", "model", "object", "ordering", "partition", "primary", "prompt", "public", "request", "route", "routing",
    "sort", "surrogate", "trace", "translation",
})  # fmt: skip
"""Words that make the name of a thing, or its place, of a ``key``."""

_WORD: Final = re.compile("[a-z]+")
_SCHEME: Final = re.compile(r"(?:api-?key|basic|bearer|key|token)\s+", re.IGNORECASE)
_PAIR: Final = re.compile(r'(?P<name>[\w-]+)=(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s,;]+))')


@lru_cache(maxsize=4096)
def is_bearing(name: str) -> bool:
    """Return whether a header of this name, in lower case, is a credential whatever its value.

    What a name holds its last word says: ``x-gateway-token`` is a credential, ``x-token-owner`` tells of one.
    """
    if name in HEADERS or is_named(name):
        return True
    *before, last = _WORD.findall(name) or [""]
    if last == "key":
        return PLACES.isdisjoint(before)
    return last in TELLING and (last != "token" or HARMLESS.isdisjoint(before))


@lru_cache(maxsize=256)
def borne(name: str, value: str) -> tuple[str, ...]:
    """Return the credentials in a header that has some: all of it less its scheme, and the parts it is made of.

    Args:
        name: in lower case.
        value: as it is sent.
    """
    scheme, _, last = value.rpartition(" ")
    if name == "cookie":
        return (last, *(pair.partition("=")[2].strip() for pair in value.split(";")))
    if scheme.lower() == "basic":
        return (last, *_of_login(_decoded(last)))
    # Of named values only those that tell of a credential: others, as a digest's ``uri``, stand in any recording.
    named = [pair["quoted"] or pair["plain"] or "" for pair in _PAIR.finditer(value) if _is_telling(pair["name"])]
    whole = [last, *named] if named else [_SCHEME.sub("", value, count=1), last]
    return tuple(dict.fromkeys([*whole, *(part for each in whole for part in _of_login(each))]))


def _is_telling(name: str) -> bool:
    return is_parameter(name) or is_telling(name)


def _of_login(login: str) -> tuple[str, ...]:
    """Return the password of a login, and its user where that is the key: alone, or by its looks."""
    user, colon, password = login.partition(":")
    if not colon:
        return ()
    return (password,) if password and not looks_random(user) else (password, user)


def _decoded(login: str) -> str:
    try:
        return b64decode(login).decode()
    except ValueError:
        return ""
