"""What was cleared lately, so that an answer asked for before a clear is not stored after it."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final

from django_llmcache.entry import Entry, Selector

KEPT: Final = 256
"""Clears remembered. An answer that more than so many clears have overtaken is not stored."""


class ClearLog:
    """The last clears in order. The caller holds a lock around ``add`` and ``concerns``; ``mark`` needs none."""

    def __init__(self) -> None:
        self._clears: deque[Selector] = deque(maxlen=KEPT)
        self.mark = 0
        """How many clears there were: the stamp of an answer that is asked for now."""

    def add(self, selector: Selector) -> None:
        """Note a clear."""
        self._clears.appendleft(selector)
        self.mark += 1

    def concerns(self, mark: int, entry: Entry) -> bool:
        """Return whether a clear since ``mark`` named the entry, or may have."""
        since = self.mark - mark
        return since > KEPT or any(selector.matches(entry) for selector in islice(self._clears, since))
