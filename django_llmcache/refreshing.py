"""Ask anew, in the background, for what was served stale: one at a time for a key (RFC 5861, "stale-while-revalidate").

A refresh that fails, or brings what may not be stored, leaves the stale answer where it is, and is not tried again for
a few seconds. One that its caller took along, with its event loop or its client, is made up for by the next caller, who
waits for it. One whose event loop is kept and does not run, or stands still, is begun anew by whoever is served stale
next. The end of a process waits for those in threads that others find in the store, as nobody else makes up for them.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Final

from django.db import connections

from . import sharing
from .backends.lease import give_all_back
from .endings import at_exit
from .messages import LLMRequest, LLMResponse
from .outages import is_outage_status
from .plans import AsyncCall, Call, Plan
from .pulse import Pulse
from .telemetry import emit, told

AT_ONCE: Final = 8
"""Refreshes in threads of one process at a time; what is read stale beyond that is refreshed by a later read."""

AT_THE_END: Final = 20.0
"""Seconds for which the end of a process waits at most for what is being refreshed."""

PAUSE: Final = 5.0
"""Seconds after a refresh that brought nothing to store before the next."""

_PAUSES_KEPT: Final = 10_000


class Refreshes:
    """What is being refreshed, and what failed lately.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.forget()

    def forget(self) -> None:
        """Forget everything, as a forked child must."""
        self._lock = threading.Lock()
        self._under_way: dict[str, Pulse | None] = {}
        self._until: dict[str, float] = {}
        self._lost: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = 0
        self._awaited: set[threading.Thread] = set()

    def make_up(self, key: str) -> bool:
        """Return whether the last refresh of a key was lost with its caller: then this caller waits for another."""
        if key not in self._lost:  # as nearly always
            return False
        with self._lock:
            self._until.pop(key, None)
            lost = key in self._lost
            self._lost.discard(key)
            return lost

    def begin(self, asker: sharing.Asker, request: LLMRequest, call: Call, plan: Plan) -> bool:
        """Refresh in a thread; return whether this is the one who does."""
        if not self._enter(plan.key, None):
            return False
        context = copy_context()

        def work() -> None:
            try:
                self._judge(asker, plan.key, context.run(sharing.do, asker, request, call, plan).value)
            except sharing.Forestalled:
                self._pause(plan.key)
            except Exception as error:
                self._fail(asker, plan.key, None, error)
            finally:
                self._leave(plan.key, None)
                for connection in connections.all(initialized_only=True):
                    connection.close()  # this thread's own
                self._awaited.discard(threading.current_thread())

        thread = threading.Thread(target=work, name="llmcache-refresh", daemon=True)
        if not plan.backend.in_process:
            at_exit(self.finish)
            self._awaited.add(thread)
        try:
            thread.start()
        except RuntimeError as error:  # no thread to be had
            self._awaited.discard(thread)
            self._fail(asker, plan.key, None, error)
            self._leave(plan.key, None)
        return True

    def finish(self) -> None:
        """Wait for what threads refresh, at the end of a process whose answers are kept beyond that."""
        until = time.monotonic() + AT_THE_END
        with suppress(KeyboardInterrupt):  # somebody is impatient
            for thread in list(self._awaited):
                thread.join(max(0.0, until - time.monotonic()))
        give_all_back()

    def abegin(self, asker: sharing.Asker, request: LLMRequest, call: AsyncCall, plan: Plan) -> bool:
        """Refresh in a task of this event loop; return whether this is the one who does."""
        loop = asyncio.get_running_loop()
        pulse = Pulse(loop)
        if not self._enter(plan.key, pulse):
            return False

        async def work() -> None:
            try:
                self._judge(asker, plan.key, (await sharing.ado(asker, request, call, plan)).value)
            except sharing.Forestalled:
                self._pause(plan.key)
            except Exception as error:
                self._fail(asker, plan.key, pulse, error)
            except BaseException:  # its loop ends
                self._lose(plan.key, pulse)
                raise
            finally:
                self._leave(plan.key, pulse)

        task = loop.create_task(work())
        self._tasks.add(task)  # the loop itself keeps but a weak reference
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(partial(self._see_ended, plan.key, pulse))
        return True

    def _see_ended(self, key: str, pulse: Pulse, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # perhaps before it began
            self._lose(key, pulse)
        self._leave(key, pulse)

    def _enter(self, key: str, pulse: Pulse | None) -> bool:
        """Return whether a refresh may begin: on the event loop that has this pulse, or in a thread."""
        if (other := self._under_way.get(key)) is not None:
            other.ask()
        with self._lock:
            if self._is_under_way(key) or self._clock() < self._until.get(key, 0.0):
                return False
            if pulse is None and self._threads >= AT_ONCE:
                return False
            self._threads += pulse is None
            self._under_way[key] = pulse
            return True

    def _is_under_way(self, key: str) -> bool:
        """Return whether a key is being refreshed by a thread, or on a loop that runs."""
        if key not in self._under_way:
            return False
        pulse = self._under_way[key]
        return pulse is None or (pulse.loop.is_running() and not pulse.is_lost)

    def _is_of(self, key: str, pulse: Pulse | None) -> bool:
        """Return whether it is this one that refreshes a key, and nobody in its place."""
        return key in self._under_way and self._under_way[key] is pulse

    def _leave(self, key: str, pulse: Pulse | None) -> None:
        with self._lock:
            self._threads -= pulse is None
            if self._is_of(key, pulse):
                del self._under_way[key]

    def _lose(self, key: str, pulse: Pulse | None) -> None:
        with self._lock:
            if not self._is_of(key, pulse):
                return
            if len(self._lost) >= _PAUSES_KEPT:
                self._lost.clear()
            self._lost.add(key)

    def _judge(self, asker: sharing.Asker, key: str, answer: LLMResponse) -> None:
        """Pause where what came could not be stored: the next reader would ask for the same again."""
        if answer._entry is not None:
            return
        self._pause(key)
        if is_outage_status(answer.status):
            emit("error", type(asker), key=key, operation="refresh", error=f"The provider answered {answer.status}.")

    def _pause(self, key: str) -> None:
        with self._lock:
            if len(self._until) >= _PAUSES_KEPT:
                self._until.clear()
            self._until[key] = self._clock() + PAUSE

    def _fail(self, asker: sharing.Asker, key: str, pulse: Pulse | None, error: Exception) -> None:
        self._pause(key)
        if isinstance(error, RuntimeError):  # what httpx2 and httpx raise where the client was closed meanwhile
            self._lose(key, pulse)
        emit("error", type(asker), key=key, operation="refresh", error=told(error))


refreshes: Final = Refreshes()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=refreshes.forget)
