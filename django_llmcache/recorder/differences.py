"""Where two requests differ, as far as it counts: what made a miss, and nothing besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from .exchange import Outgoing
from .matcher import Matcher


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()
"""Stands for what one of two requests does not have."""

_Steps = tuple[str | int, ...]


class Difference(NamedTuple):
    """One place where two requests differ.

    Attributes:
        place: its JSON path in the body, or ``method``, ``scheme``, ``path``, ``query``, ``header <name>``.
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
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in {**then, **now}:
            yield from apart(then.get(name, ABSENT), now.get(name, ABSENT), (*steps, name))
    elif isinstance(then, list) and isinstance(now, list):
        for index in range(max(len(then), len(now))):
            old, new = (side[index] if index < len(side) else ABSENT for side in (then, now))
            yield from apart(old, new, (*steps, index))
    elif then != now or isinstance(then, bool) != isinstance(now, bool):
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
        path = ".".join("*" if isinstance(step, int) else step for step in steps)
        yield Difference(place or "body", then, now, path)
