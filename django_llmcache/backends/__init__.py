"""Where entries live. ``current()`` gives the backend that the settings name."""

from __future__ import annotations

import threading

from django.utils.module_loading import import_string

from django_llmcache import conf
from django_llmcache.exceptions import ConfigurationError

from .base import BaseBackend, OnEvict, ignore_evictions

_lock = threading.Lock()
_made: tuple[conf.Settings, BaseBackend] | None = None
_listeners: list[OnEvict] = []


def current() -> BaseBackend:
    """Return the backend that the settings in force name, made once for each change of the settings.

    Raises:
        ConfigurationError: the path does not import, or the options are not the backend's.
    """
    settings = conf.current()
    made = _made
    if made is not None and made[0] is settings:
        return made[1]
    return _make(settings)


def listen(on_evict: OnEvict) -> None:
    """Tell ``on_evict`` of every entry removed from a backend that is made from now on."""
    if on_evict not in _listeners:
        _listeners.append(on_evict)


def _make(settings: conf.Settings) -> BaseBackend:
    global _made
    with _lock:
        if _made is not None:
            if _made[0] is settings:
                return _made[1]
            _made[1].close()
        try:
            backend_class = import_string(settings.backend)
        except ImportError as error:
            raise ConfigurationError(
                f"settings.LLMCACHE['BACKEND'] is {settings.backend!r}, which does not import: {error}"
            ) from error
        on_evict = _listeners[0] if _listeners else ignore_evictions
        backend: BaseBackend = backend_class(
            settings.options, on_evict=on_evict, cleanup_interval=settings.cleanup_interval
        )
        _made = (settings, backend)
        return backend
