"""Say which parts of a request make its key, and what sets it apart from the nearest stored one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .entry import Entry
from .keys import unpack_parts


class Explanation(NamedTuple):
    """Why a request is, or is not, answered from the cache.

    Attributes:
        key: the request's key, ``None`` when it has none.
        parts: a short digest of each part that makes the key, by name.
        reason: why it is not looked up (a reason code), or ``None``.
        nearest: the key of the stored entry that shares the most parts, ``None`` when nothing comes near.
        differs: the parts in which ``nearest`` is different, empty when it is this very request's.
    """

    key: str | None
    parts: Mapping[str, str]
    reason: str | None
    nearest: str | None
    differs: tuple[str, ...]

    def __str__(self) -> str:
        """Tell it in one line."""
        if self.reason:
            return f"Not looked up: {self.reason}."
        if self.nearest == self.key:
            return f"Stored as {self.key}."
        near = (
            f" The nearest stored is {self.nearest}; it differs in {', '.join(self.differs)}." if self.nearest else ""
        )
        return f"Not stored: {self.key}.{near}"


def nearest_to(
    parts: Mapping[str, str], key: str | None, entries: Iterable[Entry]
) -> tuple[str | None, tuple[str, ...]]:
    """Return the key of the entry that shares the most parts with a request, and the names of those that differ.

    Args:
        parts: of the request.
        key: its key; an entry that has it is the nearest whatever the others share.
        entries: what is stored.
    """
    best: tuple[int, str, tuple[str, ...]] | None = None
    for entry in entries:
        if entry.key == key:
            return key, ()
        stored = unpack_parts(entry.parts)
        differs = tuple(name for name in {**parts, **stored} if parts.get(name) != stored.get(name))
        shared = len(parts.keys() | stored.keys()) - len(differs)
        if shared and (best is None or (len(differs), -shared) < (len(best[2]), -best[0])):
            best = (shared, entry.key, differs or ("the key's format",))
    return (best[1], best[2]) if best else (None, ())
