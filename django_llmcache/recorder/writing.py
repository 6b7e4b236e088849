"""What a session leaves in the store: its take, whole or not at all, and its test's id at what it used of others'."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .fixture import Fixture
from .store import FixtureStore


def write_take(store: FixtureStore, fixtures: Iterable[Fixture]) -> list[tuple[Fixture, Path]]:
    """Write all fixtures of a take, or none; return each with its path.

    Raises:
        FixtureError: one of them can't be written.
        OSError: a file can't be.
    """
    written: list[tuple[Fixture, Path]] = []
    try:
        for fixture in reversed(list(fixtures)):  # so that what is cut short lacks its first answers, which shows
            written.insert(0, (fixture, store.write(fixture)))
    except BaseException:
        store.delete(path for _, path in written)
        raise
    return written


def note_test(store: FixtureStore, replayed: Iterable[Fixture], test: str) -> None:
    """Note a test at others' recordings that it replayed while it made some of its own, which may follow from them.

    So it keeps to these, whoever refreshes theirs.
    """
    for path, fixture in {one.path: one for one in replayed}.items():
        if path is not None and test not in fixture.tests:
            store.move(path, fixture.changed(tests=(*fixture.tests, test)))
