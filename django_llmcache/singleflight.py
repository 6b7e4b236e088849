"""One call for all who ask the same at the same time: threads, and asyncio tasks of any loop.

Whoever asks first leads and makes the call; the others wait for what comes of it. They are told a value, which is to be
an immutable one, or an error of their own. The pattern and its name are from Go's ``golang.org/x/sync/singleflight``.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar

from .errorcopy import fresh
from .locks import fork_safe_lock

Value = TypeVar("Value")
Told = Callable[[BaseException], BaseException | None]

_GLANCE: Final = 0.5
"""Seconds after which a waiter looks whether its leader's event loop is still there."""

_ROUNDS: Final = 2
"""Times that a caller is patient: with the call that it met, and with that of the first who gave it up."""

_lock = fork_safe_lock()


class Outcome(NamedTuple, Generic[Value]):
    """What a caller gets.

    Attributes:
        value: what the call gave.
        shared: whether it was somebody else's call.
    """

    value: Value
    shared: bool


class _Landing(NamedTuple, Generic[Value]):
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

    def shared(self, told: Told) -> Outcome[Value] | None:
        """Return what a waiter gets of it, or raise what ``told`` makes of its error; ``None`` where that is none."""
        if self.error is None:
            return Outcome(self.value, shared=True)  # type: ignore[arg-type]
        error = told(self.error)
        if error is not None:
            raise error
        return None


class _Flight(Generic[Value]):
    """One call under way.

    Attributes:
        landing: where all who wait hear how it ended.
        loop: the event loop that it needs, ``None`` where a thread makes the call.
        task: what makes the call on that loop.
        wanted: how many wait for it, the leader among them; changed under the lock.
        led: whether its leader still waits for it. What fails after that may fail for that: a client that is closed.
    """

    __slots__ = ("landing", "led", "loop", "task", "wanted")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.landing: Future[_Landing[Value]] = Future()
        self.landing.set_running_or_notify_cancel()  # from here on, no waiter's cancellation cancels it
        self.loop = loop
        self.task: asyncio.Task[None] | None = None
        self.wanted = 1
        self.led = True

    @property
    def is_lost(self) -> bool:
        """Return whether its loop was closed under it."""
        return self.loop is not None and self.loop.is_closed()


