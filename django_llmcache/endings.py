"""What is still to be done when a process ends, however it was started."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from multiprocessing import parent_process
from typing import Any

_finalizers: dict[Callable[[], object], Any] = {}


def at_exit(function: Callable[[], object]) -> None:
    """Call the function when this process ends, once; the last one registered is the first called.

    A child after a fork is another process, and is to register its own.
    """
    if parent_process() is None:
        atexit.unregister(function)
        atexit.register(function)
        return
    from multiprocessing.util import Finalize  # such a child ends without a look at atexit

    if function in _finalizers:
        _finalizers[function].cancel()
    _finalizers[function] = Finalize(None, function, exitpriority=0)
