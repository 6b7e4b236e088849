"""A deadline on an event loop that is for the store alone: time for which the loop is busy does not count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

SHORT: Final = 0.001
"""Seconds of other work that need not be made up for."""

ROUNDS: Final = 10
"""Times that a busy loop is given more time, before it counts as a store that does not answer."""


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Raise ``TimeoutError`` in the block when the store took so many seconds of a loop that had nothing else to do.

    What the loop's thread computed meanwhile is made up for, and so is what it waited for its turn: by how much a timer
    came late.
    """
    loop = asyncio.get_running_loop()
    timers: list[asyncio.TimerHandle] = []

    def wait(term: float) -> None:
        due = loop.time() + term
        timers.append(loop.call_at(due, ring, due, time.thread_time()))

    def ring(due: float, computed: float) -> None:
        other = max(time.thread_time() - computed, loop.time() - due)
        if other > SHORT and len(timers) <= ROUNDS:
            wait(min(other, seconds))
        else:
            scope.reschedule(loop.time())

    wait(seconds)
    try:
        async with asyncio.timeout(None) as scope:
            yield
    finally:
        timers[-1].cancel()
