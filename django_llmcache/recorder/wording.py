"""Texts and values as a message shows them: of a long one, no more than tells it from another."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, Final, NamedTuple

_LONGEST: Final = 300
"""Characters of one stretch of a text."""

_LONGEST_DIFF: Final = 1000
"""Characters from which on no further difference is shown."""

_COMPARED: Final = 200
"""Words that are compared, from the first on that differs."""


class _Stretch(NamedTuple):
    """A part of two texts that is the same in both, or is not.

    Attributes:
        shown: what to show of it.
        old, new: how many words of each text are told by then.
    """

    shown: str
    old: int
    new: int


def word_diff(then: str, now: str, *, whole: bool = False) -> str:
    """Return one text with what went as ``[-…-]`` and what came as ``{+…+}``, and long stretches in common cut.

    Args:
        then: what it was.
        now: what it is.
        whole: whether all differences are shown, and not the first ones alone: of long texts that takes seconds.
    """
    old, new = then.split(), now.split()
    if old == new:
        return f"{short(then)} became {short(now)} (white space differs)"
    start = alike(old, new)
    pieces = [_middle_cut(old[:start])] if start else []
    old, new = old[start:], new[start:]
    end = alike(old[::-1], new[::-1])
    tail = _middle_cut(old[len(old) - end :])
    old, new = old[: len(old) - end], new[: len(new) - end]
    left = 0
    for stretch in _stretches(old, new, compared=None if whole else _COMPARED):
        pieces.append(stretch.shown)
        left = max(len(old) - stretch.old, len(new) - stretch.new)
        if sum(map(len, pieces)) > _LONGEST_DIFF and not whole:
            break
    if left:
        return f"{' '.join(pieces)} … and more in the {left + end:,} words that follow"
    return " ".join([*pieces, tail] if tail else pieces)


def short(value: Any) -> str:
    """Return a value as Python writes it, less its end where it is long."""
    return _cut(repr(value))


def alike(old: list[str], new: list[str]) -> int:
    """Return how many words are the same at the start."""
    pairs = zip(old, new, strict=False)
    return next((at for at, (then, now) in enumerate(pairs) if then != now), min(len(old), len(new)))


def _stretches(old: list[str], new: list[str], *, compared: int | None) -> Iterator[_Stretch]:
    """Yield the parts of two texts that differ from their first words to their last, as far as they are compared."""
    if not (old and new):
        yield _Stretch(_change(old, new), len(old), len(new))
        return
    matcher = SequenceMatcher(None, old[:compared], new[:compared], autojunk=False)
    for how, a, b, c, d in matcher.get_opcodes():
        yield _Stretch(_middle_cut(old[a:b]) if how == "equal" else _change(old[a:b], new[c:d]), b, d)


def _change(old: list[str], new: list[str]) -> str:
    went = [f"[-{_cut(' '.join(old))}-]"] if old else []
    came = [f"{{+{_cut(' '.join(new))}+}}"] if new else []
    return " ".join(went + came)


def _middle_cut(words: list[str]) -> str:
    stretches = [words] if len(words) <= 12 else [words[:6], ["…"], words[-6:]]
    return " ".join(_cut(" ".join(stretch)) for stretch in stretches)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
