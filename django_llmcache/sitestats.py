"""What a whole site's response cache did, where its processes share a store.

Each process hands what it counted to the backend, at most once a second, in a thread that sleeps while nothing happens.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Final

from . import backends, conf
from .backends.sitecounts import added
from .counts import Batch, Counts
from .endings import at_exit
from .locks import fork_safe_lock
from .stats import CacheStats
from .telemetry import counters, told

EVERY: Final = 1.0
"""Seconds between two batches."""

_AT_THE_END: Final = 5.0
"""Seconds for which the end of the process waits for the last batch at most, where a database hangs just then."""

_TRIES: Final = 5
_PAUSE: Final = 0.2
"""Seconds between the tries to hand in the last batch: others may be at the same, and a database lets in one."""

_QUIET: Final = 30
"""Batches without anything in them after which the thread ends, until something happens."""

logger = logging.getLogger("django_llmcache")


class Publisher:
    """Hands in what this process counts.

    Attributes:
        asleep: whether nothing is handed in until ``wake``. On the way of every look-up on a shared backend.
    """

    def __init__(self) -> None:
        self._lock = fork_safe_lock()
        self.begin()

    def begin(self) -> None:
        """Start from nothing, as a process does, and a child after a fork."""
        self.asleep = True
        self._is_expected = False
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._again = -math.inf
        self._counted_in: object = None
        self._sent: Counts = {}
        self._batch: Batch | None = None
        self._after: Counts = {}

    def wake(self) -> None:
        """Hand in from now on; not under a test runner, where nobody wants a thread that outlives its test."""
        if backends.current().in_process or conf.under_test_runner():
            return
        with self._lock:
            if not self.asleep or time.monotonic() < self._again:
                return
            if not self._is_expected:
                self._is_expected = True
                at_exit(self.close)
            thread = threading.Thread(target=self._work, name="llmcache-counts", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread to be had
                self._again = time.monotonic() + EVERY
            else:
                self._thread, self.asleep = thread, False

    def flush(self) -> bool:
        """Hand in what is new; return whether there was anything. What fails is handed in again the next time."""
        with self._lock:
            counts = counters.counts()
            new = self._since(counts)  # forgets a batch of what was counted before they began again
            if self._batch is None:
                if not new:
                    return False
                self._batch, self._after = Batch(token_hex(8), new), counts
            try:
                taken = backends.current().add_counts(self._batch)
            except Exception as error:  # the backend has told of its store
                logger.debug("llmcache counts were not handed in: %s", told(error))
                return True
            if taken:
                self._sent, self._batch = self._after, None
            return taken

    def own(self) -> Counts:
        """Return what is not handed in yet."""
        with self._lock:
            return self._since(counters.counts())

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """Hand in nothing of what is counted in this block: it is none of the site's traffic."""
        with self._lock:
            before = self._since(counters.counts())
            try:
                yield
            finally:
                on_its_way = {} if self._batch is None else self._batch.counts
                counts = counters.counts()
                known = {what: n - before.get(what, 0) + on_its_way.get(what, 0) for what, n in counts.items()}
                if self._batch is None:
                    self._sent = known
                else:
                    self._after = known

    def close(self) -> None:
        """Hand in the last, at the end of the process."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(_AT_THE_END)
        elif self._again > -math.inf:  # no thread could be had
            self._hand_in_the_last()

    def _since(self, counts: Counts) -> Counts:
        if self._counted_in is not counters.hits:  # they count from zero again
            self._counted_in, self._sent, self._batch = counters.hits, {}, None
        return {what: n for what, number in counts.items() if (n := number - self._sent.get(what, 0)) > 0}

    def _work(self) -> None:
        quiet = 0
        while quiet < _QUIET and not self._end.is_set():
            quiet = 0 if self.flush() else quiet + 1
            self._end.wait(EVERY)
        self.asleep = True
        self._hand_in_the_last()  # what came before it was seen to sleep

    def _hand_in_the_last(self) -> None:
        for _ in range(_TRIES):
            if not self.flush() or self._batch is None:
                break
            time.sleep(_PAUSE)


publisher = Publisher()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=publisher.begin)


def of_process() -> CacheStats:
    """Return what this process' cache holds and did."""
    backend = backends.current()
    return CacheStats.of(backend.name, backend.stats(), counters.counts())


def of_site() -> CacheStats | None:
    """Return what the caches of all processes did that share a store, ``None`` where they share none."""
    backend = backends.current()
    site = backend.site_counts()
    if site is None:
        return None
    counts = added((site.counts, publisher.own()))
    return CacheStats.of_site(backend.name, counts, processes=max(1, site.processes))
