"""A table, through Django's ``DatabaseCache``, with one statement more than that has."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable
from typing import Any, Final

from django.db import connections, router

from django_llmcache import conf

from .base import Alias, Deadlines
from .over_alias import GuardedStore, Result

_COMPARING: Final = frozenset({"mysql", "postgresql", "sqlite"})
"""Databases that compare texts of any length."""


class DatabaseStore(GuardedStore):
    """As any alias; a value is swapped by an ``UPDATE`` of the row that has the old one.

    A failure is taken to have broken the connections of all threads. Else, with ``CONN_MAX_AGE``, each of them would
    fail an operation of its own after the database was restarted.
    """

    def __init__(self, alias: Alias, deadlines: Deadlines) -> None:
        super().__init__(alias, deadlines)
        self._failure = object()

    def _within(self, seconds: float, work: Callable[[Any], Result]) -> Result:
        try:
            return super()._within(seconds, work)
        except Exception:
            self._failure = object()
            raise

    def _cache(self) -> Any:
        """Return this thread's cache, with no connection that is older than the last failure."""
        latest = self._failure
        if getattr(self._local, "failure", latest) is not latest:
            connections.close_all()
        self._local.failure = latest
        return super()._cache()

    def _let_go(self) -> None:
        """Close the thread's connections where ``CONN_MAX_AGE`` says so, as Django does at the end of a request.

        In a test run all of them: it drops the database at its end, which nobody may be connected to then.
        """
        if conf.under_test_runner():
            connections.close_all()
            return
        for connection in connections.all(initialized_only=True):
            connection.close_if_unusable_or_obsolete()

    def swap(self, key: str, old: bytes, new: bytes) -> bool | None:
        return self._within(self._deadlines.write, lambda cache: _swapped(cache, key, old, new))


def _swapped(cache: Any, key: str, old: bytes, new: bytes) -> bool | None:
    connection = connections[router.db_for_write(cache.cache_model_class)]
    if connection.vendor not in _COMPARING:
        return None
    table = connection.ops.quote_name(cache._table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET value = %s WHERE cache_key = %s AND value = %s",  # noqa: S608 - as Django quotes it
            [_kept(cache, new), cache.make_and_validate_key(key), _kept(cache, old)],
        )
        return bool(cursor.rowcount)


def _kept(cache: Any, value: bytes) -> str:
    """Return the text that Django keeps a value as."""
    return base64.b64encode(pickle.dumps(value, cache.pickle_protocol)).decode("ascii")
