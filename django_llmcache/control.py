"""The header ``x-llmcache-control``: what one HTTP request wants of the cache.

Its words are those of HTTP's ``Cache-Control`` in requests (RFC 9111, section 5.2.1) and mean what they mean there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from .policies import NOTHING_SAID, CachePolicy

HEADER: Final = "x-llmcache-control"
_LONGEST: Final = 12
"""Digits of a ``max-age`` that is read; beyond 30,000 years any age will do."""


@lru_cache(maxsize=256)
def policy_of(text: str) -> CachePolicy:
    """Return what the header says; words that nobody knows are ignored.

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
    age = words.get("max-age", "")
    if age.isascii() and age.isdigit() and len(age) <= _LONGEST:
        wishes["max_age"] = int(age)
    return CachePolicy(**wishes) if wishes else NOTHING_SAID  # type: ignore[arg-type] # each has its own type
