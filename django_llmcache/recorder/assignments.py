"""Find credentials behind their names in text that is no JSON: ``DB_PASSWORD=…``, ``API key: …``, ``'token': '…'``."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from django_llmcache.naming import is_named

from .borne import SIGNS, looks_made
from .credentials import NEAR, Span, looks_random

_LETTERS: Final = r"A-Za-z0-9_.~+/!#$%*?@^|"
_GIVEN: Final = re.compile(
    rf"""
    [:=](?:
      # From one quote to the next: what is between them is the value, whatever signs are in it.
      [ *]{{0,8}}(?P<quote>\\{{0,8}}(?P<mark>["'`]))(?:(?P=quote){{2}})?
      (?P<quoted>[{_LETTERS}&()=-]{{16}}[^\s\\"'`]*)(?=(?P=quote))
    | [ \\"'`*]{{0,8}}(?P<value>[{_LETTERS}-]{{16,}})
    )
    """,
    re.VERBOSE,
)
"""A sign, and a value behind it that no sign with a value is in: so no two of them overlap."""

_LINE: Final = re.compile(
    rf"^[ \t]*(?:export )?(?P<name>[A-Z][A-Z0-9_]{{0,63}})=(?P<value>[{_LETTERS}&()=-]{{16}}[^\s\\\"'`]*)[ \t\r]*$",
    re.MULTILINE,
)
"""A line as a file of settings has it: to its end it is one value."""

_NAME: Final = re.compile(r"(?:(?P<word>[A-Za-z]+) )?(?P<name>[A-Za-z_][\w-]*)[ \\\"'`*\]:]{0,8}\Z", re.ASCII)
_QUOTES: Final = frozenset("\"'`")
_QUOTED: Final = re.compile(r"[^\s\\\"'`]+")
_BARE: Final = re.compile(rf"[{_LETTERS}:=-]+(?<![.!?*|:])")
"""A whole value, less what ends a sentence, a cell or bold print."""

_OPEN: Final = frozenset("([{<")
_BETWEEN: Final = dict.fromkeys(map(ord, "(),;:<>[]{}"), "-")
"""For the signs that a value has between quotes only, one that it may have anywhere."""

_EVEN: Final = _BETWEEN | SIGNS

_KEY: Final = re.compile(r"[a-z0-9!@#$%^&*(_=+)-]{50,}")
"""A key as Django makes it, with or without ``django-insecure-``."""
_SIGNS: Final = frozenset("!@#$%^&*(=+)")
_KINDS: Final = 4
"""So many different signs no slug and no form of such letters has."""

_CONSTANT: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z]+(?![A-Za-z0-9])")


def assigned(text: str, named: Callable[[str, str], bool]) -> list[Span]:
    """Return the random values in a text that a credential's name and a colon or an equals sign stand before.

    Args:
        text: as it is read; the time that it takes grows as the text does.
        named: says of a name and a value whether it is a credential.
    """
    found = [
        Span(*line.span("value"))
        for line in _LINE.finditer(text)
        if _is_credential((line["name"], ""), line["value"], named)
    ]
    given = _GIVEN.search(text)
    while given:
        span = _span_of(given)
        if _is_open(given) or not _is_credential(_names(text, given.start()), text[slice(*span)], named):
            # Between quotes there may be another name and its value.
            given = _GIVEN.search(text, span[0])
            continue
        found.append(_whole(given))
        given = _GIVEN.search(text, found[-1].end)
    return found


def _span_of(given: re.Match[str]) -> tuple[int, int]:
    return given.span("quoted" if given["quoted"] else "value")


def _is_open(given: re.Match[str]) -> bool:
    """Return whether a value that is in no quotes is a call, an item or a template."""
    return not given["quoted"] and given.string[given.end() : given.end() + 1] in _OPEN


def _whole(given: re.Match[str]) -> Span:
    start, end = _span_of(given)
    whole = (_QUOTED if given.string[start - 1] in _QUOTES else _BARE).match(given.string, start)
    return Span(start, whole.end() if whole else end)


def _names(text: str, end: int) -> tuple[str, str]:
    """Return the word that a sign stands behind, and that word with the one before it, as in ``API key``."""
    name = _NAME.search(text[max(end - NEAR, 0) : end])
    return (name["name"], f"{name['word'] or ''} {name['name']}") if name else ("", "")


def _is_credential(names: tuple[str, str], value: str, named: Callable[[str, str], bool]) -> bool:
    one, two = names
    return (named(one, value) or is_named(two)) and _is_made(value)


def _is_made(value: str) -> bool:
    """Return whether a value is neither words and numbers nor what code has: a constant, an attribute."""
    if _KEY.fullmatch(value) and len(_SIGNS.intersection(value)) >= _KINDS:
        return looks_random(value.translate(_EVEN))
    return looks_made(_CONSTANT.sub(lambda constant: constant[0].lower(), value.translate(_BETWEEN)))
