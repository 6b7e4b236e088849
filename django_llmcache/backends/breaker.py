"""The circuit breaker: a store that does not answer is left alone for a while, so that calls wait for it once.

The pattern is Michael Nygard's ("Release It!", "Circuit Breaker").
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from django_llmcache.exceptions import BackendUnavailableError

from .wording import words_of

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 1.0
"""Seconds for which the store is left alone after a failure: at first, and at most, twice as long each time."""

logger = logging.getLogger("django_llmcache")


class Breaker:
    """Closed while all is well; open after a failure; half open once it is time for one caller to try again.

    Args:
        name: of the store, for the log.
        clock: monotonic seconds.

    Attributes:
        openings: how often it opened.
        failures: how many operations failed.
    """

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._until: float | None = None
        self._trying = False
        self._pause = FIRST_PAUSE
        self._error = ""
        self.openings = 0
        self.failures = 0

    @property
    def state(self) -> str:
        """Return ``closed``, ``open`` or ``half-open``."""
        until = self._until
        if until is None:
            return "closed"
        return "open" if self._clock() < until else "half-open"

    def check(self) -> None:
        """Let an operation pass.

        Raises:
            BackendUnavailableError: the breaker is open, or another caller is trying already.
        """
        until = self._until
        if until is None:
            return
        with self._lock:
            now = self._clock()
            if self._until is None:
                return
            if now >= self._until:
                self._until = now + self._pause  # this caller tries; if it never comes back, another one does
                self._trying = True
                return
        raise BackendUnavailableError(
            f"{self._name} failed and is left alone for up to {self._pause:g} s: {self._error}."
        )

    def succeed(self) -> None:
        """Note that an operation went well."""
        if self._until is None:
            return
        with self._lock:
            was_open, self._until, self._trying = self._until is not None, None, False
        if was_open:
            logger.warning("llmcache: %s answers again; the cache is used as before.", self._name)

    def fail(self, error: BaseException) -> BackendUnavailableError:
        """Note that an operation failed; return what to raise of it, the same whatever the store's library raised."""
        said = words_of(error)
        with self._lock:
            self.failures += 1
            opens = self._until is None
            if opens or self._trying:  # else it was under way when another failed
                self.openings += opens
                self._pause = FIRST_PAUSE if opens else min(self._pause * 2, LONGEST_PAUSE)
                self._error = said
                self._until, self._trying = self._clock() + self._pause, False
        if opens:
            logger.warning(
                "llmcache: %s failed (%s). Calls go on without the cache; it is tried again within %g s.",
                *(self._name, said, LONGEST_PAUSE),
            )
        return BackendUnavailableError(f"{self._name} failed: {said}.", asked=True)
