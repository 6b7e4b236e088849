"""A table, through Django's ``DatabaseCache``, with one statement more than that has, and what it leaves untold."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable
from typing import Any, Final

from django.db import DatabaseError, IntegrityError, connections, router

from django_llmcache import conf
from django_llmcache.exceptions import LLMCacheError

from .base import Alias, Deadlines
from .over_alias import GuardedStore, Result, whole

_COMPARING: Final = frozenset({"mysql", "postgresql", "sqlite"})
"""Databases that compare texts of any length."""


class RefusedError(LLMCacheError):
    """A statement failed, as in a database that is read-only, and Django's cache says nothing of it."""


class DatabaseStore(GuardedStore):
    """As any alias; a value is swapped by an ``UPDATE`` of the row that has the old one.

    What the database does not take is told. Another failure is taken to have broken the connections of all threads.
    Else, with ``CONN_MAX_AGE``, each of them would fail an operation of its own after the database was restarted.
    """

    def __init__(self, alias: Alias, deadlines: Deadlines) -> None:
        super().__init__(alias, deadlines)
        self._failure = object()

    def write(self, key: str, value: bytes, seconds: float | None) -> None:
        self._told(lambda cache: _written(cache, key, value, whole(seconds)))

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        return self._told(lambda cache: _added(cache, key, value, whole(seconds)))

    def refuses(self, error: Exception) -> bool:
        return isinstance(error, RefusedError)

    def _told(self, work: Callable[[Any], tuple[Result, DatabaseError | None]]) -> Result:
        """Return what a write gives; raises ``RefusedError`` where it gives an error as well."""
        result, error = self._within(self._deadlines.write, work)
        if error is not None:
            said = str(error).partition("\n")[0]  # PostgreSQL may show the row below
            raise RefusedError(f"The database did not take a value: {said}") from error
        return result

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


def _written(cache: Any, key: str, value: bytes, timeout: int | None) -> tuple[None, DatabaseError | None]:
    _, error = _watched(cache, lambda: cache.set(key, value, timeout))
    if isinstance(error, IntegrityError):  # somebody else was first to insert it, which now is updated
        _, error = _watched(cache, lambda: cache.set(key, value, timeout))
    return None, error


def _added(cache: Any, key: str, value: bytes, timeout: int | None) -> tuple[bool, DatabaseError | None]:
    added, error = _watched(cache, lambda: cache.add(key, value, timeout))
    return bool(added), None if isinstance(error, IntegrityError) else error  # that one says that there is a value


def _watched(cache: Any, write: Callable[[], Result]) -> tuple[Result, DatabaseError | None]:
    """Return what a write gives, and the error of a statement in it, of which Django's cache says nothing."""
    errors: list[DatabaseError] = []

    def execute(run: Callable[..., Any], *args: Any) -> Any:
        try:
            return run(*args)
        except DatabaseError as error:
            errors.append(error)
            raise

    with connections[router.db_for_write(cache.cache_model_class)].execute_wrapper(execute):
        result = write()
    return result, errors[-1] if errors else None


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
