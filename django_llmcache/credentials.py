"""What carries a credential in a request, and whether a text or an answer has it again."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from secrets import token_bytes
from typing import Final
from urllib.parse import parse_qsl

from .naming import TELLING, names_credential

SHORTEST: Final = 8
"""Characters from which a credential in an answer is one, and not a word by chance."""

REDACTED: Final = "[redacted]"

PARAMETERS: Final = frozenset({"access_token", "api-key", "api_key", "key", "sig", "subscription-key", "token"})
"""Query parameters that carry a credential: they are in no key."""

_WORDS: Final = TELLING | {"key", "signature"}
_ACCOUNTS: Final = frozenset({"account", "organization", "project", "tenant", "workspace"})
_SECRET: Final = token_bytes()
_ESCAPED: Final = {'"': b'\\"', "\\": b"\\\\", "/": b"\\/"}
_USER: Final = re.compile(r"//[^/@\s]*@")
_LOGIN: Final = re.compile(r"//\S*@")
_NAMED: Final = re.compile(r"(?i)(\w*(?:password|passwd|pwd|secret|token|credential)\w*\s*=\s*)[^\s,;)]+")
_ARGUMENTS: Final = re.compile(r"(?i)with args beginning with.*")


class Credentials:
    """The credentials of one call.

    Args:
        key: the API key; hidden in every message, however short it is.
        others: credentials besides: in headers, in the address. A short one may be a word by chance, and is left.
    """

    __slots__ = ("_texts",)

    def __init__(self, key: str | None, others: Iterable[str] = ()) -> None:
        found = {text for text in others if len(text) >= SHORTEST}
        if key:
            found.add(key)
        self._texts = sorted(found, key=len, reverse=True)  # one may be a part of another

    def are_in(self, body: bytes) -> bool:
        """Return whether an answer has one of them in it, as it is or with JSON's escapes."""
        return any(len(text) >= SHORTEST and _is_in(text, body) for text in self._texts)

    def hidden(self, text: str) -> str:
        """Return a text without them."""
        for each in self._texts:
            text = text.replace(each, REDACTED)
        return text

    def redacted(self, body: bytes) -> bytes:
        """Return a body without them, however JSON writes them."""
        for each in self._texts:
            if _may_be_escaped(each, body):
                body = _spellings(each).sub(REDACTED.encode(), body)
            else:
                body = body.replace(_bytes(each), REDACTED.encode())
        return body

    def __repr__(self) -> str:
        return f"<Credentials {len(self._texts)}>"


@lru_cache(maxsize=4096)
def carries(header: str) -> bool:
    """Return whether a request header of this name carries a credential, as ``x-api-key`` does."""
    return not _WORDS.isdisjoint(_words_of(header)) or names_credential(header.lower())


def account_of(headers: Mapping[str, str], url: str) -> bytes:
    """Return what stands for the account that a request is for: its credentials, and what else names an account.

    Nobody can tell from it what they are; it means nothing outside of this process.

    Args:
        headers: of the request, by their lower-case names.
        url: where it goes.
    """
    said = sorted(pair for pair in headers.items() if carries(pair[0]) or not _ACCOUNTS.isdisjoint(_words_of(pair[0])))
    queried = sorted(pair for pair in parse_qsl(url.partition("?")[2]) if pair[0].lower() in PARAMETERS)
    named = repr((said, queried, _USER.findall(url))).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(named, key=_SECRET, digest_size=16).digest()


def in_headers(headers: Mapping[str, str]) -> Iterator[str]:
    """Yield the credentials in the headers of a request: what is behind ``Bearer``, and the password of ``Basic``."""
    for name, value in headers.items():
        if carries(name):
            kind, _, secret = value.rpartition(" ")
            yield secret
            if kind.lower() == "basic":
                with suppress(ValueError):
                    yield b64decode(secret).decode("latin-1").partition(":")[2]


def in_address(url: str) -> Iterator[str]:
    """Yield the credentials in the query of an address."""
    for name, value in parse_qsl(url.partition("?")[2]):
        if name.lower() in PARAMETERS:
            yield value


def shown(text: str) -> str:
    """Return a text about an address less the secrets that one may have: a query, a password."""
    return _USER.sub("//", text.partition("?")[0])


def of_a_library(text: str) -> str:
    """Return what a library of a store says, less what may be a part of a password.

    Redis quotes the arguments of a command that it does not know, ``AUTH`` among them; redis-py and psycopg show what
    they connect with; in an address, whoever forgot to encode a password may have written any character.
    """
    return _NAMED.sub(rf"\1{REDACTED}", _LOGIN.sub("//", _ARGUMENTS.sub("with arguments", text)))


def _words_of(header: str) -> list[str]:
    return re.split(r"[^a-z]+", header.lower())


def _is_in(text: str, body: bytes) -> bool:
    return _bytes(text) in body or (_may_be_escaped(text, body) and _spellings(text).search(body) is not None)


def _may_be_escaped(text: str, body: bytes) -> bool:
    """Return whether a body has escapes that could be of this text: to look for every spelling takes long."""
    return b"\\u" in body or any(char in text and escape in body for char, escape in _ESCAPED.items())


def _spellings(text: str) -> re.Pattern[bytes]:
    """Return what finds a text however JSON writes it: each character as it is, or with an escape."""
    return re.compile(b"".join(map(_spelling, text)))


def _spelling(char: str) -> bytes:
    plain = re.escape(_bytes(char))
    short = re.escape(_ESCAPED.get(char, _bytes(char)))
    units = char.encode("utf-16-be", "surrogatepass")
    code = b"".join(rb"\\u(?i:%04x)" % int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    return rb"(?:%s|%s|%s)" % (plain, short, code)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
