"""The log of clears: one numbered file for each, written by a shell, read by every worker."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from django_llmcache.entry import Selector

from .folder import Folder

KEPT: Final = 256
"""Clears that are kept however old they are."""

KEPT_SECONDS: Final = 3600
"""A clear is kept for so long, unless MOST came after it."""

MOST: Final = 1024
"""Clears that are kept at all: each clear and each look lists them. A worker that has missed more clears everything."""

UNFINISHED_SECONDS: Final = 1
"""A file that can't be parsed may be half written for so long; then it is damaged."""

_PRUNE_EVERY: Final = 64
_NAME: Final = re.compile(r"\d{12,15}\.json")


class Position(NamedTuple):
    """How far a worker has followed: the number of the last clear, and the stamp of its file."""

    n: int
    stamp: tuple[int, ...] | None


BEGINNING: Final = Position(0, None)


class Clears:
    """The clears in one folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = Folder.make(folder.path / "clears")

    def append(self, selector: Selector, *, after: int = 0) -> int:
        """Add a clear; return its number, larger than every other and than ``after``."""
        n = max(self._newest(), after)
        while True:
            n += 1
            try:
                self._folder.create(_name(n), {"n": n, "selector": selector.as_dict(), "time": time.time()})
            except FileExistsError:
                continue
            if n % _PRUNE_EVERY == 0:
                self.prune()
            return n

    def at(self, n: int) -> Position:
        """Return the position after clear ``n``."""
        return Position(n, self._folder.stamp(_name(n)))

    def end(self) -> Position:
        """Return the position after the newest clear."""
        return self.at(self._newest())

    def since(self, position: Position) -> Iterator[tuple[Position, Selector | None]]:
        """Yield each newer clear: the position after it, and what to clear (``None`` is nothing).

        Where the log has a gap or a damaged file, or was begun anew, it is to clear everything.
        """
        newest = self._newest()
        if newest < position.n or self.at(position.n).stamp not in (None, position.stamp):
            yield self.at(newest), Selector() if newest else None
            return
        for n in range(position.n + 1, newest + 1):
            try:
                selector = self._read(n)
            except FileNotFoundError:
                yield self.at(newest), Selector()
                return
            if selector is None:
                return
            yield self.at(n), selector

    def prune(self) -> None:
        """Remove the clears that no worker can still need."""
        numbers = self._numbers()
        for n in numbers[:-KEPT]:
            if n <= numbers[-1] - MOST or self._folder.age(_name(n)) > KEPT_SECONDS:
                self._folder.remove(_name(n))

    def _read(self, n: int) -> Selector | None:
        """Return what to clear, everything when the file is damaged, ``None`` when it is still being written."""
        content = self._folder.read(_name(n))
        if content is None and 0 <= self._folder.age(_name(n)) < UNFINISHED_SECONDS:
            return None
        try:
            return Selector.from_dict((content or {})["selector"])
        except (KeyError, ValueError):
            return Selector()

    def _numbers(self) -> list[int]:
        return sorted(int(name[:-5]) for name in self._folder.names(_NAME))

    def _newest(self) -> int:
        return max(self._numbers(), default=0)


def _name(n: int) -> str:
    return f"{n:012}.json"
