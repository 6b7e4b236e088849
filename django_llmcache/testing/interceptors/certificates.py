"""Lets an SSL context read its certificates when it first connects, and not before; a client's own be made then.

Each new client of an SDK makes a context, and reading the certificates that it trusts takes 20 ms or more; a client
whose answers are replayed never connects. Every context stays its owner's alone, and verifies as it ever did.
"""

from __future__ import annotations

import os
import ssl
import sys
from _ssl import _SSLContext
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from django_llmcache import conf
from django_llmcache.locks import fork_safe_lock
from django_llmcache.recorder import in_force

from .patching import replace

if TYPE_CHECKING:
    from ssl import SSLContext as Plain
else:  # Python's own class, also where truststore's has taken its place
    Plain = next(kind for kind in ssl.SSLContext.__mro__ if _SSLContext in kind.__bases__)

_BY_ENVIRONMENT: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_CREATE: Final = ssl.create_default_context
_lock = fork_safe_lock()
_good: set[_Load] = set()
"""What could be read: a file that is damaged, or not there, is told of at once."""


def install() -> None:
    """Let contexts that are made while a session is in force read late."""
    replace(Plain, "load_verify_locations", _loading_locations)
    replace(Plain, "set_default_verify_paths", _loading_defaults)


def is_usual() -> bool:
    """Return whether a context is made as ever: nothing names its certificates, and nobody makes it another way."""
    where = getattr(sys.modules.get("certifi"), "where", None)
    own = where is None or getattr(where, "__module__", "").partition(".")[0] == "certifi"
    usual = (ssl.SSLContext, ssl.create_default_context) == (Plain, _CREATE)
    return own and usual and not _is_told_by_environment()


class LateContext:
    """The context of a client that hardly connects: to make one takes 0.2 ms, and it is made when it is looked at.

    Args:
        make: what makes it.
    """

    __slots__ = ("_made", "_make")

    _make: Callable[[], ssl.SSLContext]
    _made: ssl.SSLContext | None

    def __init__(self, make: Callable[[], ssl.SSLContext]) -> None:
        object.__setattr__(self, "_make", make)
        object.__setattr__(self, "_made", None)

    @property  # type: ignore[misc] # to be one for whoever asks
    def __class__(self) -> Any:
        return Plain

    def __getattr__(self, name: str) -> Any:
        with _lock:
            return getattr(self._context(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        with _lock:
            setattr(self._context(), name, value)

    def _context(self) -> ssl.SSLContext:
        if self._made is None:
            object.__setattr__(self, "_made", self._make())
        return cast("ssl.SSLContext", self._made)


class _Load(NamedTuple):
    """What a context was told to read, and which file that was."""

    name: str
    args: tuple[Any, ...] = ()
    status: tuple[int, int, int] = (0, 0, 0)


class _Late(Plain):
    """A context that has yet to read; when it has, it is an ordinary one."""

    _loads: list[_Load]

    def wrap_socket(self, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        return _read(self).wrap_socket(*args, **kwargs)

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return _read(self).wrap_bio(*args, **kwargs)

    def cert_store_stats(self) -> dict[str, int]:
        return _read(self).cert_store_stats()

    def get_ca_certs(self, binary_form: bool = False) -> Any:  # noqa: FBT001, FBT002 - as in its base
        return _read(self).get_ca_certs(binary_form)


def _loading_locations(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def load_verify_locations(self: ssl.SSLContext, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        load = None if cadata else _load_of(cafile, capath)
        if load is None or not _may_wait(self):
            original(self, cafile, capath, cadata)
        elif load in _good:
            _defer(self, load)
        else:
            original(self, cafile, capath)
            _good.add(load)

    return load_verify_locations


def _loading_defaults(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def set_default_verify_paths(self: ssl.SSLContext) -> None:
        if _may_wait(self) and not _is_told_by_environment():
            _defer(self, _Load("set_default_verify_paths"))
        else:
            original(self)

    return set_default_verify_paths


def _is_told_by_environment() -> bool:
    return any(map(conf.environment, _BY_ENVIRONMENT))


def _load_of(cafile: Any, capath: Any) -> _Load | None:
    """Return what is to be read; ``None`` where it is no file that is known to be the same later."""
    if not isinstance(cafile, str) or not isinstance(capath, str | None):
        return None
    try:
        status = os.stat(cafile)  # noqa: PTH116 - a text stays one: this is on the way of every client
    except OSError:
        return None
    file, folder = (path and os.path.abspath(path) for path in (cafile, capath))  # noqa: PTH100 - the same
    return _Load("load_verify_locations", (file, folder), (status.st_mtime_ns, status.st_size, status.st_ino))


def _may_wait(context: ssl.SSLContext) -> bool:
    # A client's own class, such as truststore's, and a server's context are left alone.
    plain = type(context) in (Plain, _Late)
    return plain and context.protocol is ssl.PROTOCOL_TLS_CLIENT and in_force.current() is not None


def _defer(context: ssl.SSLContext, load: _Load) -> None:
    with _lock:
        if not isinstance(context, _Late):
            context.__class__ = _Late
            context._loads = []  # type: ignore[attr-defined] # of its new class
        context._loads.append(load)  # type: ignore[attr-defined]


def _read(late: _Late) -> ssl.SSLContext:
    """Let a context read what it was told to, and be an ordinary one from now on."""
    with _lock:
        for load in vars(late).get("_loads", ()):
            getattr(super(Plain, late), load.name)(*load.args)
        vars(late).pop("_loads", None)  # now: one that can't be read is not forgotten
        context: Any = late
        context.__class__ = Plain
    return late
