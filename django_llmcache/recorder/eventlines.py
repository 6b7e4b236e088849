"""The lines of an event stream, and what the lines of data in one event say together, by where they stand."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

Region = tuple[int, int]
"""Where a stretch of a text starts and ends."""

_LINE: Final = re.compile(r"(?:\xef\xbb\xbf|\ufeff)?(data:[ \t]*)?([^\r\n]*)(?:\r\n?|\n|\Z)")


class EventLines(NamedTuple):
    """The parts of a stream.

    Attributes:
        lines: each line that says something, less the name of its field where that is ``data``.
        events: the data of each event, from its first line to its last.
        gaps: what is inside of these and no data: line ends, names of fields, other fields.
    """

    lines: list[Region]
    events: list[Region]
    gaps: list[Region]

    @classmethod
    def of(cls, text: str) -> EventLines:
        """Return the parts of a wire text, or of any other."""
        found = cls([], [], [])
        goes_on = False
        for line in _LINE.finditer(text):
            start, end = line.span(2)
            if line[1] and goes_on:
                found.gaps.append((found.events[-1][1], start))
                found.events[-1] = (found.events[-1][0], end)
            elif line[1]:
                found.events.append((start, end))
            goes_on = bool(line[1]) or (goes_on and start < end)  # other fields may stand between
            if start < end:
                found.lines.append((start, end))
        return found


def blanked(text: str, gaps: list[Region]) -> str:
    """Return a text of the same length with a line break and white space in the gaps: JSON reads over them."""
    pieces, at = [], 0
    for start, end in gaps:
        pieces += [text[at:start], "\n".ljust(end - start)]
        at = end
    return "".join([*pieces, text[at:]])
