"""Tell what the cache did: a signal, a counter and a log line for each event."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Mapping, Sized
from typing import Any, Final

from . import signals
from .counting import FOLDED_AT, Counter, Tally
from .counts import Count, Counts
from .credentials import of_a_library
from .entry import Entry, Origin
from .exceptions import BackendUnavailableError

logger = logging.getLogger("django_llmcache")

SIGNALS: Mapping[str, signals.CacheSignal] = {
    "hit": signals.cache_hit,
    "miss": signals.cache_miss,
    "put": signals.cache_put,
    "evict": signals.cache_evict,
    "error": signals.cache_error,
    "test_hit": signals.test_cache_hit,
    "test_miss": signals.test_cache_miss,
    "test_save": signals.test_cache_save,
    "test_error": signals.test_cache_error,
}

_NAMES_KEPT: Final = 128
"""Names that are counted one by one. ``CACHEABLE`` makes up reasons, and could make one up for each call."""

_MODELS_KEPT: Final = 128
"""Models that are counted one by one. A project may let strangers name them."""

_LONGEST_NAME: Final = 80


class Counters:
    """Counts since the process began. Adding takes no lock, and loses none."""

    def __init__(self) -> None:
        self._counters: dict[Count, Counter] = {}
        self._names: set[str] = set()
        self._models: set[tuple[str, str]] = set()
        self.reset()

    def add(self, name: str, provider: str = "", model: str = "") -> None:
        """Count one ``name``, of a provider and a model where it is of one."""
        counter = self._counters.get(Count(provider, model, name))
        if counter is None:
            counted = Count(*self._model_kept(provider, model), self._name_kept(name))
            counter = self._counters.setdefault(counted, Counter())
        next(counter.steps)

    def counts(self) -> Counts:
        """Return every count by provider, model and name."""
        counts = {counted: counter.value for counted, counter in list(self._counters.items())}
        for (provider, model), hits in self.hits.sums.items():
            counts[Count(provider, model, "hit")] = hits.times
            counts[Count(provider, model, "tokens_saved")] = hits.total
        return counts

    def reset(self) -> None:
        """Start from zero."""
        self._counters.clear()
        self._names.clear()
        self._models.clear()
        self.hits: Tally[Origin, tuple[str, str]] = Tally(lambda origin: self._model_kept(origin[0], origin[2]))
        """Hits, and the tokens, in and out, that they spared."""

    def _name_kept(self, name: str) -> str:
        if name not in self._names:
            group, dot, _ = name.partition(".")
            if dot and not _is_kept(name, self._names, _NAMES_KEPT):
                return f"{group}.other"
            self._names.add(name)
        return name

    def _model_kept(self, provider: str, model: str) -> tuple[str, str]:
        kept = (provider, model)
        if kept not in self._models:
            if not _is_kept(provider + model, self._models, _MODELS_KEPT):
                return "other", "other"
            self._models.add(kept)
        return kept


def _is_kept(text: str, known: Sized, most: int) -> bool:
    return len(known) < most and len(text) <= _LONGEST_NAME and text.isprintable()


counters = Counters()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=counters.reset)  # else a sum over workers has its counts once for each


def emit_hit(sender: Any, key: str, entry: Entry) -> None:
    """Tell of a hit, as ``emit`` does; it costs next to nothing while nobody listens."""
    pending = counters.hits.pending
    pending.append((entry.origin, entry.usage))
    if len(pending) > FOLDED_AT:
        counters.hits.fold()
    if heard("hit"):
        age = time.time() - entry.created
        details = {"key": key, "provider": entry.provider, "model": entry.model, "age": age, "usage": entry.usage}
        _tell("hit", sender, details)


def emit(event: str, sender: Any, **details: Any) -> None:
    """Count the event, log one line without any content, and send its signal; no receiver can break the call."""
    counters.add(event, details.get("provider") or "", details.get("model") or "")
    _tell(event, sender, details)


def emit_failure(error: Exception, sender: Any, *, key: str | None, operation: str) -> None:
    """Tell of a failure of the backend, but not of each call that it spares itself while it knows of one.

    A store that is away has its one line in the log already, so each further try has none at WARNING.
    """
    if not isinstance(error, BackendUnavailableError):
        emit("error", sender, key=key, operation=operation, error=told(error))
    elif error.asked:
        counters.add("error")
        details = {"key": key, "operation": operation, "error": told(error.__cause__ or error)}
        _tell("error", sender, details, level=logging.DEBUG)


def heard(event: str) -> bool:
    """Return whether somebody listens to an event: to its signal, or to the log."""
    return bool(SIGNALS[event].receivers) or logger.isEnabledFor(_level_of(event))


def _level_of(event: str) -> int:
    return logging.WARNING if event.endswith("error") else logging.DEBUG


def _tell(event: str, sender: Any, details: Mapping[str, Any], level: int | None = None) -> None:
    level = _level_of(event) if level is None else level
    if logger.isEnabledFor(level):
        shown = {**details, "key": short(details["key"])}
        line = one_line(" ".join(f"{k}={v}" for k, v in sorted(shown.items())))
        try:
            logger.log(level, "llmcache %s %s", event, line)
        except Exception:  # of a filter or a handler of the project's own: it must not cost an answer that was paid for
            counters.add("error")
    SIGNALS[event].tell(sender, details)


def told(error: BaseException) -> str:
    """Return what an error says of itself, less the secrets of a store, or its class where even that fails."""
    try:
        return of_a_library(repr(error))
    except Exception:
        return type(error).__name__


def placed(error: Exception) -> str:
    """Return the class of an error and where it was raised: all that is told of a function that knows the prompt."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__


def short(key: str | None) -> str:
    """Return the start of a key's digest, for a log: the whole would let a reader check a guess at what was asked."""
    return key.rpartition(":")[2][:12] if key else "-"


def one_line(text: str) -> str:
    """Return a text without line breaks: a model's name may come from a stranger, who must not write lines of a log."""
    return " ".join(text.split())
