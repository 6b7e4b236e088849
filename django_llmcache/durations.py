"""Times to live as settings and callers write them: seconds, a ``timedelta``, or ``None`` for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from .exceptions import ConfigurationError

TTL = int | float | timedelta | None
"""Seconds or a ``timedelta``; ``None`` never expires; ``0`` is not stored."""

FOREVER: Final = 1e12
"""Seconds from which a time to live is as good as for ever: 30,000 years."""


def seconds(ttl: TTL, *, source: str = "ttl") -> float | None:
    """Return a time to live in seconds, or ``None`` for one that never expires, as an infinite one does.

    Raises:
        ConfigurationError: negative, NaN, a bool or not a number; ``source`` names where it was set.
    """
    return duration(ttl, source, "0 (do not store) or None (for ever)")


def fresh_for(ttl: TTL, *, source: str = "ttl") -> float | None:
    """Return for how many seconds a recording is fresh, ``None`` for ever; raises as ``seconds``."""
    return duration(ttl, source, "0 (expired at once) or None (for ever)")


def lasting(stale_for: Any, *, source: str = "stale_for") -> float:
    """Return for how many seconds an expired answer may be served; raises as ``seconds``, for ``None`` as well."""
    value = duration(stale_for, source, "0 (not at all)")
    if value is None:
        raise ConfigurationError(f"{source} is {stale_for!r}; give seconds (int or float), a timedelta, or 0.")
    return value


def duration(given: Any, source: str, others: str) -> float | None:
    """Return seconds, or ``None`` for ever; raises as ``seconds``, naming what else (``others``) may be given."""
    if given is None or (given.__class__ is int and 0 <= given < FOREVER):
        return given
    value = given.total_seconds() if isinstance(given, timedelta) else given
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - NaN
        raise ConfigurationError(f"{source} is {given!r}; give seconds (int or float), a timedelta, {others}.")
    if value < 0:
        raise ConfigurationError(f"{source} is {given!r}; it cannot be negative. Give {others}.")
    return value if value < FOREVER else None
