"""One call under way, how it ends, and what that is to each who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from concurrent.futures import Future
from typing import Any, Final, Generic, NamedTuple, TypeVar

from .errorcopy import fresh
from .pulse import Pulse

Value = TypeVar("Value")


class Outcome(NamedTuple, Generic[Value]):
    """What a caller gets.

    Attributes:
        value: what the call gave.
        shared: whether it was somebody else's call.
    """

    value: Value
    shared: bool


class Caller(Generic[Value]):
    """One who asks, and what of somebody else's call is for them: all, where no subclass says otherwise.

    Attributes:
        who: what they are known by; those of one ``who`` share a call where another's was not for them.
    """

    who: Hashable = None

    def takes(self, value: Value, led_by: Hashable) -> bool:
        """Return whether a value is for this one, too, that came to ``led_by``."""
        return True

    def told(self, error: BaseException, led_by: Hashable) -> BaseException | None:
        """Return what this one is told of an error in which the call of ``led_by`` ended, ``None`` where nothing."""
        return fresh(error)


class Landing(NamedTuple, Generic[Value]):
    """How a flight ended: with a value, or with an error."""

    value: Value | None = None
    error: BaseException | None = None

    @property
    def abandoned(self) -> bool:
        """Return whether it was no answer that ended it, but its leader's end: a cancellation, an interrupt."""
        return self.error is not None and not isinstance(self.error, Exception)

    def own(self) -> Outcome[Value]:
        """Return what its leader gets of it, or raise its error."""
        if self.error is not None:
            raise self.error
        return Outcome(self.value, shared=False)  # type: ignore[arg-type] # where there is no error, there is one

    def shared(self, caller: Caller[Value], led_by: Hashable) -> Outcome[Value] | None:
        """Return what a waiter gets of it, or raise what that is told of its error; ``None`` where it is not for it."""
        if self.error is None:
            value: Value = self.value  # type: ignore[assignment] # where there is no error, there is one
            return Outcome(value, shared=True) if caller.takes(value, led_by) else None
        error = caller.told(self.error, led_by)
        if error is not None:
            raise error
        return None


LOST: Final[Landing[Any]] = Landing(error=asyncio.CancelledError())
"""That a flight ends nobody knows when: its event loop is closed, or does not run. Never raised."""


class Flight(Generic[Value]):
    """One call under way.

    Attributes:
        landing: where all who wait hear how it ended.
        loop: the event loop that it needs, ``None`` where a thread makes the call.
        pulse: the signs of life of that loop.
        task: what makes the call on that loop.
        wanted: how many wait for it, the leader among them; changed under the lock.
        led: whether its leader still waits for it. What fails after that may fail for that: a client that is closed.
        who: what its leader is known by.
        heir: what took its place once it was lost; changed under the lock.
    """

    __slots__ = ("heir", "landing", "led", "loop", "pulse", "task", "wanted", "who")

    def __init__(self, loop: asyncio.AbstractEventLoop | None, who: Hashable) -> None:
        self.landing: Future[Landing[Value]] = Future()
        self.landing.set_running_or_notify_cancel()  # from here on, no waiter's cancellation cancels it
        self.loop = loop
        self.pulse = None if loop is None else Pulse(loop)
        self.task: asyncio.Task[None] | None = None
        self.wanted = 1
        self.led = True
        self.who = who
        self.heir: Flight[Value] | None = None

    @property
    def is_lost(self) -> bool:
        """Return whether it is still to end, and its loop is closed or does not run."""
        return self.pulse is not None and not self.landing.done() and self.pulse.is_lost

    def ask_for_sign(self) -> None:
        """Ask its loop for a sign of life; a thread is there for as long as it makes the call."""
        if self.pulse is not None:
            self.pulse.ask()
