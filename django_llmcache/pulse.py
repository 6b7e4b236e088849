"""Whether an event loop still runs, as those can tell who wait elsewhere for what it does.

One may be kept for later and not run, as a worker's between two tasks, or stand still, since what is called on it
blocks. No loop says that of itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Final

SILENCE: Final = 1.0
"""Seconds without the sign of life that was asked for, from which on nobody waits for a loop that does not run."""

STANDSTILL: Final = 5.0
"""The same of one that runs: what is called on it, and should not be, blocks it for a second or two as a rule."""


class Pulse:
    """The signs of life of one event loop, asked for in other threads.

    Args:
        loop: may be closed at any time.
        clock: monotonic seconds.
    """

    __slots__ = ("_asked", "_clock", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] = time.monotonic) -> None:
        self.loop = loop
        self._clock = clock
        self._asked: float | None = None

    @property
    def is_lost(self) -> bool:
        """Return whether the loop is closed, or has been asked in vain for too long; one may come back from that."""
        if self.loop.is_closed():
            return True
        patience = STANDSTILL if self.loop.is_running() else SILENCE
        return (asked := self._asked) is not None and self._clock() - asked >= patience

    def ask(self) -> None:
        """Ask for a sign of life, where none is awaited."""
        if self._asked is not None:
            return
        self._asked = self._clock()
        with suppress(RuntimeError):  # closed meanwhile
            # Not in this caller's context: a loop that does not run would keep it.
            self.loop.call_soon_threadsafe(self._answer, context=Context())

    def _answer(self) -> None:
        self._asked = None
