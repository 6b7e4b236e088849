"""The test that is under way, and the blocks in it: each has recordings of its own, which go where the test fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django_llmcache import conf
from django_llmcache.recorder.session import current
from django_llmcache.recorder.store import FixtureStore

from . import summary
from .setups import under_pytest

_running: str | None = None
_last: tuple[str | None, int] = (None, 0)
_written: list[tuple[FixtureStore, Path]] = []


def running_test() -> str | None:
    """Return what the test runner runs the test by that is under way, ``None`` where none is, or is known."""
    if not under_pytest():
        return _running
    said = conf.environment("PYTEST_CURRENT_TEST")
    return said.rpartition(" (")[0] if said else None


def next_block() -> str | None:
    """Return what the next block or function of the running test is recorded as: each has recordings of its own."""
    global _last
    test, session = running_test(), current()
    first = 1 if session is not None and session.test == test else 0  # else the test's own recordings are under its id
    _last = (test, _last[1] + 1 if _last[0] == test else first)
    return f"{test} <{_last[1]}>" if test and _last[1] else test


@contextmanager
def running(test: str) -> Iterator[None]:
    """Say which test is under way, where no pytest says it."""
    global _running
    before, _running = _running, test
    begin()
    try:
        yield
    finally:
        _running = before


def begin() -> None:
    """Begin a test, or one more try at it."""
    global _last
    _last = (None, 0)
    _written.clear()


def wrote(store: FixtureStore, paths: Iterable[Path]) -> None:
    """Note what a block of the test that is under way has written."""
    if running_test() is not None:
        _written.extend((store, path) for path in paths)


def end(*, passed: bool) -> None:
    """Take back what the blocks have written, unless the test has passed.

    It is written as soon as a block ends, since the next one may ask the same, and nobody pays twice.
    """
    written = _written.copy()
    _written.clear()
    if passed or not written:
        return
    for store, path in written:
        store.delete([path])
    summary.take_back(path for _, path in written)
