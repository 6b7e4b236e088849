"""Tell what the cache did: a signal, a counter and a log line for each event."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.dispatch import Signal

from . import signals
from .counting import Counter, Tally

logger = logging.getLogger("django_llmcache")

SIGNALS: Mapping[str, Signal] = {
    "hit": signals.cache_hit,
    "miss": signals.cache_miss,
    "put": signals.cache_put,
    "evict": signals.cache_evict,
    "error": signals.cache_error,
}


class Counters:
    """Counts since the process began. Adding takes no lock, and loses none."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}

    def add(self, name: str) -> None:
        """Count one ``name``."""
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters.setdefault(name, Counter())
        next(counter.steps)

    def as_dict(self) -> dict[str, int]:
        """Return every count by name."""
        return {name: counter.value for name, counter in list(self._counters.items())}

    def reset(self) -> None:
        """Start from zero."""
        self._counters.clear()


counters = Counters()
tokens_saved = Tally()
"""Tokens, in and out, that hits spared since the process began."""


def emit(event: str, sender: Any, **details: Any) -> None:
    """Count the event, log one line without any content, and send its signal; no receiver can break the call."""
    counters.add(event)
    level = logging.WARNING if event == "error" else logging.DEBUG
    if logger.isEnabledFor(level):
        logger.log(level, "llmcache %s %s", event, " ".join(f"{k}={v}" for k, v in sorted(details.items())))
    signal = SIGNALS[event]
    if signal.receivers:
        for receiver, outcome in signal.send_robust(sender, **details):
            if isinstance(outcome, Exception):
                logger.error("Receiver %r of cache_%s raised %r; the call went on.", receiver, event, outcome)
