"""The values in a JSON text with the places where they stand, so that some can be replaced and the rest stays as it is.

Lenient: a text that is cut off, or several texts one after the other, are read as far as they go.

The texts here are *wire texts*: bytes read as Latin-1, so that a position is that of a byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

Path = tuple[str | int, ...]

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[{}\[\]:,]|[^\s{}\[\]:,"]+(?:,\s*[^\s{}\[\]:,"]+)*', re.DOTALL)
"""A string, a sign, or a row of numbers and words: an embedding is thousands of them."""

_MARK: Final = re.compile(r'\\(?<!\\\\)(?:\\\\)*"|"\s*:\s*')
"""In prose, what tells of JSON: a quote with a backslash, as in a string, or the end of a name."""

_LONGEST_NAME: Final = 100
_DEEPEST: Final = 100

_SIGNS: Final = frozenset("{}[]:,")
_ID: Final = "item_id"
_MARKS: Final = frozenset({"content_index", "index", "output_index", "summary_index", _ID})
"""Names of what tells the texts apart that a stream gives piece by piece, each in its turn."""

_UNIT: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^\xc0-\xff]"
    r"|\\?[\xc0-\xff][\x80-\xbf]*|.",
    re.DOTALL,
)
"""What stands for one character inside a string."""


class Leaf(NamedTuple):
    """One string, number or word of a JSON text.

    Attributes:
        path: names and indexes from the outermost value to it.
        start, end: where it stands, with the quotes that it has.
        marks: what each object around it says of the place that it has in a stream, whole when the text is read.
    """

    path: Path
    start: int
    end: int
    marks: tuple[Mapping[str, str], ...]

    @property
    def track(self) -> tuple[object, ...]:
        """Return what the pieces of one text in a stream share.

        That is the path, less the place in an outermost list, and the place that each object around it says.
        """
        steps = self.path[1:] if self.path and isinstance(self.path[0], int) else self.path
        return (*steps, *map(_place, self.marks))

    @property
    def place(self) -> str:
        """Return the path as people write it: ``choices[0].message``."""
        steps = (f"[{step}]" if step.__class__ is int else f".{step}" for step in self.path)
        return "".join(steps).removeprefix(".")

    @property
    def name(self) -> str:
        """Return the name of the field that it is, or is an item of; ``""`` for none."""
        return next((step for step in reversed(self.path) if isinstance(step, str)), "")

    @property
    def parent(self) -> str:
        """Return the name of the field around the object that it is in; ``""`` for none."""
        names = [step for step in self.path if isinstance(step, str)]
        return names[-2] if len(names) > 1 else ""


def _place(marks: Mapping[str, str]) -> object:
    indexes = tuple(sorted(mark for mark in marks.items() if mark[0] != _ID))
    return indexes or marks.get(_ID)  # some gateways make up another id for each event


def wire(text: str) -> str:
    """Return a text as its UTF-8 bytes, read as Latin-1."""
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("latin-1")


def unwire(text: str) -> str:
    """Return what ``wire`` was given."""
    if text.isascii():
        return text
    data = text.encode("latin-1")
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def characters(text: str, places: Iterable[int]) -> Iterator[int]:
    """Return which characters of what ``wire`` was given stand at places of a wire text, which come in their order."""
    at = count = 0
    for place in places:
        count += len(unwire(text[at:place]))
        at = place
        yield count


def leaves(text: str, start: int = 0, end: int | None = None, *, name: str | None = None) -> Iterator[Leaf]:
    """Yield the values of the JSON in a wire text, or in a part of it, in their order.

    Args:
        text: the whole.
        start: of the part.
        end: the same.
        name: of the field whose value the part is.
    """
    way = _Way()
    if name is not None:
        way.follow("{")
        way.name(name)
    named = False  # the next string is a name
    for token in _TOKEN.finditer(text, start, len(text) if end is None else end):
        word = token[0]
        if word in _SIGNS:
            named = way.follow(word)
        elif named:
            way.name(value_of(word) if word[0] == '"' else word)
        else:
            yield way.leaf(token)


def embedded(text: str, start: int, end: int, watched: Callable[[str], bool]) -> Iterator[Leaf]:
    """Yield the values within prose that have a watched name as in JSON, and the ends of strings with quotes in them.

    Which quote opens a string and which one ends it is not known here: a backslash before one may belong to a path. So
    a colon behind a quote ends a name, whatever that quote was taken for before; and from a quote with a backslash to
    one without, all is read as a string's. The time that this takes grows as the text does.

    Args:
        text: the whole.
        start: of the part that is read.
        end: the same.
        watched: says of a name whether its value counts, with all that is in its list or object.
    """
    at = start
    while mark := _MARK.search(text, at, end):
        at = mark.end()
        if mark[0][0] == "\\":
            string = _TOKEN.match(text, at - 1, end)
            if string and "\\" in string[0]:
                yield Leaf((), mark.start(), string.end(), ())
                at = string.end() - 1  # the quote there may open a name, or close one
            continue
        name = text[max(start, mark.start() - _LONGEST_NAME - 1) : mark.start()].rpartition('"')[2]
        value = _TOKEN.match(text, at, end)
        if value is None or len(name) > _LONGEST_NAME:
            continue
        name = value_of(f'"{name}"') if "\\" in name else unwire(name)
        stop = value.end()
        if "\\" in value[0]:
            at = stop - 1
        elif not watched(name):
            continue
        elif value[0] in "{[":
            stop, at = _closed(text, value.start(), end)
        yield from leaves(text, value.start(), stop, name=name)


def _closed(text: str, start: int, end: int) -> tuple[int, int]:
    """Return where the list or object ends that starts there, gets too deep or is no JSON, and where to read on."""
    level = string = 0  # and where a string starts that nothing came behind as yet
    for token in _TOKEN.finditer(text, start, end):
        word = token[0]
        if word in _SIGNS:
            level += (word in "{[") - (word in "}]")
            if level in (0, _DEEPEST):
                return token.end(), token.end()
            string = 0
            continue
        if string and _is_between(text[string : token.start() + 1]):
            return token.start(), string
        if word[0] != '"' and "\\" in word:
            return token.start(), token.start()
        string = token.start() if word[0] == '"' else 0
    return end, string or end


def _is_between(string: str) -> bool:
    """Return whether a string is what stands between two others; it is given up to where the next word begins."""
    return "\\" in string or (string[-2] == '"' and string[-1].isalnum())


class _Way:
    """The names and indexes from the outermost value to where one is."""

    __slots__ = ("marks", "path")

    def __init__(self) -> None:
        self.path: list[str | int] = []
        self.marks: list[dict[str, str]] = []

    def follow(self, sign: str) -> bool:
        """Go where a sign leads; return whether a name comes next."""
        path = self.path
        if sign == "{" or sign == "[":  # noqa: PLR1714 - quicker than a set
            path.append("" if sign == "{" else 0)
            self.marks.append({})
            return sign == "{"
        if sign == ",":
            return self._skip(1)
        if sign != ":" and path:
            path.pop()
            self.marks.pop()
        return False

    def name(self, name: str) -> None:
        """Take the name of the next value."""
        self.path[-1] = name

    def leaf(self, token: re.Match[str]) -> Leaf:
        """Return the value, or the first of a row of them, that is here."""
        path, word = self.path, token[0]
        if path and path[-1] in _MARKS:
            self.marks[-1][str(path[-1])] = word
        leaf = Leaf(tuple(path), token.start(), token.end(), tuple(self.marks))
        if word[0] != '"':
            self._skip(word.count(","))
        return leaf

    def _skip(self, count: int) -> bool:
        """Go on in a list by so many items; return whether this is an object instead."""
        last = self.path[-1] if self.path else 0
        if isinstance(last, str):
            return True
        if self.path:
            self.path[-1] = last + count
        return False


def value_of(literal: str) -> str:
    """Return what a string in a wire text says; one that is cut off or broken as far as it can be read."""
    inner = literal.removeprefix('"').removesuffix('"')
    if "\\" not in inner:
        return unwire(inner)
    try:
        return _said(inner)
    except ValueError:
        return "".join(map(_character, _UNIT.findall(inner)))


def _said(inner: str) -> str:
    return str(json.loads(f'"{unwire(inner)}"', strict=False))


def _character(unit: str) -> str:
    """Return the character that a unit stands for; behind a backslash that means nothing, the one that is there."""
    if unit[0] != "\\":
        return unwire(unit)
    try:
        return _said(unit)
    except ValueError:
        return unwire(unit[1:] or unit)


def positions(text: str, leaf: Leaf) -> list[int]:
    """Return where each character of a string's value starts in the wire text, and where the last one ends."""
    start = leaf.start + (text[leaf.start] == '"')
    end = leaf.end - (leaf.end > start and text[leaf.end - 1] == '"')
    return [*(unit.start() for unit in _UNIT.finditer(text, start, end)), end]
