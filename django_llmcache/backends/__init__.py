"""Where entries live. ``current()`` gives the backend that the settings name."""

from __future__ import annotations

import logging
import os
from traceback import format_tb
from typing import Any, NamedTuple

from django.apps import apps

from django_llmcache import conf
from django_llmcache.entry import Entry
from django_llmcache.exceptions import ConfigurationError, LLMCacheError
from django_llmcache.locks import fork_safe_lock

from .base import BaseBackend, OnEvict
from .dummy import DummyBackend
from .unavailable import UnavailableBackend

logger = logging.getLogger("django_llmcache")


class _Kept(NamedTuple):
    """A backend, and the settings that it was made with."""

    made_with: tuple[Any, ...]
    backend: BaseBackend


_lock = fork_safe_lock()
_kept: dict[str, _Kept] = {}
"""By ``LLMCACHE["BACKEND"]``: a change of other settings, or of the backend and back, loses nothing."""
_none_in_force: tuple[conf.Settings | None, BaseBackend] = (None, DummyBackend())
in_force = _none_in_force
_told: dict[str, str] = {}
"""What was logged of backends that could not be made, by path: it is not told again each time that one is tried."""
_listeners: list[OnEvict] = []
_told_of_app = False


def current() -> BaseBackend:
    """Return the backend that the settings in force name.

    It is made on first use, and anew when its path, ``OPTIONS`` or ``CLEANUP_INTERVAL`` change. One that can't be
    made, though its settings are right, is stood in for by one that raises whatever is asked.

    Raises:
        ConfigurationError: the path does not import, or the options are not the backend's.
    """
    settings = conf.snapshot or conf.current()
    made_for, backend = in_force
    return backend if made_for is settings else _find(settings)


def listen(on_evict: OnEvict) -> None:
    """Tell ``on_evict`` of every entry that any backend of the settings removes."""
    if on_evict not in _listeners:
        _listeners.append(on_evict)


def empty() -> None:
    """Forget every in-process store with its counters, as a test runner does before each test. None is told of it."""
    global in_force
    with _lock:
        forgotten = [kept.backend for kept in _kept.values()]
        _kept.clear()
        _told.clear()
        in_force = _none_in_force
    for backend in forgotten:
        backend.close()


def _find(settings: conf.Settings) -> BaseBackend:
    global in_force
    made_with = (settings.options, settings.cleanup_interval)
    with _lock:
        kept = _kept.get(settings.backend)
        if kept is None or kept.made_with != made_with:
            replaced, backend = kept, _make(settings)
            _kept[settings.backend] = _Kept(made_with, backend)
        else:
            replaced, backend = None, kept.backend
        in_force = (settings, backend)
    if replaced is not None:
        replaced.backend.close()  # not under the lock: its sweeper may be telling somebody who asks for the current one
    return backend


def _make(settings: conf.Settings) -> BaseBackend:
    _tell_of_missing_app()
    backend_class = class_at(settings.backend)
    try:
        backend = backend_class(settings.options, on_evict=_tell, cleanup_interval=settings.cleanup_interval)
    except ConfigurationError:
        raise
    except Exception as error:
        standin = UnavailableBackend(settings.backend, error, retry=_forget_unavailable)
        if _told.get(settings.backend) != standin.message:
            _told[settings.backend] = standin.message
            logger.error(  # noqa: TRY400 - what the error says may be a part of a password
                "%s Calls go on without the cache.%s", standin.message, _where(error)
            )
        return standin
    _told.pop(settings.backend, None)
    return backend


def _where(error: Exception) -> str:
    """Return the traceback of an error, in lines of its own; none of ours, which says all there is to know."""
    return "" if isinstance(error, LLMCacheError) else "\n" + "".join(format_tb(error.__traceback__)).rstrip()


def _tell_of_missing_app() -> None:
    """Warn once where calls are cached and all else of the app is missing: nothing fails for it."""
    global _told_of_app
    if _told_of_app or not apps.ready or apps.is_installed("django_llmcache"):
        return
    _told_of_app = True
    logger.warning(
        "INSTALLED_APPS has no 'django_llmcache'. Calls are cached, but no save clears answers by tag, INSTRUMENT does "
        "nothing, and neither the system checks nor `manage.py llmcache` are there. Add it."
    )


def class_at(path: str) -> type[BaseBackend]:
    """Return the backend class at a dotted path.

    Raises:
        ConfigurationError: it does not import, or is no backend.
    """
    found = conf.imported("settings.LLMCACHE['BACKEND'] is", path)
    if not (isinstance(found, type) and issubclass(found, BaseBackend)):
        raise ConfigurationError(
            f"settings.LLMCACHE['BACKEND'] is {path!r}, which is no subclass of "
            "django_llmcache.backends.base.BaseBackend."
        )
    return found


def _forget_unavailable() -> None:
    """Let the next caller of ``current`` try again."""
    global in_force
    with _lock:
        for path in [path for path, kept in _kept.items() if isinstance(kept.backend, UnavailableBackend)]:
            del _kept[path]
        in_force = _none_in_force


def _tell(entry: Entry, reason: str) -> None:
    for listener in _listeners:
        listener(entry, reason)


def _count_anew() -> None:
    for kept in _kept.values():
        kept.backend.count_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_anew)
