"""One call for all who ask the same at the same time: threads, and asyncio tasks of any loop.

Whoever asks first leads and makes the call; the others wait for what comes of it. They are told a value, which is to be
an immutable one, or an error of their own, where that is for them too. The pattern and its name are from Go's
``golang.org/x/sync/singleflight``.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Generic

from .flight import LOST, Caller, Flight, Landing, Outcome, Value
from .locks import fork_safe_lock

_GLANCE: Final = 0.5
"""Seconds after which a waiter looks whether its leader's event loop still runs."""

_ROUNDS: Final = 2
"""Times that a caller is patient: with the call that it met, and with that of the first who gave it up."""

_ANYBODY: Final[Caller[Any]] = Caller()
_lock = fork_safe_lock()


class SingleFlight(Generic[Value]):
    """Calls by name, of which there is never more than one under way.

    Attributes:
        landed: how many calls have ended so far. Where this has grown between a look-up in vain and the lead, it is
            worth another look: the answer may have come meanwhile.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight[Value]] = {}
        self.landed = 0

    def __len__(self) -> int:
        """Return how many calls are under way."""
        return len(self._flights)

    def forget(self) -> None:
        """Forget every call, as a forked child must: the threads that make them are its parent's."""
        self._flights.clear()

    def do(
        self,
        name: Hashable,
        call: Callable[[], Value],
        *,
        patience: float,
        caller: Caller[Value] = _ANYBODY,
        again: Callable[[], Value] | None = None,
    ) -> Outcome[Value]:
        """Return what ``call()`` gives, or what somebody's call of the same name gives that is under way.

        Args:
            name: calls of one name are the same.
            call: may raise: whoever waits gets an error like it, and the next who asks calls again.
            patience: seconds to wait for somebody else. Who waits in vain waits once more, for whoever is the first to
                call again; then ``call`` is made all the same.
            caller: says what of somebody else's call is for this one. Where it is not, each who is of the leader's own
                ``who`` makes the call; the others make one for each ``who``.
            again: made in place of ``call`` by those others, by who leads in the place of one whose event loop does not
                run any more, and by who has waited in vain: of others, it waits for nobody.
        """
        lost: Flight[Value] | None = None
        for _ in range(_ROUNDS):
            deadline = time.monotonic() + patience
            while True:
                flight, leads = self._join(name, None, caller.who, lost)
                if leads:
                    return self._lead(name, flight, call)
                landing = self._wait(name, flight, deadline)
                if landing is None:
                    lost = None
                    break
                if landing is LOST:
                    lost, call = flight, again or call
                    continue
                if landing.abandoned:
                    lost = None
                    continue
                if (outcome := landing.shared(caller, flight.who)) is not None:
                    return outcome
                if flight.who == caller.who:
                    return Outcome(call(), shared=False)
                name, call, lost = (name, caller.who), again or call, None
                break
        return Outcome((again or call)(), shared=False)

    async def ado(
        self,
        name: Hashable,
        call: Callable[[], Awaitable[Value]],
        *,
        patience: float,
        caller: Caller[Value] = _ANYBODY,
        again: Callable[[], Awaitable[Value]] | None = None,
    ) -> Outcome[Value]:
        """Do what ``do`` does on an event loop; the call is made in a task of its own, in this one's context.

        So a cancelled caller, the leader too, takes the answer from nobody else. Where nobody is left, the call is
        cancelled.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # another library's than asyncio's
            return Outcome(await call(), shared=False)
        lost: Flight[Value] | None = None
        for _ in range(_ROUNDS):
            deadline = loop.time() + patience
            while True:
                flight, leads = self._join(name, loop, caller.who, lost)
                if leads:
                    return await self._alead(name, flight, call)
                landing = await self._await(name, flight, deadline)
                if landing is None:
                    lost = None
                    break
                if landing is LOST:
                    lost, call = flight, again or call
                    continue
                if landing.abandoned:
                    lost = None
                    continue
                if (outcome := landing.shared(caller, flight.who)) is not None:
                    return outcome
                if flight.who == caller.who:
                    return Outcome(await call(), shared=False)
                name, call, lost = (name, caller.who), again or call, None
                break
        return Outcome(await (again or call)(), shared=False)

    async def _alead(
        self, name: Hashable, flight: Flight[Value], call: Callable[[], Awaitable[Value]]
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

    def _join(
        self, name: Hashable, loop: asyncio.AbstractEventLoop | None, who: Hashable, lost: Flight[Value] | None
    ) -> tuple[Flight[Value], bool]:
        """Return the flight of this name, and whether it begins now, so that the call is the caller's to make.

        It does in the place of one that the caller has found lost, where nobody was faster: not everybody finds out at
        the same time, and for who comes late, what took its place may have landed.
        """
        with _lock:
            flight = self._flights.get(name) if lost is None or lost.heir is None else lost.heir
            leads = flight is None or flight is lost
            if flight is None or leads:
                flight = self._flights[name] = Flight(loop, who)
            else:
                flight.wanted += 1
            if lost is not None:
                lost.heir = flight
            return flight, leads

    def _lead(self, name: Hashable, flight: Flight[Value], call: Callable[[], Value]) -> Outcome[Value]:
        try:
            value = call()
        except BaseException as error:
            self._land(name, flight, Landing(error=error))
            raise
        self._land(name, flight, Landing(value))
        return Outcome(value, shared=False)

    async def _fly(self, name: Hashable, flight: Flight[Value], call: Callable[[], Awaitable[Value]]) -> None:
        try:
            value = await call()
        except BaseException as error:
            told = error if flight.led else asyncio.CancelledError()  # then a waiter makes the call with what it has
            self._land(name, flight, Landing(error=told))
            if isinstance(error, asyncio.CancelledError | GeneratorExit):
                raise
        else:
            self._land(name, flight, Landing(value))

    def _see_landed(self, name: Hashable, flight: Flight[Value], task: asyncio.Task[None]) -> None:
        """Land a flight whose task was cancelled before it began."""
        if not flight.landing.done():
            self._land(name, flight, Landing(error=asyncio.CancelledError()))

    def _land(self, name: Hashable, flight: Flight[Value], landing: Landing[Value]) -> None:
        with _lock:
            self._end(name, flight)
            self.landed += 1
        flight.landing.set_result(landing)

    def _leave(self, name: Hashable, flight: Flight[Value]) -> bool:
        """Wait no longer; return whether nobody does any more."""
        with _lock:
            flight.wanted -= 1
            if flight.wanted or flight.landing.done():
                return False
            self._end(name, flight)
            return True

    def _give_up(self, name: Hashable, flight: Flight[Value]) -> None:
        with _lock:
            self._end(name, flight)

    def _end(self, name: Hashable, flight: Flight[Value]) -> None:
        if self._flights.get(name) is flight:
            del self._flights[name]

    def _wait(self, name: Hashable, flight: Flight[Value], deadline: float) -> Landing[Value] | None:
        """Return how a flight ended; ``None`` where that takes too long, or could not come while we wait.

        One that takes too long is nobody's to join any more: the first who gives it up leads the next.
        """
        try:
            if flight.loop is not None and flight.loop is asyncio._get_running_loop():
                return None  # a sync call on the very loop that is to bring the answer
            while (left := deadline - time.monotonic()) > 0:
                if flight.is_lost:
                    return LOST
                with suppress(TimeoutError):
                    return flight.landing.result(min(left, _GLANCE))
                flight.ask_for_sign()
            self._give_up(name, flight)
            return None
        finally:
            self._leave(name, flight)

    async def _await(self, name: Hashable, flight: Flight[Value], deadline: float) -> Landing[Value] | None:
        """Do what ``_wait`` does on an event loop."""
        loop = asyncio.get_running_loop()
        landing = asyncio.wrap_future(flight.landing)
        elsewhere = flight.loop not in (None, loop)
        glance = _GLANCE if elsewhere else math.inf
        try:
            while (left := min(deadline - loop.time(), glance)) > 0:
                if elsewhere and flight.is_lost:
                    return LOST
                await asyncio.wait((landing,), timeout=left if left < math.inf else None)
                if landing.done():
                    return landing.result()
                if elsewhere:
                    flight.ask_for_sign()
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