class SingleFlight(Generic[Value]):
    """Calls by name, of which there is never more than one under way.

    Attributes:
        landed: how many calls have ended so far. Where this has grown between a look-up in vain and the lead, it is
            worth another look: the answer may have come meanwhile.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[Value]] = {}
        self.landed = 0

    def __len__(self) -> int:
        """Return how many calls are under way."""
        return len(self._flights)

    def forget(self) -> None:
        """Forget every call, as a forked child must: the threads that make them are its parent's."""
        self._flights.clear()

    def do(self, name: Hashable, call: Callable[[], Value], *, patience: float, told: Told = fresh) -> Outcome[Value]:
        """Return what ``call()`` gives, or what somebody's call of the same name gives that is under way.

        Args:
            name: calls of one name are the same.
            call: may raise: whoever waits gets an error like it, and the next who asks calls again.
            patience: seconds to wait for somebody else. Who waits in vain waits once more, for whoever is the first to
                call again; then ``call`` is made all the same.
            told: makes what a waiter is told of the error in which somebody else's call ended; ``None`` of one that is
                the leader's alone: then each who waited makes the call.
        """
        for _ in range(_ROUNDS):
            deadline = time.monotonic() + patience
            while True:
                flight, leads = self._join(name, None)
                if leads:
                    return self._lead(name, flight, call)
                landing = self._wait(name, flight, deadline)
                if landing is None:
                    break
                if not landing.abandoned:
                    return landing.shared(told) or Outcome(call(), shared=False)
        return Outcome(call(), shared=False)

    async def ado(
        self, name: Hashable, call: Callable[[], Awaitable[Value]], *, patience: float, told: Told = fresh
    ) -> Outcome[Value]:
        """Do what ``do`` does on an event loop; the call is made in a task of its own, in this one's context.

        So a cancelled caller, the leader too, takes the answer from nobody else. Where nobody is left, the call is
        cancelled.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # another library's than asyncio's
            return Outcome(await call(), shared=False)
        for _ in range(_ROUNDS):
            deadline = loop.time() + patience
            while True:
                flight, leads = self._join(name, loop)
                if leads:
                    return await self._alead(name, flight, call)
                landing = await self._await(name, flight, deadline)
                if landing is None:
                    break
                if not landing.abandoned:
                    return landing.shared(told) or Outcome(await call(), shared=False)
        return Outcome(await call(), shared=False)

    async def _alead(
        self, name: Hashable, flight: _Flight[Value], call: Callable[[], Awaitable[Value]]
    ) -> Outcome[Value]:
        task = flight.task = asyncio.get_running_loop().create_task(self._fly(name, flight, call))
        task.add_done_callback(partial(self._see_landed, name, flight))
        try:
            landing = await self._await(name, flight, math.inf)
        finally:
            flight.led = False
        if landing is None:
            raise asyncio.CancelledError
        return landing.own()

    def _join(self, name: Hashable, loop: asyncio.AbstractEventLoop | None) -> tuple[_Flight[Value], bool]:
        """Return the flight of this name, and whether it begins now, so that the call is the caller's to make."""
        with _lock:
            flight = self._flights.get(name)
            if flight is not None and not flight.is_lost:
                flight.wanted += 1
                return flight, False
            flight = self._flights[name] = _Flight(loop)
            return flight, True

    def _lead(self, name: Hashable, flight: _Flight[Value], call: Callable[[], Value]) -> Outcome[Value]:
        try:
            value = call()
        except BaseException as error:
            self._land(name, flight, _Landing(error=error))
            raise
        self._land(name, flight, _Landing(value))
        return Outcome(value, shared=False)

    async def _fly(self, name: Hashable, flight: _Flight[Value], call: Callable[[], Awaitable[Value]]) -> None:
        try:
            value = await call()
        except BaseException as error:
            told = error if flight.led else asyncio.CancelledError()  # then a waiter makes the call with what it has
            self._land(name, flight, _Landing(error=told))
            if isinstance(error, asyncio.CancelledError | GeneratorExit):
                raise
        else:
            self._land(name, flight, _Landing(value))

    def _see_landed(self, name: Hashable, flight: _Flight[Value], task: asyncio.Task[None]) -> None:
        """Land a flight whose task was cancelled before it began."""
        if not flight.landing.done():
            self._land(name, flight, _Landing(error=asyncio.CancelledError()))

    def _land(self, name: Hashable, flight: _Flight[Value], landing: _Landing[Value]) -> None:
        with _lock:
            self._end(name, flight)
            self.landed += 1
        flight.landing.set_result(landing)

    def _leave(self, name: Hashable, flight: _Flight[Value]) -> bool:
        """Wait no longer; return whether nobody does any more."""
        with _lock:
            flight.wanted -= 1
            if flight.wanted or flight.landing.done():
                return False
            self._end(name, flight)
            return True

    def _give_up(self, name: Hashable, flight: _Flight[Value]) -> None:
        with _lock:
            self._end(name, flight)

    def _end(self, name: Hashable, flight: _Flight[Value]) -> None:
        if self._flights.get(name) is flight:
            del self._flights[name]

    def _wait(self, name: Hashable, flight: _Flight[Value], deadline: float) -> _Landing[Value] | None:
        """Return how a flight ended; ``None`` where that takes too long, or could not come while we wait.

        One that takes too long is nobody's to join any more: the first who gives it up leads the next.
        """
        try:
            if flight.loop is not None and flight.loop is asyncio._get_running_loop():
                return None  # a sync call on the very loop that is to bring the answer
            while (left := deadline - time.monotonic()) > 0:
                with suppress(TimeoutError):
                    return flight.landing.result(min(left, _GLANCE))
                if flight.is_lost:
                    return _Landing(error=asyncio.CancelledError())
            self._give_up(name, flight)
            return None
        finally:
            self._leave(name, flight)

    async def _await(self, name: Hashable, flight: _Flight[Value], deadline: float) -> _Landing[Value] | None:
        """Do what ``_wait`` does on an event loop."""
        loop = asyncio.get_running_loop()
        landing = asyncio.wrap_future(flight.landing)
        glance = math.inf if flight.loop in (None, loop) else _GLANCE
        try:
            while (left := min(deadline - loop.time(), glance)) > 0:
                await asyncio.wait((landing,), timeout=left if left < math.inf else None)
                if landing.done():
                    return landing.result()
                if flight.is_lost:
                    return _Landing(error=asyncio.CancelledError())
            self._give_up(name, flight)
            return None
        finally:
            unwanted = self._leave(name, flight)
            if not loop.is_closed():  # as it is where the garbage collector ends what nobody awaited to its end
                landing.cancel()
                if unwanted and flight.task is not None:
                    await _ended(flight.task, loop)


async def _ended(task: asyncio.Task[None], here: asyncio.AbstractEventLoop) -> None:
    """Cancel the call that nobody waits for any more; see it end, where it runs on this loop."""
    loop = task.get_loop()
    if loop is here:
        task.cancel()
        await asyncio.wait((task,))
    else:
        with suppress(RuntimeError):  # closed meanwhile
            loop.call_soon_threadsafe(task.cancel)
