"""An entry as a process' memory holds it."""

from __future__ import annotations

from typing import Any, Final

from django_llmcache.entry import Entry

from .texts import shared_headers, shared_origin, shared_text


class Held(Entry):
    """An entry with its deadline on the backend's clock, and whether it was read since the hand last passed.

    One object, not an entry and a holder: that spares 48 bytes, and the garbage collector a third of its walk.
    """

    __slots__ = ("deadline", "read")

    def __init__(self, entry: Entry, deadline: float, stale_for: float) -> None:
        put = object.__setattr__
        put(self, "key", entry.key)
        put(self, "body", entry.body)
        put(self, "created", entry.created)
        put(self, "ttl", entry.ttl)
        put(self, "status", entry.status)
        put(self, "headers", shared_headers(entry.headers))
        put(self, "origin", shared_origin(entry.origin))
        put(self, "scope", shared_text(entry.scope))
        put(self, "tags", entry.tags)
        put(self, "usage", entry.usage)
        put(self, "latency", entry.latency)
        put(self, "parts", entry.parts)
        put(self, "has_null", entry.has_null)
        put(self, "stale_for", stale_for)
        put(self, "deadline", deadline)
        put(self, "read", False)

    deadline: float
    read: bool


set_read: Final = vars(Held)["read"].__set__
"""Note whether an entry was read, on an object that is immutable to everybody else: ``set_read(held, True)``."""


class Noted(Held):
    """The same with a note. In one object: of two, one could be an older entry's."""

    __slots__ = ("note",)

    def __init__(self, entry: Entry, deadline: float, note: Any) -> None:
        super().__init__(entry, deadline, 0.0)
        object.__setattr__(self, "note", note)

    note: Any


def noted(entry: Entry) -> Any:
    """Return the note of an entry that ``keep`` stored with one."""
    return entry.note if isinstance(entry, Noted) else None
