"""The lock on one key that a process takes while it asks a provider, so that others of the same backend wait."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Final

from django_llmcache.locks import fork_safe_lock
from django_llmcache.pulse import Pulse

from .base import BaseBackend, aside

BEAT: Final = 2.0
"""Seconds between two signs of life of whoever has a lock."""

DEAD_AFTER: Final = 3 * BEAT
"""Seconds without a sign of life, after which somebody else takes the lock."""

_SHORTEST: Final = 0.01
_LONGEST: Final = 0.25


class Lease:
    """One process' claim to ask for the answer to one key.

    It holds for longer than a call may take. Who has it gives a sign of life now and then, so that those who wait for
    a process that was killed wait for seconds, and not for all of that time.

    Nobody waits for one after another where there is nothing to share, as who gives the lock up says. Who takes it
    after a process that was killed, or lost it, leads all who waited for that one.

    Args:
        backend: what all of the processes share.
        key: the answer's.
        seconds: for which the claim holds, and for which it is waited for. To be longer than a call takes.
        tell: told of an error of the backend; the call is made all the same.
        clock: monotonic seconds.

    Attributes:
        pause: seconds to wait before the next try; grows with each.
        in_vain: to be set where there is nothing to share with those who wait, which they are told by ``give_back``.
        came_second: whether another process has told us so.
    """

    def __init__(
        self,
        backend: BaseBackend,
        key: str,
        *,
        seconds: float,
        tell: Callable[[Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._key = key
        self._seconds = seconds
        self._tell = tell
        self._clock = clock
        self._token = _heart.name + token_hex(8)
        self._deadline = clock() + seconds
        self._seen: tuple[str | None, float] = (None, clock())
        self._taken = False
        self._is_over = False
        self._pulse: Pulse | None = None
        self.pause = _SHORTEST
        self.in_vain = False
        self.came_second = False

    def is_mine(self) -> bool:
        """Try to take the lock; return whether it is ours, or not worth waiting for any longer."""
        try:
            if self._acquire():
                return True
            sign = self._backend.holder(self._key)
            if self._is_anothers(sign) and self._was_given_up():
                return True
            if (dead := self._dead(sign)) is not None:
                self._backend.release(self._key, dead)
                return self._acquire()
        except Exception as error:
            self._tell(error)
            return True
        return self._is_late()

    async def ais_mine(self) -> bool:
        """Do what ``is_mine`` does on the event loop, which is to run for as long as the lock is kept."""
        if self._pulse is None:
            self._pulse = Pulse(asyncio.get_running_loop())
        return await aside(self.is_mine)

    def give_back(self) -> None:
        """Let the next one ask, or all where it was in vain. What another thread still takes is given back there."""
        self._is_over = True
        _heart.forget(self)
        if not self._taken:
            return
        self._taken = False
        try:
            if self.in_vain:
                self._backend.give_up(self._key, self._token)
            else:
                self._backend.release(self._key, self._token)
        except Exception as error:
            self._tell(error)

    async def agive_back(self) -> None:
        """Do what ``give_back`` does on the event loop; at once where that has ended under its caller."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.give_back()
            return
        try:
            await aside(self.give_back)
        except asyncio.CancelledError:  # once more, perhaps before a thread has begun with it
            self.give_back()
            raise

    def beat(self) -> None:
        """Give a sign of life, but not for an event loop that gives none itself.

        A lock that was lost is not taken back: whoever has it asks as well.
        """
        if self._pulse is not None:
            if self._pulse.is_lost:
                return
            self._pulse.ask()
        try:
            self._backend.renew(self._key, self._token, self._seconds)
            if not self._taken:  # given back meanwhile
                self._backend.release(self._key, self._token)
        except Exception as error:
            self._tell(error)

    def _acquire(self) -> bool:
        if not self._backend.acquire(self._key, self._token, self._seconds):
            return False
        self._taken = True
        _heart.keep(self)
        if self._is_over:  # whoever asked was cancelled meanwhile
            self.give_back()
        else:
            self._was_given_up()
        return True

    def _is_anothers(self, sign: str | None) -> bool:
        """Return whether another than whom we waited for has the lock now, given its latest sign of life."""
        return sign is not None and _token_in(sign) != _token_in(self._seen[0])

    def _was_given_up(self) -> bool:
        """Return whether whoever we waited for has nothing to share with us; one who lost the lock has not said so."""
        known = _token_in(self._seen[0])
        if known is None or not self._backend.has_given_up(self._key, known):
            return False
        self.came_second = not known.startswith(_heart.name)
        return True

    def _dead(self, sign: str | None) -> str | None:
        """Return the token of a holder that has given no sign of life for long, given its latest one."""
        if sign is None:  # free: whoever we waited for is not forgotten
            return None
        if sign != self._seen[0]:
            self._seen = (sign, self._clock())
            return None
        return _token_in(sign) if self._clock() - self._seen[1] >= DEAD_AFTER else None

    def _is_late(self) -> bool:
        self.pause = min(self.pause * 1.5, _LONGEST)
        return self._clock() >= self._deadline


def _token_in(sign: str | None) -> str | None:
    return None if sign is None else sign.partition(":")[0]


class _Heart:
    """The thread that gives the signs of life of all leases of this process, while there are any.

    Attributes:
        name: what the tokens of this process begin with.
    """

    def __init__(self) -> None:
        self._lock = fork_safe_lock()
        self._begin()

    def _begin(self) -> None:
        self.name = token_hex(4)
        self._leases: set[Lease] = set()
        self._thread: threading.Thread | None = None
        self._idle = threading.Event()

    def keep(self, lease: Lease) -> None:
        with self._lock:
            self._leases.add(lease)
            if self._thread is not None:
                return
            self._idle = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._idle,), name="llmcache-heartbeat", daemon=True
            )
            thread = self._thread
        try:
            thread.start()
        except RuntimeError:  # no thread to be had: the lock holds for as long as it was taken for
            with self._lock:
                self._thread = None

    def forget(self, lease: Lease) -> None:
        with self._lock:
            self._leases.discard(lease)
            if not self._leases:
                self._idle.set()
                self._thread = None

    def held(self) -> list[Lease]:
        """Return the leases that this process has."""
        with self._lock:
            return list(self._leases)

    def forget_all(self) -> None:
        """Forget what is the parent's, in a forked child."""
        self._begin()

    def _run(self, idle: threading.Event) -> None:
        while not idle.wait(BEAT):
            for lease in self.held():
                lease.beat()


_heart: Final = _Heart()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_heart.forget_all)


def give_all_back() -> None:
    """Let others ask what this process was asking for, at its end: else they wait until it is taken for dead."""
    for lease in _heart.held():
        lease.give_back()


class Leases:
    """The locks of one process: who has which key, and until when. Its caller sees to it that one uses it at a time.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._taken: dict[str, tuple[str, float]] = {}

    def take(self, key: str, token: str, seconds: float) -> bool:
        """Take the lock on a key for so many seconds, unless another token has it; return whether it is ours."""
        now = self._clock()
        holder, deadline = self._taken.get(key, (token, now))
        if holder != token and now < deadline:
            return False
        self._taken[key] = (token, now + seconds)
        return True

    def give_back(self, key: str, token: str) -> None:
        """Give the lock back, where this token has it."""
        if self._taken.get(key, ("", 0.0))[0] == token:
            del self._taken[key]
