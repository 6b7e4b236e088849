"""Damage in an answer: what should be JSON is none, and all around it is as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from .exchange import Chunk, Incoming

EVENTS: Final = "text/event-stream"
LINES: Final = frozenset({"application/stream+json", "application/x-ndjson", EVENTS})
"""Media types of which each line is, or bears, a JSON text of its own."""

_LINE: Final = re.compile(rb"^(?:data:[ ]*)?((?!\[DONE\])[{\[][^\r\n]*)", re.MULTILINE)
_NO_JSON: Final = b"\x00"
"""Stands nowhere in JSON, neither in a text nor outside one, and ends no line."""


def garbled(answer: Incoming, chunks: tuple[Chunk, ...], at: int) -> tuple[Chunk, ...]:
    """Return the chunks of an answer with one damaged, each as long as before.

    Args:
        answer: says what the chunks are.
        chunks: its body.
        at: which of them, from 1; one that bears no JSON, such as the end of a stream, can't be damaged so that a
            client notices: then the next that does, or the last.
    """
    places = _places(answer, chunks)
    number = next((number for number in sorted(places) if number >= at), max(places, default=0))
    if not number:  # images, and the events of AWS, whose sums tell
        return tuple(_reversed(chunk) if one == at else chunk for one, chunk in enumerate(chunks, 1))
    before, chunk, place = chunks[: number - 1], chunks[number - 1], places[number]
    damaged = chunk.data[:place] + _NO_JSON + chunk.data[place + 1 :]
    return (*before, chunk._replace(data=damaged), *chunks[number:])


def _places(answer: Incoming, chunks: tuple[Chunk, ...]) -> dict[int, int]:
    """Return by the number of each chunk where to damage it: in the middle of the first JSON in it."""
    ends = list(accumulate(len(chunk.data) for chunk in chunks))
    body = b"".join(chunk.data for chunk in chunks)
    places: dict[int, int] = {}
    for start, end in _texts(answer, body):
        before = 0
        for number, after in enumerate(ends, 1):
            first, last = max(start, before), min(end, after)
            if first < last:
                places.setdefault(number, _middle(body, first, last) - before)
            before = after
    return places


def _texts(answer: Incoming, body: bytes) -> Iterator[tuple[int, int]]:
    if answer.content_type in LINES:
        yield from (line.span(1) for line in _LINE.finditer(body))
    elif body.lstrip()[:1] in (b"{", b"["):
        yield 0, len(body)


def _middle(body: bytes, first: int, last: int) -> int:
    """Return a place in the middle whose byte is a character of its own, as far as there is one."""
    middle = (first + last) // 2
    return next((place for place in (*range(middle, last), *range(first, middle)) if body[place] < 128), middle)


def _reversed(chunk: Chunk) -> Chunk:
    return chunk._replace(data=chunk.data[::-1])
