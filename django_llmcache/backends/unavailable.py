"""What stands in for a backend that could not be made: a cache that fails must not fail the calls."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Final, NoReturn

from django_llmcache.entry import Entry, Selector
from django_llmcache.exceptions import BackendUnavailableError, LLMCacheError

from .base import BackendStats, BaseBackend

RETRY_AFTER: Final = 30.0
"""Seconds after which the backend is made anew."""

_SAYS_NO_SECRET: Final = (LLMCacheError, ImportError, OSError)
"""Errors that speak of settings, modules and files. Any other may quote a part of an address, a password among it."""


class UnavailableBackend(BaseBackend):
    """Raise, whatever is asked; whoever asks tells it as ``cache_error`` and goes on without the cache.

    Who made it has logged that already.

    Args:
        path: ``LLMCACHE["BACKEND"]``.
        error: what its constructor raised.
        retry: called by the first who asks after ``RETRY_AFTER`` seconds.
    """

    name = "unavailable"
    immediate = True

    def __init__(self, path: str, error: Exception, *, retry: Callable[[], None]) -> None:
        super().__init__()
        self.message = f"The backend {path} of settings.LLMCACHE['BACKEND'] could not be made: {_told(error)}."
        self._retry = retry
        self._until = self.clock() + RETRY_AFTER

    def get(self, key: str) -> Entry | None:
        self._refuse()

    def put(self, entry: Entry, mark: Hashable = None) -> bool:
        self._refuse()

    def delete(self, key: str) -> bool:
        self._refuse()

    def clear(self, selector: Selector) -> int | None:
        self._refuse()

    def entries(self) -> Iterator[Entry]:
        self._refuse()

    def stats(self) -> BackendStats:
        self._refuse()

    def _refuse(self) -> NoReturn:
        if self.clock() >= self._until:
            self._retry()
        raise BackendUnavailableError(
            f"{self.message} Calls go on without it, and every {RETRY_AFTER:.0f} s it is tried again.", asked=True
        )


def _told(error: Exception) -> str:
    kind = type(error).__name__
    return f"{kind}: {error}".rstrip(".") if isinstance(error, _SAYS_NO_SECRET) else kind
