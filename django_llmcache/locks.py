"""Locks that a fork never leaves held."""

from __future__ import annotations

import os
import threading
from typing import Final
from weakref import WeakSet


def fork_safe_lock() -> threading.RLock:
    """Return a reentrant lock that the forking thread takes before a fork, and both processes release after it.

    So a child finds what the lock guards whole, and the lock free. Make one for a module, not for an object: Python
    never forgets what is to be done at a fork. Reentrant, because a signal handler or a finaliser may run anywhere.
    """
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock


class ObjectLock:
    """A reentrant lock of one object. A forked child finds it free, whichever thread of its parent held it.

    What it guards must be whole enough in the middle of a change: nobody waits for its end before a fork.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _of_objects.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Be free."""
        self._lock = threading.RLock()


_of_objects: Final[WeakSet[ObjectLock]] = WeakSet()


def _renew() -> None:
    for lock in list(_of_objects):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
