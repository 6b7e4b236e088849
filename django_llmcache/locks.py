"""Locks that a fork never leaves held."""

from __future__ import annotations

import os
import threading


def fork_safe_lock() -> threading.RLock:
    """Return a reentrant lock that the forking thread takes before a fork, and both processes release after it.

    So a child finds what the lock guards whole, and the lock free. Make one for a module, not for an object: Python
    never forgets what is to be done at a fork. Reentrant, because a signal handler or a finaliser may run anywhere.
    """
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock
