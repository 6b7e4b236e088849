"""Sees what the HTTP libraries send, and asks the session in force how each request is answered.

One file per library. Each function is replaced once, for as long as it is armed, and calls the original whenever the
session has no part in a request, or none is in force.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Final

INTERCEPTORS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("over_requests", ("requests", "responses")),
    ("over_httpx", ("httpx2",)),
    ("over_httpx", ("httpx",)),
    ("over_aiohttp", ("aiohttp",)),
    ("over_botocore", ("botocore",)),
    ("certificates", ()),
    ("sockets", ()),
)
"""Each with the libraries that it needs; named twice, it needs one or the other."""

_lock = threading.Lock()
_armed = 0
_put_back: list[Callable[[], None]] = []


def arm() -> None:
    """Replace what the libraries send with; once, however often it is called.

    Whatever is installed is imported now: a library that a test imports later would go unseen.
    """
    global _armed
    with _lock:
        _armed += 1
        if _armed == 1:
            _put_back.extend(install() for install in _installers())


def disarm() -> None:
    """Put the libraries back, when it has been called as often as ``arm``."""
    global _armed
    with _lock:
        _armed = max(0, _armed - 1)
        while _armed == 0 and _put_back:
            _put_back.pop()()


@contextmanager
def armed() -> Iterator[None]:
    """Be armed inside the block; a runner that is armed for the whole run makes this cost nothing."""
    arm()
    try:
        yield
    finally:
        disarm()


@cache
def _installers() -> tuple[Callable[[], Callable[[], None]], ...]:
    names = dict.fromkeys(name for name, needed in INTERCEPTORS if all(find_spec(library) for library in needed))
    return tuple(import_module(f"{__name__}.{name}").install for name in names)
