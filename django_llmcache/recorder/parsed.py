"""The fixtures that were parsed already, as long as their files stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from django_llmcache.locks import fork_safe_lock

from .files import Stamp
from .fixture import Fixture

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Bytes that one store's parsed fixtures take in memory, about."""

_OVERHEAD: Final = 2048

_keeping = fork_safe_lock()


class Parsed(NamedTuple):
    """The fixtures of one folder.

    Attributes:
        stamps: those of its files, side files too, when they were read.
        fixtures: sorted by file.
    """

    stamps: Mapping[str, Stamp]
    fixtures: tuple[Fixture, ...]

    @property
    def size(self) -> int:
        """Return about how many bytes it takes."""
        return sum([stamp[2] for stamp in self.stamps.values()]) + _OVERHEAD * (1 + len(self.fixtures))


class ParsedFolders:
    """What was parsed of each folder; the oldest go when it is too much. For any number of threads."""

    def __init__(self) -> None:
        self._held: dict[str, Parsed] = {}
        self._size = 0

    def get(self, folder: str) -> Parsed | None:
        """Return what was kept of a folder."""
        return self._held.get(folder)

    def keep(self, folder: str, parsed: Parsed) -> None:
        """Keep it in place of what was there; one without fixtures, or larger than all may be, is not kept."""
        size = parsed.size
        with _keeping:
            self._forget(folder)
            if parsed.fixtures and size <= KEPT_BYTES:
                self._held[folder] = parsed
                self._size += size
            while self._size > KEPT_BYTES:
                self._forget(next(iter(self._held)))

    def _forget(self, folder: str) -> None:
        old = self._held.pop(folder, None)
        self._size -= old.size if old else 0
