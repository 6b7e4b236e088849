"""What a request bears in its own headers that is a credential."""

from __future__ import annotations

import re
from base64 import b64decode
from functools import lru_cache
from typing import Final

from .credentials import (
    HARMLESS,
    HEADERS,
    POSSIBLE,
    SECRETS,
    TELLING,
    is_named,
    is_parameter,
    is_telling,
    looks_random,
    plain,
)

GATEWAYS: Final = frozenset({"heliconeauth", "xgatewaytoken", "xllmkey"})
"""Headers of gateways that are credentials, as ``plain`` has them."""

KEYS: Final = frozenset({"admin", "license", "virtual"})
"""Words before ``key`` that make a credential of it, besides those that names end with."""

PLACES: Final = HARMLESS | frozenset({
    "correlation", "dedup", "dedupe", "deduplication", "feature", "foreign", "group", "idempotency", "index",
    "message", "model", "object", "ordering", "partition", "primary", "prompt", "public", "request", "route", "routing",
    "sort", "surrogate", "trace", "translation",
})  # fmt: skip
"""Words that make the name of a thing, or its place, of a ``key``."""

_WORD: Final = re.compile("[a-z]+")
_SCHEME: Final = re.compile(r"(?:api-?key|basic|bearer|key|token)\s+", re.IGNORECASE)
_SCHEMED: Final = re.compile(r"(?:basic|bearer)\s+\S", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"[-_.~+/=]+")
_PLAIN: Final = re.compile(
    r"""
    (?:[a-z]*(?:[A-Z][a-z]{2,})*|[a-z]?[A-Z]{1,5})\d{0,8}(?:[a-z]{0,6}|[A-Z]{0,2})  # support, Llama3, 20240718, 4o, 70B
    | \d{1,3}x\d{1,3}[bB]? | v\d{1,2}[a-z]{1,5}\d{1,2}  # 8x7b, v1beta2
    """,
    re.VERBOSE,
)
_PAIR: Final = re.compile(r'(?P<name>[\w-]+)=(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s,;]+))')


@lru_cache(maxsize=4096)
def is_known(name: str) -> bool:
    """Return whether a header of this name, in lower case, is a credential whatever its value."""
    if name in HEADERS or is_named(name) or plain(name) in GATEWAYS:
        return True
    *before, last = _WORD.findall(name) or [""]
    return last in SECRETS or (last == "key" and not KEYS.isdisjoint(before[-1:]))


@lru_cache(maxsize=4096)
def is_bearing(name: str) -> bool:
    """Return whether a header of this name, in lower case, is a credential, be it only where its value looks like one.

    A ``key``, a ``token`` or an ``auth`` of a name that nobody knows may as well be a tenant's name or a mode.
    """
    if is_known(name) or is_telling(name) or plain(name) in POSSIBLE:
        return True
    *before, last = _WORD.findall(name) or [""]
    if last == "key":
        return PLACES.isdisjoint(before)
    return last in TELLING and (last != "token" or HARMLESS.isdisjoint(before))


def looks_made(value: str) -> bool:
    """Return whether a text looks random, and is not made of words and numbers: a model's name, a date, a version."""
    return looks_random(value) and not all(map(_PLAIN.fullmatch, _BETWEEN.split(value)))


@lru_cache(maxsize=256)
def borne(name: str, value: str) -> tuple[str, ...]:
    """Return the credentials in a header that may have some: all of it less its scheme, and the parts it is made of.

    Behind a name that is not known, and without the scheme of a credential, only what looks like one.

    Args:
        name: in lower case.
        value: as it is sent.
    """
    parts = _parts(name, value)
    return parts if is_known(name) or _SCHEMED.match(value) else tuple(filter(looks_made, parts))


def _parts(name: str, value: str) -> tuple[str, ...]:
    scheme, _, last = value.rpartition(" ")
    if name == "cookie":
        return (last, *(pair.partition("=")[2].strip() for pair in value.split(";")))
    if scheme.lower() == "basic":
        return (last, *_of_login(_decoded(last)))
    # Of named values only those that tell of a credential: others, as a digest's ``uri``, stand in any recording.
    named = [
        pair["quoted"] or pair["plain"] or ""
        for pair in _PAIR.finditer(value)
        if is_parameter(pair["name"]) or is_telling(pair["name"])
    ]
    whole = [last, *named] if named else [_SCHEME.sub("", value, count=1), last]
    return tuple(dict.fromkeys([*whole, *(part for each in whole for part in _of_login(each))]))


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
