"""The calls of a test that go to providers for real: nobody else may connect to them unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from django_llmcache.locks import ObjectLock

is_inside: Final[ContextVar[bool]] = ContextVar("llmcache_recording", default=False)
"""Whether a call that is being recorded is under way here: what it sends itself is part of it."""


class Calls:
    """The hosts that one test asks."""

    def __init__(self) -> None:
        self._lock = ObjectLock()
        self._under_way: Counter[str] = Counter()
        self._live: set[str] = set()

    def goes_live(self, host: str) -> None:
        """Note that a live test asks a host."""
        self._live.add(host)

    def knows(self, host: str) -> bool:
        """Return whether a call that is being recorded is under way to a host, or a live test has asked it."""
        return self.is_recorded(host) or host in self._live

    def is_recorded(self, host: str) -> bool:
        """Return whether a call that is being recorded is under way to a host."""
        return self._under_way[host] > 0

    @contextmanager
    def under_way(self, host: str) -> Iterator[None]:
        """Let a call that is being recorded be under way inside the block."""
        with self._lock:
            self._under_way[host] += 1
        token = is_inside.set(True)
        try:
            yield
        finally:
            is_inside.reset(token)
            with self._lock:
                self._under_way[host] -= 1
