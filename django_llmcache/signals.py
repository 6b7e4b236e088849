"""The signals of both caches. Receivers get no prompt and no answer, and cannot break a call.

The sender is the class of the strategy, and that of the session for the test cache. ``docs/telemetry.md`` tells of
the arguments one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from django.dispatch import Signal

_under_way: set[asyncio.Task[Any]] = set()
"""A loop keeps no hold of its tasks: one that nobody holds may vanish half done."""


class CacheSignal(Signal):
    """A signal that is sent from plain code and from the event loop alike, and never raises."""

    def tell(self, sender: Any, details: Mapping[str, Any]) -> None:
        """Call every receiver; Django logs what they raise.

        Where one of them is async and this is an event loop, which can't wait here, a task calls them all.
        """
        if not self.receivers:
            return
        loop = _running_loop() if any(is_async for *_, is_async in self.receivers) else None
        if loop is None:
            self.send_robust(sender, **details)
        else:
            task = loop.create_task(self.asend_robust(sender, **details))
            _under_way.add(task)
            task.add_done_callback(_under_way.discard)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


#: An answer came from the cache. Provides: ``key``, ``provider``, ``model``, ``age`` (seconds), ``usage``.
cache_hit = CacheSignal()

#: No stored answer was used. Provides: ``key`` (or ``None``), ``provider``, ``model``, ``reason`` (or ``None``).
cache_miss = CacheSignal()

#: An answer was stored. Provides: ``key``, ``provider``, ``model``, ``size`` (bytes), ``ttl`` (seconds or ``None``).
cache_put = CacheSignal()

#: An entry was removed. Provides: ``key``, ``provider``, ``model``,
#: ``reason`` (``expired``, ``capacity``, ``deleted``, ``cleared``).
cache_evict = CacheSignal()

#: The cache failed and the call went on. Provides: ``key`` (or ``None``), ``operation``, ``error``.
cache_error = CacheSignal()

#: A recorded answer was replayed. Provides: ``key``, ``provider``, ``model``, ``path``, ``test``.
test_cache_hit = CacheSignal()

#: Nothing was recorded for a request. Provides: ``key``, ``provider``, ``test``, ``why``.
test_cache_miss = CacheSignal()

#: An answer was recorded. Provides: ``key``, ``provider``, ``model``, ``path``, ``test``.
test_cache_save = CacheSignal()

#: A recording could not be read or written. Provides: ``key`` (or ``None``), ``test``, ``error``.
test_cache_error = CacheSignal()
