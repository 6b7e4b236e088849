"""The lock on one key that a process takes while it asks a provider, so that others of the same backend wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex
from typing import Final

from .base import BaseBackend

_SHORTEST: Final = 0.01
_LONGEST: Final = 0.25


class Lease:
    """One process' claim to ask for the answer to one key.

    Args:
        backend: what all of the processes share.
        key: the answer's.
        seconds: for which the claim holds, and for which it is waited for. To be longer than a call takes.
        tell: told of an error of the backend; the call is made all the same.

    Attributes:
        pause: seconds to wait before the next try; grows with each.
    """

    def __init__(self, backend: BaseBackend, key: str, *, seconds: float, tell: Callable[[Exception], None]) -> None:
        self._backend = backend
        self._key = key
        self._seconds = seconds
        self._tell = tell
        self._token = token_hex(8)
        self._deadline = time.monotonic() + seconds
        self.pause = _SHORTEST

    def is_mine(self) -> bool:
        """Try to take the lock; return whether it is ours, or not worth waiting for any longer."""
        try:
            if self._backend.acquire(self._key, self._token, self._seconds):
                return True
        except Exception as error:
            self._tell(error)
            return True
        self.pause = min(self.pause * 1.5, _LONGEST)
        return time.monotonic() >= self._deadline

    def give_back(self) -> None:
        """Let the next one ask."""
        try:
            self._backend.release(self._key, self._token)
        except Exception as error:
            self._tell(error)


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
