"""Where two requests differ, as far as it counts: what made a miss, and nothing besides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Final, NamedTuple

from .exchange import Outgoing
from .matcher import Matcher
from .wording import alike


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()
"""Stands for what one of two requests does not have."""

_ALIGNED: Final = 200
"""Items of a list that are put beside their like; of more, each is beside the one at its place."""

_written = json.JSONEncoder(sort_keys=True).encode
_Steps = tuple[str | int, ...]


class Difference(NamedTuple):
    """One place where two requests differ.

    Attributes:
        place: its JSON path in the body, by the indices of what is asked, or of what was recorded for what is gone;
            or ``method``, ``scheme``, ``path``, ``query``, ``header <name>``.
        then: what was recorded there, or ``ABSENT``.
        now: what is asked there, or ``ABSENT``.
        path: what ``IGNORE_PATHS`` calls a place in the body, ``""`` for the body as a whole, ``None`` elsewhere.
    """

    place: str
    then: Any
    now: Any
    path: str | None = None


def differences(asked: Outgoing, recorded: Outgoing, matcher: Matcher) -> Iterator[Difference]:
    """Yield each place where two requests differ, those of the bodies last.

    Args:
        asked: the one that was missed, redacted.
        recorded: the one that it is compared with.
        matcher: says what of them counts.
    """
    then, now = matcher.head_of(recorded), matcher.head_of(asked)
    for name in then | now:
        old, new = then.get(name, ABSENT), now.get(name, ABSENT)
        if old != new:
            yield Difference(name, old, new)
    yield from apart(matcher.body_of(recorded), matcher.body_of(asked))


def apart(then: Any, now: Any, steps: _Steps = ()) -> Iterator[Difference]:
    """Yield each place where two JSON values differ, the outermost that says it all.

    Args:
        then: the one that was recorded.
        now: the one that is asked.
        steps: the names and the indices that lead to them.
    """
    if isinstance(then, dict) and isinstance(now, dict):
        for name in {**then, **now}:
            yield from apart(then.get(name, ABSENT), now.get(name, ABSENT), (*steps, name))
    elif isinstance(then, list) and isinstance(now, list):
        for old, new in _pairs(then, now):
            before = ABSENT if old is None else then[old]
            after = ABSENT if new is None else now[new]
            yield from apart(before, after, (*steps, (old or 0) if new is None else new))
    elif then != now or isinstance(then, bool) != isinstance(now, bool):
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
        yield Difference(place or "body", then, now, place)


def _pairs(then: list[Any], now: list[Any]) -> Iterator[tuple[int | None, int | None]]:
    """Yield the indices of items that differ, each with that of what stands in its place: ``None`` for nothing."""
    for same, old, new in _stretches(then, now, _written):
        if not same:
            places = range(len(then))[old], range(len(now))[new]
            for _, before, after in _stretches(then[old], now[new], _kind):
                yield from zip_longest(places[0][before], places[1][after])


def _stretches(then: list[Any], now: list[Any], told: Callable[[Any], str]) -> Iterator[tuple[bool, slice, slice]]:
    """Yield the stretches of two lists in their order: whether they are the same, and where each is.

    Args:
        then: the one list.
        now: the other.
        told: returns what two items share that are the same.
    """
    old, new = [told(item) for item in then], [told(item) for item in now]
    start = alike(old, new)
    end = alike(old[start:][::-1], new[start:][::-1])
    stop, new_stop = len(old) - end, len(new) - end
    yield True, slice(start), slice(start)
    if max(stop, new_stop) - start > _ALIGNED:
        yield False, slice(start, stop), slice(start, new_stop)
    else:
        matcher = SequenceMatcher(None, old[start:stop], new[start:new_stop], autojunk=False)
        for how, a, b, c, d in matcher.get_opcodes():
            yield how == "equal", slice(start + a, start + b), slice(start + c, start + d)
    yield True, slice(stop, None), slice(new_stop, None)


def _kind(item: Any) -> str:
    """Return whose message it is, or what tool: that stays where the words change."""
    return str([item.get(name) for name in ("role", "type", "name")] if isinstance(item, dict) else type(item))
