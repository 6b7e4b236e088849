"""Clears the tags of what changed: at once, or in a thread that tries again until it is done.

Until then they are owed, and nothing is served that has one. A look-up pays for what it is about, and for no more: all
of it takes as long as there are tags, which nobody is to wait for who asks for something else.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Final
from weakref import WeakMethod, WeakSet

from django_llmcache.endings import at_exit
from django_llmcache.entry import Entry
from django_llmcache.locks import fork_safe_lock

from .steps import EVERYTHING
from .sweeper import Sweeper

EVERY: Final = 1.0
"""Seconds between two tries."""

MOST: Final = 10_000
"""Tags that wait to be cleared while the store is away; with more of them, everything is cleared when it is back."""

AT_A_TIME: Final = 100
"""Tags that are cleared before they are owed no more. One read asks for their stamps, within its deadline."""

_lock = fork_safe_lock()

Changes = Mapping[str, object]
"""Tags, and what stands for the latest change of each."""


def concerned(changes: Changes, entry: Entry) -> bool:
    """Return whether an entry is made of what has changed."""
    return EVERYTHING in changes or any(tag in changes for tag in entry.tags)


class Owed:
    """Tags that are still to be cleared.

    Attributes:
        changes: those of this moment. Never changed in place, so that a look-up can know what was owed when it began.
    """

    def __init__(self) -> None:
        self.changes: Changes = {}

    def __bool__(self) -> bool:
        return bool(self.changes)

    def concerns(self, entry: Entry) -> bool:
        """Return whether an entry is among what is to be cleared."""
        changes = self.changes
        return bool(changes) and concerned(changes, entry)

    def among(self, tags: Collection[str]) -> list[str]:
        """Return those of some tags that are owed, and all that is where everything is to be cleared."""
        changes = self.changes
        return list(changes) if EVERYTHING in changes else [tag for tag in tags if tag in changes]

    def add(self, tags: Collection[str]) -> None:
        """Note that what has these tags has changed."""
        with _lock:
            self.changes = {**self.changes, **dict.fromkeys(tags, object())}

    def drop(self, cleared: Mapping[str, object]) -> None:
        """Forget tags that were cleared, but for those that have changed once more meanwhile."""
        with _lock:
            left = dict(self.changes)
            for tag, change in cleared.items():
                if left.get(tag) is change:
                    left.pop(tag, None)
            self.changes = left

    def simplify(self) -> None:
        """Owe everything, where that is less to remember."""
        with _lock:
            if len(self.changes) > MOST:
                self.changes = {EVERYTHING: object()}


class Payer:
    """Clears what is owed, in a thread where it could not be done at once.

    Args:
        clear: a method that clears some tags on the store and returns those that anything bore, or raises. Its object
            is not kept by this.

    Attributes:
        owed: what is still to be cleared.
        hear: a weak reference to a method that is told which tags were cleared, before they are owed no more.
    """

    def __init__(self, clear: Callable[[Collection[str]], Collection[str]]) -> None:
        self.owed = Owed()
        self.hear: Callable[[], Callable[[Collection[str]], None] | None] = lambda: None
        self._clear = WeakMethod(clear)
        self._turn = threading.RLock()  # whoever is told may look something up
        self._is_late = False
        self._sweeper: Sweeper | None = None

    def expire(self, tags: Collection[str]) -> list[str]:
        """Clear some tags, of which those are owed that can't be; return those that anything bore."""
        self.owed.add(tags)
        try:
            return [tag for some in _few(tags) for tag in self._pay(some)]
        except BaseException:  # a worker that is told to stop is one reason
            self.wake()
            raise

    def settle(self, groups: Collection[str]) -> None:
        """Clear before a look-up what is owed of the tags in some groups; raises where that can't be done.

        One thread does it at a time: who comes second finds it done. Where no thread is to be had for what could not
        be cleared at once, that is cleared here as well.
        """
        tags = [group[2:] for group in groups if group.startswith("t:")]
        alone = self._is_late and not self._has_thread() and not self.wake()
        if alone or (due := self.owed.among(tags)):
            with self._turn:
                self.pay(self.owed.changes if alone else due)

    def pay(self, tags: Collection[str]) -> None:
        """Clear those of some tags that are owed."""
        for some in _few(tags):
            if due := self.owed.among(some):
                self._pay(due)

    def wake(self) -> bool:
        """See to it that a thread tries, and somebody at the end of the process; return whether there is a thread."""
        at_exit(_try_a_last_time)
        with _lock:
            _owing.add(self)
            self._is_late = True
            if not self._has_thread():
                sweeper = Sweeper(self, interval=EVERY)
                try:
                    sweeper.start()
                except RuntimeError:  # none to be had: the next look-up pays
                    return False
                self._sweeper = sweeper
            return True

    def close(self) -> None:
        """Try no more, until it is woken."""
        with _lock:
            sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.stop()

    def sweep(self) -> None:
        """Try once; end the thread where nothing is owed any more."""
        with suppress(Exception):
            self.pay(self.owed.changes)
        with _lock:  # who wakes it has added to what is owed before
            if self.owed and self._clear() is not None:
                return
            self._is_late = False
            sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            sweeper.stop()

    def take_over(self) -> None:
        """Owe what the parent does, in a forked child, which has none of its threads."""
        self._turn = threading.RLock()
        self._is_late = bool(self.owed)

    def _pay(self, tags: Collection[str]) -> Collection[str]:
        """Clear a few tags; return those that anything bore."""
        changes, clear = self.owed.changes, self._clear()
        if clear is None:
            return ()
        cleared = {tag: changes.get(tag) for tag in tags}
        try:
            borne = clear(cleared.keys())
        except Exception:
            self.owed.simplify()
            raise
        if (hear := self.hear()) is not None:
            hear(cleared.keys())
        self.owed.drop(cleared)
        return borne

    def _has_thread(self) -> bool:
        return self._sweeper is not None and self._sweeper.pid == os.getpid()


def _few(tags: Collection[str]) -> Iterator[list[str]]:
    listed = list(tags)
    return (listed[start : start + AT_A_TIME] for start in range(0, len(listed), AT_A_TIME))


_owing: WeakSet[Payer] = WeakSet()


def _try_a_last_time() -> None:
    for payer in list(_owing):
        payer.sweep()
