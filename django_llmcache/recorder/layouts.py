"""The ways in which providers write JSON, so that a parsed body can be written again byte for byte.

A provider's JSON is kept parsed, for people to read and to compare; beside it stands how it was written. Whatever no
layout reproduces (numbers such as ``1.50``, an object that names a key twice) is kept as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn

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
        if self.style in _SEPARATORS:
            indent, separators = None, _SEPARATORS[self.style]
        else:
            width = self.style.removeprefix("indent ")
            indent, separators = ("\t" if width == "tab" else " " * int(width)), (",", ": ")
        text = _encoder(self.ascii, indent, separators).encode(value)
        if self.escaped:  # none of these stands outside a string
            text = text.translate({ord(character): _escape(character) for character in self.escaped})
        if self.exponents:
            text = _LONG_EXPONENT.sub(_shorter, text)
        return f"{self.before}{text}{self.after}".encode()


@lru_cache(maxsize=64)
def _encoder(ascii_only: bool, indent: str | None, separators: tuple[str, str]) -> json.JSONEncoder:  # noqa: FBT001
    return json.JSONEncoder(ensure_ascii=ascii_only, indent=indent, separators=separators, allow_nan=False)


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is none; NaN and infinity are none either.
    """
    try:
        if isinstance(text, str) and not text.startswith("\ufeff"):
            return _DECODER.decode(text)
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


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)
"""Made once: ``json.loads`` makes one for each text."""
