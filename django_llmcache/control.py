"""The header ``x-llmcache-control``: what one HTTP request wants of the cache.

Its words are those of HTTP's ``Cache-Control`` in requests (RFC 9111, section 5.2.1) and mean what they mean there.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Final

from .policies import NOTHING_SAID, CachePolicy
from .spelling import did_you_mean

HEADER: Final = "x-llmcache-control"
_WORDS: Final = ("no-cache", "no-store", "max-age")
_LONGEST: Final = 12
"""Digits of a ``max-age`` that is read; beyond 30,000 years any age will do."""

_MOST_TOLD: Final = 100
_told: set[str] = set()
"""Words that a warning was logged of."""

logger = logging.getLogger("django_llmcache")


@lru_cache(maxsize=256)
def policy_of(text: str) -> CachePolicy:
    """Return what the header says; what it does not know is ignored, and told of once in the log.

    Args:
        text: any of ``no-cache`` (skip the read, store), ``no-store`` (may read, do not store) and ``max-age=n`` (an
            answer of at most so many seconds), with commas between them.
    """
    words: dict[str, str] = {}
    for word in text.lower().split(","):
        name, _, value = (part.strip(' \t"') for part in word.partition("="))
        words.setdefault(name, value)  # of a word that comes twice the first counts (RFC 9111, section 4.2.1)
    wishes: dict[str, bool | int] = {}
    if "no-cache" in words:
        wishes["refresh"] = True
    if "no-store" in words:
        wishes["store"] = False
    age = words.get("max-age", "0")
    if not (age.isascii() and age.isdigit()):
        _tell_of(f"max-age={age}", hint="did you mean 'max-age=60'?")
    elif "max-age" in words and len(age) <= _LONGEST:
        wishes["max_age"] = int(age)
    for word in words:
        if word and word not in _WORDS:
            known = "there are no-cache, no-store and max-age=n."
            _tell_of(word, hint=did_you_mean(word, _WORDS, otherwise=known))
    return CachePolicy(**wishes) if wishes else NOTHING_SAID  # type: ignore[arg-type] # each has its own type


def _tell_of(word: str, *, hint: str) -> None:
    """Warn once of a word that is ignored: whoever wrote it gets an answer that was not wanted so."""
    if word in _told or len(_told) >= _MOST_TOLD:
        return
    _told.add(word)
    logger.warning("%s has %r, which is ignored; %s", HEADER, word[:80], hint)
