"""Send over ``requests`` from an event loop, in threads of our own: where ``httpx2`` is not installed.

Never the loop's default executor, nor Django's ``sync_to_async`` thread: a slow provider would hold up every other
user of them.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django_llmcache import conf

from . import over_requests
from .wire import WireAnswer, WireRequest

Result = TypeVar("Result")
_pools: dict[int, ThreadPoolExecutor] = {}
_END: Any = object()


async def send(wire: WireRequest) -> WireAnswer:
    """Send, and return the whole answer; raises as ``over_requests.send`` does."""
    return await _in_thread(over_requests.send, wire)


async def open_stream(wire: WireRequest) -> ThreadedStream:
    """Send, and return when the answer's head has come; raises as ``over_requests.send`` does."""
    return ThreadedStream(await _in_thread(over_requests.RequestsStream, wire))


class ThreadedStream:
    """An answer that a thread reads as it arrives."""

    def __init__(self, stream: over_requests.RequestsStream) -> None:
        self._stream = stream
        self._reading = False
        self.status = stream.status
        self.headers = stream.headers

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they arrive."""
        pieces = self._stream.pieces()
        while True:
            self._reading = True
            piece = await _in_thread(next, pieces, _END)
            self._reading = False
            if piece is _END:
                return
            yield piece

    async def close(self) -> None:
        """Give the connection back, also where a cancelled task left a thread reading."""
        await _in_thread(self._stream.cut if self._reading else self._stream.close)


async def _in_thread(function: Callable[..., Result], *args: Any) -> Result:
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_pool(), context.run, function, *args)


def _pool() -> ThreadPoolExecutor:
    size = conf.current().async_threads
    pool = _pools.get(size)
    if pool is None:
        pool = _pools.setdefault(size, ThreadPoolExecutor(size, thread_name_prefix="llmcache"))
    return pool


# A child has none of its parent's threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)
