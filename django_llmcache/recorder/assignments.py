"""Find credentials behind their names in text that is no JSON: ``DB_PASSWORD=…``, ``API key: …``, ``'token': '…'``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from django_llmcache.naming import is_named

from .borne import looks_made
from .credentials import Span

_GIVEN: Final = re.compile(r"[:=][ \\\"'`*]{0,8}(?P<value>[A-Za-z0-9_.~+/!#$%*?@^|-]{16,})")
"""A sign, and a value behind it that has no such sign in it: so no two of them overlap."""

_BEFORE: Final = 64
_NAME: Final = re.compile(r"(?:(?P<word>[A-Za-z]+) )?(?P<name>[A-Za-z_][\w-]*)[ \\\"'`*\]:]{0,8}\Z", re.ASCII)
_QUOTES: Final = frozenset("\"'`")
_QUOTED: Final = re.compile(r"[^\s\\\"'`]+")
_BARE: Final = re.compile(r"[A-Za-z0-9_.~+/!#$%*?@^|:=-]+(?<![.!?*|:])")
"""A whole value, less what ends a sentence, a cell or bold print."""

_OPEN: Final = frozenset("([{<")
_CONSTANT: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z]+(?![A-Za-z0-9])")


def assigned(text: str, named: Callable[[str, str], bool]) -> list[Span]:
    """Return the random values in a text that a credential's name and a colon or an equals sign stand before.

    Args:
        text: as it is read; the time that it takes grows as the text does.
        named: says of a name and a value whether it is a credential.
    """
    found = []
    given = _GIVEN.search(text)
    while given:
        start, end = given.span("value")
        if text[end : end + 1] not in _OPEN and _is_credential(_names(text, given.start()), given["value"], named):
            whole = (_QUOTED if text[start - 1] in _QUOTES else _BARE).match(text, start)
            end = whole.end() if whole else end
            found.append(Span(start, end))
        given = _GIVEN.search(text, end)
    return found


def _names(text: str, end: int) -> tuple[str, str]:
    """Return the word that a sign stands behind, and that word with the one before it, as in ``API key``."""
    name = _NAME.search(text[max(end - _BEFORE, 0) : end])
    return (name["name"], f"{name['word'] or ''} {name['name']}") if name else ("", "")


def _is_credential(names: tuple[str, str], value: str, named: Callable[[str, str], bool]) -> bool:
    one, two = names
    return (named(one, value) or is_named(two)) and _is_made(value)


def _is_made(value: str) -> bool:
    """Return whether a value is neither words and numbers nor what code has: a constant, an attribute."""
    return looks_made(_CONSTANT.sub(lambda constant: constant[0].lower(), value))
