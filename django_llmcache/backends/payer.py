"""Clears what could not be cleared when it changed, also in a process that looks nothing up."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from weakref import ReferenceType, WeakSet, ref

from django_llmcache.endings import at_exit
from django_llmcache.entry import Entry
from django_llmcache.locks import fork_safe_lock

from .steps import EVERYTHING
from .sweeper import Sweeper

EVERY: Final = 1.0
"""Seconds between two tries."""

MOST: Final = 10_000
"""Tags that wait to be cleared while the store is away; with more of them, everything is cleared when it is back."""

_lock = fork_safe_lock()


class Owed:
    """Tags that are still to be cleared."""

    def __init__(self) -> None:
        self._changes: dict[str, object] = {}

    def __bool__(self) -> bool:
        return bool(self._changes)

    def concerns(self, entry: Entry) -> bool:
        """Return whether an entry is among what is to be cleared."""
        changes = self._changes
        return bool(changes) and (EVERYTHING in changes or any(tag in changes for tag in entry.tags))

    def add(self, tags: Collection[str]) -> None:
        """Note that what has these tags has changed."""
        self._changes |= dict.fromkeys(tags, object())

    @contextmanager
    def paying(self) -> Iterator[Collection[str]]:
        """Give the tags to clear, which are owed no more where the block does it."""
        owed = self._changes.copy()
        try:
            yield owed.keys()
        except Exception:
            if len(self._changes) > MOST:
                self._changes = {EVERYTHING: object()}
            raise
        for tag, change in owed.items():
            if self._changes.get(tag) is change:  # else it was changed once more meanwhile
                self._changes.pop(tag, None)


class Payer:
    """Tries again, in a thread, while its backend owes anything.

    Args:
        backend: has ``owed``, and ``pay()``, which raises where it can't.
    """

    def __init__(self, backend: Any) -> None:
        self._backend: ReferenceType[Any] = ref(backend)
        self._sweeper: Sweeper | None = None

    def wake(self) -> None:
        """See to it that somebody tries, a last time at the end of the process."""
        at_exit(_try_a_last_time)
        with _lock:
            _owing.add(self)
            if self._sweeper is None or self._sweeper.pid != os.getpid():
                sweeper = Sweeper(self, interval=EVERY)
                with suppress(RuntimeError):  # no thread to be had: the next look-up pays
                    sweeper.start()
                    self._sweeper = sweeper

    def close(self) -> None:
        """Try no more, until it is woken."""
        with _lock:
            sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.stop()

    def sweep(self) -> None:
        """Try once; end the thread where nothing is owed any more."""
        backend = self._backend()
        if backend is not None and backend.owed:
            with suppress(Exception):
                backend.pay()
        with _lock:  # who wakes it has added to what is owed before
            if backend is not None and backend.owed:
                return
            sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.stop()


_owing: WeakSet[Payer] = WeakSet()


def _try_a_last_time() -> None:
    for payer in list(_owing):
        payer.sweep()
