"""What one test asked for in vain, in its own process and in those that it forks."""

from __future__ import annotations

import sys
import threading
from collections import Counter

from django_llmcache.locks import ObjectLock

from .children import Children, Told
from .exchange import Outgoing
from .misses import FixtureMiss, ForkedMiss


class Missed:
    """The misses of one test.

    Args:
        counts: has how many calls were ``missed``.

    Attributes:
        unanswered: each provider that was asked in vain, and the request, as people may see it.
    """

    def __init__(self, counts: Counter[str]) -> None:
        self.unanswered: list[tuple[str, Outgoing]] = []
        self._counts = counts
        self._lock = ObjectLock()
        self._children = Children()
        self._untold: list[FixtureMiss] = []

    def in_a_child(self) -> bool:
        """Return whether this process is one that the test has forked."""
        return self._children.is_one()

    def untold(self) -> list[FixtureMiss]:
        """Return those that still have to be told; who has told them clears the list."""
        with self._lock:
            for told in self._children.heard():
                self._add(FixtureMiss(told.text), told)
        return self._untold

    def note(self, miss: FixtureMiss, provider: str = "", asked: Outgoing | None = None) -> FixtureMiss:
        """Note a miss in the test's own process, and return the error to raise in this one.

        Args:
            miss: the error in the test's own process.
            provider: whom it asks.
            asked: the request, as people may see it; ``None`` where it can't be recorded, or its recording
                can't be read.
        """
        told = Told(str(miss), provider, asked)
        if self._children.is_one():
            self._children.tell(told)
            return ForkedMiss(told.text)
        with self._lock:
            self._add(miss, told)
        return ForkedMiss(told.text) if _is_in_a_pool() else miss

    def end(self) -> None:
        """Hear the last of them, and leave nothing behind."""
        self.untold()
        self._children.forget()

    def _add(self, miss: FixtureMiss, told: Told) -> None:
        self._untold.append(miss)
        self._counts["missed"] += 1
        if told.asked is not None:
            self.unanswered.append((told.provider, told.asked))


def _is_in_a_pool() -> bool:
    """Return whether the thread is of a pool of multiprocessing's."""
    dummy = sys.modules.get("multiprocessing.dummy")
    return dummy is not None and isinstance(threading.current_thread(), dummy.DummyProcess)
