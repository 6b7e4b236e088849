"""What is in force: one inside another, or several at once, in threads and tasks of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

from django_llmcache.locks import ObjectLock

Value = TypeVar("Value")


class _Place(Generic[Value]):
    """One that is in force, and the one that it began inside of."""

    __slots__ = ("outer", "value")

    def __init__(self, value: Value, outer: _Place[Value] | None) -> None:
        self.value = value
        self.outer = outer

    def is_within(self, other: _Place[Value]) -> bool:
        """Return whether this is another, or began inside of it."""
        place: _Place[Value] | None = self
        while place is not None and place is not other:
            place = place.outer
        return place is other


class Nest(Generic[Value]):
    """Knows which one is in force for who asks.

    Args:
        name: of the context variable.
    """

    def __init__(self, name: str) -> None:
        self._lock = ObjectLock()
        self._places: tuple[_Place[Value], ...] = ()
        self._own: ContextVar[_Place[Value] | None] = ContextVar(name, default=None)

    def __iter__(self) -> Iterator[Value]:
        return iter([place.value for place in self._places])

    def innermost(self) -> Value | None:
        """Return the innermost of what this thread or task has begun itself; where it has begun none, the newest.

        A thread is told nothing of who started it, so that a contextvar alone would be lost there. And what was
        started before a block, such as a server, may be asked inside of it: then the block holds there too.
        """
        places = self._places  # a tuple of this moment: others may begin and end meanwhile
        if len(places) < 2:  # nearly always
            return places[0].value if places else None
        own, newest = self._own.get(), places[-1]
        if own is newest or own is None:
            return newest.value
        around = _in_force(own, places)
        if around is None:
            return newest.value
        return next(place.value for place in reversed(places) if place.is_within(around))

    def is_own(self, value: Value) -> bool:
        """Return whether this thread or task has begun one itself, or runs in a context from inside of it.

        Args:
            value: one that is in force.
        """
        place = self._own.get()
        while place is not None and place.value is not value:
            place = place.outer
        return place is not None

    @contextmanager
    def holding(self, value: Value) -> Iterator[Value]:
        """Let one be in force inside the block."""
        with self._lock:
            place = _Place(value, _in_force(self._own.get(), self._places))
            self._places = (*self._places, place)
        self._own.set(place)
        try:
            yield value
        finally:
            with self._lock:
                self._places = tuple(other for other in self._places if other is not place)
            if self._own.get() is place:  # a hook, or a generator, may end in another context than it began in
                self._own.set(place.outer)


def _in_force(place: _Place[Value] | None, places: tuple[_Place[Value], ...]) -> _Place[Value] | None:
    """Return the nearest that is in force still, from one outwards."""
    while place is not None and place not in places:
        place = place.outer
    return place
