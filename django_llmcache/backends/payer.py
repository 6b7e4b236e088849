"""Clears what could not be cleared when it changed, also in a process that looks nothing up."""

from __future__ import annotations

import atexit
import threading
from contextlib import suppress
from typing import Any, Final
from weakref import ReferenceType, WeakSet, ref

from django_llmcache.locks import fork_safe_lock

EVERY: Final = 1.0
"""Seconds between two tries."""

_lock = fork_safe_lock()


class Payer:
    """A thread that tries again while its backend owes anything.

    Args:
        backend: has ``owes``, and ``pay()``, which raises where it can't.
    """

    def __init__(self, backend: Any) -> None:
        self._backend: ReferenceType[Any] = ref(backend)
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """See to it that somebody tries."""
        with _lock:
            _owing.add(self)
            if self._thread is None or not self._thread.is_alive():  # as in a forked child
                self._thread = threading.Thread(target=self._work, name="llmcache-owed", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()

    def try_once(self) -> bool:
        """Return whether nothing is owed any more."""
        backend = self._backend()
        if backend is not None and backend.owes:
            with suppress(Exception):
                backend.pay()
        return backend is None or not backend.owes

    def _work(self) -> None:
        while not self._ended.wait(EVERY):
            if self.try_once():
                return


_owing: WeakSet[Payer] = WeakSet()


@atexit.register
def _try_a_last_time() -> None:
    for payer in list(_owing):
        payer.try_once()
