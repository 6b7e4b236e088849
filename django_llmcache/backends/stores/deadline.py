"""Deadlines that are for the store alone, and for all of an operation.

On an event loop, time for which the loop is busy does not count. On a socket, a time-out would be for each piece of an
answer: a slow server could take as many as it likes.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

SHORT: Final = 0.001
"""Seconds of other work that need not be made up for."""

ROUNDS: Final = 10
"""Times that a busy loop is given more time, before it counts as a store that does not answer."""

_NEARLY: Final = 0.99
"""The part of its time from which on a command has all of it: to set a time-out is a system call, one for each hit."""

Read = TypeVar("Read")
"""What one of a socket's ways to read gives."""

_NOT_THERE: Final = (BlockingIOError, ssl.SSLWantReadError)


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


class TimedSocket:
    """A connected socket whose time-out is for the whole answer to a command, from when the command was sent.

    A thread that had to wait for its turn is no store that is slow: what it waited while it sent does not count, and
    what has come by the end is read all the same.

    Args:
        sock: with a time-out in seconds.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._seconds = sock.gettimeout()
        self._ends = math.inf
        self._is_cut = False  # whether the socket's own time-out is less than a whole command's

    def sendall(self, data: bytes) -> None:
        """Send a command, which may take as long as its answer, and begin the answer's time."""
        if self._is_cut:
            self._sock.settimeout(self._seconds)
            self._is_cut = False
        self._sock.sendall(data)
        self._ends = math.inf if self._seconds is None else time.monotonic() + self._seconds

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return a piece of the answer; raises ``TimeoutError`` when the command's time is over."""
        return self._in_time(self._sock.recv, size, flags)

    def recv_into(self, buffer: bytearray, size: int = 0, flags: int = 0) -> int:
        """Read a piece of the answer; raises as ``recv``."""
        return self._in_time(self._sock.recv_into, buffer, size, flags)

    def settimeout(self, seconds: float | None) -> None:
        """Set the time-out of the next commands, and give what is under way as long from now."""
        self._seconds = seconds
        self._ends = math.inf if seconds is None else time.monotonic() + seconds
        self._sock.settimeout(seconds)
        self._is_cut = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def _in_time(self, read: Callable[..., Read], *args: Any) -> Read:
        """Read what is there, and wait for more of it as long as the command has time."""
        if args[-1]:  # flags: it looks whether the connection still stands, and no command is under way
            return read(*args)
        if self._seconds is not None and (left := self._ends - time.monotonic()) < self._seconds * _NEARLY:
            self._sock.settimeout(max(left, 0.0))  # 0 waits for nothing
            self._is_cut = True
        try:
            return read(*args)
        except _NOT_THERE as error:
            raise TimeoutError(f"The answer took longer than {self._seconds:g} s.") from error
