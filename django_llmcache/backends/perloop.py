"""What each event loop has for itself, for as long as it runs."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

Value = TypeVar("Value")


class PerLoop(Generic[Value]):
    """One value for each event loop. It may hold the loop itself, as anything does that has waited on it.

    So no weak reference would let go of a loop; those that are closed go when a new one comes.
    """

    def __init__(self) -> None:
        self._held: dict[asyncio.AbstractEventLoop, Value] = {}

    def get(self) -> Value | None:
        """Return what the running loop has."""
        return self._held.get(asyncio.get_running_loop())

    def put(self, value: Value) -> Value:
        """Let the running loop have a value; return it."""
        for loop in list(self._held):
            if loop.is_closed():
                self._held.pop(loop, None)
        self._held[asyncio.get_running_loop()] = value
        return value
