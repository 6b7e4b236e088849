"""Sees what the HTTP libraries send, and asks the session in force how each request is answered.

One file per library. Each function is replaced once, for as long as it is armed, and calls the original whenever the
session has no part in a request, or none is in force.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Final, NamedTuple

from django_llmcache import arrivals
from django_llmcache.locks import fork_safe_lock

from .patching import put_back


class Interceptor(NamedTuple):
    """One of this folder's files.

    Attributes:
        name: of the file.
        library: what it sees; ``""`` for all.
        engine: what else it needs.
    """

    name: str
    library: str = ""
    engine: str = ""


INTERCEPTORS: Final = (
    Interceptor("over_requests", "requests", "responses"),
    Interceptor("over_httpx", "httpx2"),
    Interceptor("over_httpx", "httpx"),
    Interceptor("over_aiohttp", "aiohttp"),
    Interceptor("over_botocore", "botocore"),
    Interceptor("over_grpc", "grpc"),
    Interceptor("over_curl", "curl_cffi"),
    Interceptor("over_uvloop", "uvloop"),
    Interceptor("certificates"),
    Interceptor("pauses"),
    Interceptor("pauses", "anyio"),
    Interceptor("sockets"),
)

LIBRARIES: Final = frozenset(name for one in INTERCEPTORS for name in (one.library, one.engine) if name)

_lock = fork_safe_lock()
_armed = 0
_installing = False
_waiting: list[Callable[[], None]] = []
"""What ends that libraries are waited for."""


def arm() -> None:
    """Replace what the libraries send with; once, however often it is called.

    A library that is imported later is seen from then on.
    """
    global _armed
    with _lock:
        _armed += 1
        if _armed == 1:
            _waiting.append(arrivals.wait_for(LIBRARIES, _install))
            _install()


def disarm() -> None:
    """Put the libraries back, when it has been called as often as ``arm``."""
    global _armed
    with _lock:
        _armed = max(0, _armed - 1)
        if _armed == 0 and _waiting:
            _waiting.pop()()
            put_back()


@contextmanager
def armed() -> Iterator[None]:
    """Be armed inside the block; a runner that is armed for the whole run makes this cost nothing."""
    arm()
    try:
        yield
    finally:
        disarm()


def _install() -> None:
    """Replace what can be replaced by now; what is replaced already stays."""
    global _installing
    with _lock:
        if _installing or not _armed:  # what an interceptor imports itself arrives as well
            return
        _installing = True
        try:
            for name in dict.fromkeys(one.name for one in INTERCEPTORS if _is_ready(one)):
                _installer(name)()
        finally:
            _installing = False


def _is_ready(one: Interceptor) -> bool:
    if not one.library:
        return True
    # Half imported, it may be what imports the library.
    engine = not one.engine or (not arrivals.is_coming(one.engine) and _is_installed(one.engine))
    return engine and arrivals.is_here(one.library)


def lacking(libraries: Iterable[str]) -> str:
    """Return what to install so that the first of these libraries is seen that is not for want of it, else ``""``."""
    for one in INTERCEPTORS:
        if one.library in libraries and one.engine and not _is_installed(one.engine):
            return f"{one.library} is recorded with the package {one.engine}: pip install 'django-llmcache[testing]'"
    return ""


@cache
def _is_installed(library: str) -> bool:
    return find_spec(library) is not None


@cache
def _installer(name: str) -> Callable[[], None]:
    install: Callable[[], None] = import_module(f"{__name__}.{name}").install
    return install
