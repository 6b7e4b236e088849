"""The ways in which providers write JSON, so that a parsed body can be written again byte for byte.

A provider's JSON is kept parsed, for people to read and to compare; beside it stands how it was written. Whatever no
layout reproduces (numbers such as ``1.50``, an object that names a key twice) is kept as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn

import orjson

from django_llmcache.parsing import may_be_long

DEEPEST: Final = 100
"""Levels of nesting that are kept parsed."""

SPACE: Final = " \t\r\n"
"""What may stand around a JSON text."""

ESCAPABLE: Final = "<>&='+`/\x7f\u2028\u2029"
"""Characters that some providers write as an escape, though JSON does not ask for it."""

_SEPARATORS: Final = {
    "compact": (",", ":"),
    "spaced": (", ", ": "),
    "spaced commas": (", ", ":"),
    "spaced colons": (",", ": "),
}
_QUICK: Final = {"compact": 0, "indent 2": orjson.OPT_INDENT_2}
"""The styles that orjson writes too, in a tenth of the time and less."""

_NO_FLOATS: Final = frozenset({str, int, bool, type(None)})
_INDENT: Final = re.compile(r"indent (tab|[1-8])")
_FIRST_INDENT: Final = re.compile(r"[\[{]\n(\t| {1,8})\S")
_LONG_EXPONENT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|e([+-])0(\d)')


class Layout(NamedTuple):
    """How one JSON text is written.

    Attributes:
        style: ``"compact"``, ``"spaced"``, ``"spaced commas"``, ``"spaced colons"``, ``"indent 2"``, ``"indent tab"``.
        ascii: whether every character beyond ASCII is an escape.
        escaped: those of ``ESCAPABLE`` that are escapes too.
        exponents: whether exponents have one digit where one does (``1e-7``, not ``1e-07``).
        before: white space before the text.
        after: white space after it.
    """

    style: str = "compact"
    ascii: bool = False
    escaped: str = ""
    exponents: bool = False
    before: str = ""
    after: str = ""

    @property
    def valid(self) -> bool:
        """Return whether each part is one that ``write`` knows."""
        return (
            (self.style in _SEPARATORS or _INDENT.fullmatch(self.style) is not None)
            and not self.escaped.strip(ESCAPABLE)
            and not (self.before + self.after).strip(SPACE)
        )

    def write(self, value: Any) -> bytes:
        """Return the bytes of a parsed value.

        Raises:
            ValueError: it has NaN, infinity, or half of a surrogate pair that would not be an escape.
        """
        text = self._written_quickly(value) or self._written(value)
        if self.escaped:  # none of these stands outside a string
            text = text.translate({ord(character): _escape(character) for character in self.escaped})
        if self.exponents:
            text = _LONG_EXPONENT.sub(_shorter, text)
        return f"{self.before}{text}{self.after}".encode()

    def _written_quickly(self, value: Any) -> str | None:
        """Return what ``_written`` does, ``None`` where orjson may write something else."""
        option = _QUICK.get(self.style)
        if option is None or not _plain_floats((value,)):
            return None
        try:
            text = orjson.dumps(value, option=option).decode()
        except TypeError:  # a number beyond 64 bits, or half of a surrogate pair
            return None
        return text if not self.ascii or (text.isascii() and "\x7f" not in text) else None

    def _written(self, value: Any) -> str:
        if self.style in _SEPARATORS:
            indent, separators = None, _SEPARATORS[self.style]
        else:
            width = self.style.removeprefix("indent ")
            indent, separators = ("\t" if width == "tab" else " " * int(width)), (",", ": ")
        return _encoder(self.ascii, indent, separators).encode(value)


@lru_cache(maxsize=64)
def _encoder(ascii_only: bool, indent: str | None, separators: tuple[str, str]) -> json.JSONEncoder:  # noqa: FBT001
    return json.JSONEncoder(ensure_ascii=ascii_only, indent=indent, separators=separators, allow_nan=False)


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none; NaN and infinity are none either.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if not may_be_long(raw):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:  # or what the standard library takes
            pass
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("It is nested too deeply.") from error


def recognise(raw: bytes) -> tuple[Any, Layout] | None:
    """Return the value of a JSON object or list and the layout that writes it again byte for byte, if there is one."""
    try:
        text = raw.decode()
        core = text.strip(SPACE)
        if not core.startswith(("{", "[")):
            return None
        value = parse(core)
        if too_deep(value):
            return None
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair can't be kept in a file
        start = text.index(core)
        around = (text[:start], text[start + len(core) :])
        return next(((value, layout) for layout in _candidates(core, *around) if layout.write(value) == raw), None)
    except ValueError:
        return None


def too_deep(value: Any, left: int = DEEPEST) -> bool:
    """Return whether a value is nested more deeply than is kept parsed."""
    if isinstance(value, dict):
        return left == 0 or any(too_deep(inner, left - 1) for inner in value.values())
    return isinstance(value, list) and (left == 0 or any(too_deep(inner, left - 1) for inner in value))


def _candidates(core: str, before: str, after: str) -> Iterator[Layout]:
    escaped = "".join(character for character in ESCAPABLE if _escape(character) in core)
    exponents = (False, True) if re.search(r"e[+-]\d(?!\d)", core) else (False,)
    for style in _styles(core):
        for short in exponents:
            for ascii_only in (False, True) if core.isascii() else (False,):
                yield Layout(style, ascii_only, escaped, short, before, after)


def _styles(core: str) -> tuple[str, ...]:
    found = _FIRST_INDENT.match(core)
    if found is None:
        return tuple(_SEPARATORS)
    return ("indent tab" if found[1] == "\t" else f"indent {len(found[1])}",)


def _escape(character: str) -> str:
    return r"\/" if character == "/" else f"\\u{ord(character):04x}"


def _shorter(found: re.Match[str]) -> str:
    return f"e{found[1]}{found[2]}" if found[1] else found[0]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON.")


def _plain_floats(values: Iterable[Any]) -> bool:
    """Return whether no number is written with an exponent, nor infinite or NaN, at any depth."""
    for value in values:
        kind = value.__class__
        if kind in _NO_FLOATS:
            continue
        if kind is float:
            if not 1e-4 <= abs(value) < 1e16 and value:
                return False
        elif not _plain_floats(value.values() if kind is dict else value):
            return False
    return True
