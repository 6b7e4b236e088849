"""Find the credentials in a whole body: JSON by its fields, event streams by their joined pieces, text as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple
from urllib.parse import quote_plus, unquote_plus

import orjson

from django_llmcache.naming import is_named

from .assignments import assigned
from .credentials import (
    REDACTED,
    Span,
    is_around,
    is_credential,
    is_opaque,
    is_parameter,
    is_telling,
    is_watched,
    merged,
)
from .eventlines import EventLines, blanked
from .hints import may_hold_credentials
from .jsontext import Leaf, characters, embedded, leaves, positions, value_of, wire

Look = Callable[[str], list[Span]]
"""Finds what shows by its shape in a text."""

Named = Callable[[str, str], bool]
"""Says of the name and the value of a field whether it is a credential."""

EVENTS: Final = "text/event-stream"
FORM: Final = "application/x-www-form-urlencoded"
BINARY: Final = ("application/octet-stream", "application/vnd.amazon.eventstream", "audio/", "image/", "video/")
"""Media types of what breaks when a byte of it is replaced."""

_BOM: Final = r"(?:\xef\xbb\xbf|\ufeff)?"  # in wire text, or in any other
_JSON: Final = re.compile(rf"{_BOM}\s*[{{\[]")
_FIRST_EVENT: Final = re.compile(rf"{_BOM}\s*(?:(?:data|event|id|retry):|:)")
_BYTE: Final = re.compile(r"%[0-9a-fA-F]{2}|.", re.DOTALL)
_PAIR: Final = re.compile(r"([^&=]+)=([^&]+)")
_PART: Final = re.compile(r'(?<![\w*])name="([^"\r\n]*)"[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)(?=\r\n--)', re.DOTALL)
_INSIDE: Final = frozenset({"key", "raw", "secret", "token", "value"})
_STRING: Final = '"\\'
"""How a string begins, and what is left of one."""
_EMPTY: Final = frozenset({'""', "null"})
_NUMBER: Final = re.compile(r"-?\d[\d.eE+-]*")


class Finding(NamedTuple):
    """A credential in a body.

    Attributes:
        start, end: where it stands, in bytes.
        replacement: what may stand there.
        place: dotted path of the field, ``""`` outside JSON.
    """

    start: int
    end: int
    replacement: str
    place: str = ""


def findings(
    body: bytes, content_type: str, look: Look, *, named: Named = is_credential, empty: bool = False
) -> list[Finding]:
    """Return where credentials stand in a body, in their order, none overlapping another.

    Args:
        body: decoded and whole.
        content_type: media type in lower case, with or without parameters.
        look: as the type says.
        named: the same.
        empty: whether a field of a credential counts where there is none in it.
    """
    text = body.decode("latin-1")
    search = _Search(text, look, named, empty=empty)
    if content_type.startswith(EVENTS):
        search.lines()
    elif _FIRST_EVENT.match(text):
        search.prose(0, len(text))
        search.lines()
    elif _JSON.match(text):
        search.texts([(0, len(text))])
    elif content_type.startswith(FORM):
        search.form()
    else:
        search.plain(0, len(text))
        if content_type.startswith("multipart/"):
            search.parts()
    return search.found()


def may_find(body: bytes, content_type: str, known: Iterable[bytes] = ()) -> bool:
    """Return ``False`` only where ``findings`` would find nothing; quick for JSON and text.

    Args:
        body: decoded; a request's, or an answer's that is no stream.
        content_type: as ``findings`` takes it.
        known: what ``look`` finds besides what shows by its shape.
    """
    return content_type.startswith((FORM, "multipart/")) or may_hold_credentials(body, known)


def in_text(text: str, look: Look, *, named: Named = is_credential, empty: bool = False) -> list[Span]:
    """Return where credentials stand in a text, which may be JSON or an event stream, or have JSON in it."""
    found = look(text) + assigned(text, named)
    if '"' in text:
        wired = wire(text)
        search = _Search(wired, look, named, empty=empty)
        if _JSON.match(text):
            search.json([(0, len(wired))])
            if not _is_whole(wired):
                search.prose(0, len(wired))
        else:
            search.prose(0, len(wired))
            if _FIRST_EVENT.match(text):
                search.lines()
        inside = search.found()
        places = characters(wired, (place for one in inside for place in (one.start, one.end)))
        found += [Span(next(places), next(places), one.replacement) for one in inside]
    return merged(found)


def _is_whole(text: str) -> bool:
    """Return whether a text that begins as JSON is one JSON text to its end, and not prose behind a bracket."""
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


class _Piece(NamedTuple):
    """One string of a body."""

    leaf: Leaf
    value: str


class _Search:
    """What is found in one wire text."""

    def __init__(self, text: str, look: Look, named: Named, *, empty: bool) -> None:
        self._text = text
        self._look = look
        self._named = named
        self._empty = empty
        self._found: list[Finding] = []

    def found(self) -> list[Finding]:
        """Return the findings in their order; of those that overlap, one that covers all."""
        kept: list[Finding] = []
        for finding in sorted(self._found, key=lambda one: (one.start, -one.end, not one.place)):
            last = kept[-1] if kept else None
            if last is None or finding.start >= last.end:
                kept.append(finding)
            elif finding.end > last.end:
                kept[-1] = last._replace(end=finding.end)
        return kept

    def plain(self, start: int, end: int) -> None:
        """Search a stretch that is no JSON."""
        part = self._text[start:end]
        spans = [*self._look(part), *assigned(part, self._named)]
        self._found += [Finding(start + span.start, start + span.end, span.replacement) for span in spans]
        self.prose(start, end)

    def prose(self, start: int, end: int) -> None:
        """Search the JSON within a stretch that is none as a whole."""
        for leaf in embedded(self._text, start, end, _may_name):
            self._leaf(leaf)

    def lines(self) -> None:
        """Search an event stream: each line, and what the lines of data in an event say together."""
        found = EventLines.of(self._text)
        self.texts(found.lines)
        if found.gaps:
            self._text = blanked(self._text, found.gaps)
            self.texts(found.events)

    def texts(self, regions: list[tuple[int, int]]) -> None:
        """Search texts of which some are JSON, perhaps the pieces of a longer one."""
        texts = []
        for start, end in regions:
            is_json = _JSON.match(self._text, start, end)
            if is_json:
                texts.append((start, end))
            if not (is_json and _is_whole(self._text[start:end])):
                self.plain(start, end)
        self.json(texts)

    def form(self) -> None:
        """Search pairs of names and values, of which some are JSON."""
        for pair in _PAIR.finditer(self._text):
            name, value = unquote_plus(pair[1]), unquote_plus(pair[2])
            if value == REDACTED:
                continue
            if is_parameter(name) or self._named(name, value):
                self._found.append(Finding(*pair.span(2), REDACTED, name))
            elif spans := in_text(value, self._look, named=self._named, empty=self._empty):
                self._found += _in_pair(pair, name, value, spans)

    def parts(self) -> None:
        """Search the fields of a multipart body by their names, and those that are JSON, or lines of it."""
        for part in _PART.finditer(self._text):
            if part[2] != REDACTED and self._named(part[1], part[2]):
                self._found.append(Finding(*part.span(2), REDACTED, part[1]))
            elif _JSON.match(part[2]):
                self.json([part.span(2)])

    def json(self, regions: list[tuple[int, int]]) -> None:
        """Search JSON texts: each value, and the pieces of what is spread over several."""
        found = [self._leaf(leaf) for region in regions for leaf in leaves(self._text, *region)]
        tracks: dict[tuple[object, ...], list[_Piece]] = {}
        for piece in filter(None, found):
            tracks.setdefault(piece.leaf.track, []).append(piece)
        for pieces in tracks.values():
            if len(pieces) > 1:
                self._joined(pieces)

    def _leaf(self, leaf: Leaf) -> _Piece | None:
        """Search one value; return it where it may be a piece of a longer one."""
        literal, name = self._text[leaf.start : leaf.end], leaf.name
        if literal[0] not in _STRING or literal == '""':
            hidden = _NUMBER.fullmatch(literal) or (self._empty and literal in _EMPTY)
            if hidden and is_named(name):
                self._found.append(Finding(leaf.start, leaf.end, f'"{REDACTED}"', leaf.place))
            return None
        if is_opaque(name):
            return None
        value = value_of(literal)
        if value == REDACTED:
            return None
        spans = in_text(value, self._look, named=self._named, empty=self._empty)
        if (
            self._named(name, value)
            or (name.lower() in _INSIDE and is_around(leaf.parent))
            # What is left of it might pass for one.
            or (spans and is_watched(name))
        ):
            self._found.append(Finding(leaf.start, leaf.end, f'"{REDACTED}"', leaf.place))
            return None
        piece = _Piece(leaf, value)
        self._put(piece, spans)
        return piece

    def _joined(self, pieces: list[_Piece]) -> None:
        """Search the text that the pieces of a stream make together."""
        if len({piece.value for piece in pieces}) == 1:
            return
        spans = in_text("".join(piece.value for piece in pieces), self._look, named=self._named, empty=self._empty)
        start = 0
        for piece in pieces:
            end = start + len(piece.value)
            inside = [
                Span(max(span.start, start) - start, min(span.end, end) - start, self._share(span, start))
                for span in spans
                if span.start < end and span.end > start
            ]
            self._put(piece, inside)
            start = end

    @staticmethod
    def _share(span: Span, start: int) -> str:
        """Return what of a replacement goes into the piece that starts there: all where it begins, else nothing."""
        return span.replacement if span.start >= start else ""

    def _put(self, piece: _Piece, spans: list[Span]) -> None:
        if not spans:
            return
        places = positions(self._text, piece.leaf)
        if len(places) != len(piece.value) + 1:
            # Not read as it is written: bytes that are no UTF-8, or an escape that there is not.
            self._found.append(Finding(piece.leaf.start, piece.leaf.end, f'"{REDACTED}"', piece.leaf.place))
            return
        for start, end, replacement in spans:
            written = json.dumps(replacement)[1:-1]
            self._found.append(Finding(places[start], places[end], written, piece.leaf.place))


def _may_name(name: str) -> bool:
    return is_watched(name) or is_telling(name)


def _in_pair(pair: re.Match[str], name: str, value: str, spans: list[Span]) -> list[Finding]:
    """Return what is found in a value of a form, where it stands in JSON; else the value as a whole."""
    places = [*(byte.start() for byte in _BYTE.finditer(pair.string, *pair.span(2))), pair.end(2)]
    if not _JSON.match(value) or len(places) != len(wire(value)) + 1:
        return [Finding(*pair.span(2), REDACTED, name)]
    return [
        Finding(places[len(wire(value[:start]))], places[len(wire(value[:end]))], quote_plus(replacement), name)
        for start, end, replacement in spans
    ]
