"""The word that somebody meant who wrote one that there is not."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def near(word: object, known: Iterable[str]) -> str | None:
    """Return which of the known words is like another, in whatever case; ``None`` where none is."""
    words = {one.lower(): one for one in sorted(known)}
    close = get_close_matches(str(word).lower(), words, n=1)
    return words[close[0]] if close else None


def did_you_mean(word: object, known: Iterable[str], *, otherwise: str) -> str:
    """Return how an error about a word goes on: with the one that was meant, else with what the caller says."""
    meant = near(word, known)
    return f"did you mean {meant!r}?" if meant else otherwise
