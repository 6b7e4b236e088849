"""A backend that stores nothing, and the proof of how small one can be."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from django_llmcache.entry import Entry, Selector

from .base import BackendStats, BaseBackend


class DummyBackend(BaseBackend):
    """Store nothing: every read is a miss. Any ``OPTIONS`` will do, so that it can stand in for another."""

    name = "dummy"
    immediate = True

    def get(self, key: str) -> Entry | None:
        return None

    def put(self, entry: Entry, mark: Hashable = None) -> bool:
        return False

    def delete(self, key: str) -> bool:
        return False

    def clear(self, selector: Selector) -> int:
        return 0

    def entries(self) -> Iterator[Entry]:
        return iter(())

    def stats(self) -> BackendStats:
        return BackendStats(entries=0, bytes=0, hits=0, misses=0, puts=0, evictions={}, errors=0)
