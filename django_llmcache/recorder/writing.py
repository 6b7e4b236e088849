"""What a session leaves: its take, whole or not at all; its test's id at what it used of others'; a note of its use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from .fixture import Fixture, FixtureError
from .setup import Setup
from .store import FixtureStore
from .takes import by_test

if sys.platform != "win32":
    import fcntl


_STEP = 0.001
"""Seconds by which a take is newer than one of a machine whose clock is ahead."""


def write_take(store: FixtureStore, fixtures: Iterable[Fixture]) -> list[tuple[Fixture, Path]]:
    """Write all fixtures of a take, or none; return each with its path.

    It is newer than what the test has recorded of the same requests, whatever another machine's clock has said.

    Raises:
        FixtureError: one of them can't be written.
        OSError: a file can't be.
    """
    written: list[tuple[Fixture, Path]] = []
    try:
        # From the last to the first: what is cut short lacks its first answers, which shows.
        for fixture in reversed(list(_newest(store, fixtures))):
            written.insert(0, (fixture, store.write(fixture)))
    except BaseException:
        store.delete(path for _, path in written)
        raise
    return written


def _newest(store: FixtureStore, fixtures: Iterable[Fixture]) -> Iterator[Fixture]:
    """Yield fixtures, made newer where their test has newer ones of their keys."""
    for (_, sample), group in groupby(fixtures, key=lambda one: (one.key, one.sample)):
        made = list(group)
        own = next(by_test([one for one in _there(store, made[0]) if one.sample == sample], made[0].tests[0]))
        late = max((one.recorded_at for one in own), default=0.0) + _STEP - made[0].recorded_at
        yield from [one.changed(recorded_at=one.recorded_at + late) for one in made] if late > 0 else made


def _there(store: FixtureStore, like: Fixture) -> list[Fixture]:
    try:
        return store.take(like.provider, like.endpoint, like.key)
    except FixtureError:  # which a test that asks for it is told
        return []


def note_test(store: FixtureStore, replayed: Iterable[Path], test: str) -> None:
    """Note a test at others' recordings that it replayed while it made some of its own, which may follow from them.

    So it keeps to these, whoever refreshes theirs.
    """
    for path in dict.fromkeys(replayed):
        with suppress(FileNotFoundError, FixtureError), _alone(path):  # removed or damaged meanwhile
            there = store.read(path)
            if test not in there.tests:
                store.move(path, there.changed(tests=(*there.tests, test)))


def note_use(setup: Setup, replayed: Iterable[str], written: Iterable[Path]) -> None:
    """Note which fixtures a session used and wrote; where that can't be, it is told once, and costs no test."""
    if setup.usage is None:
        return
    try:
        setup.usage.used(*replayed)
        setup.usage.recorded(*written)
    except OSError as error:
        setup.warn(
            f"It can't be noted in {setup.usage.path} which fixtures the tests use ({error.strerror}), so that none "
            "will be called unused"
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process after the other change a file that each replaces by another of the same name.

    Windows can't replace a file that is open; there the last of several who come at once is noted alone.
    """
    if sys.platform == "win32":
        yield
        return
    while True:
        with path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(held.fileno()), path.stat()):
                yield
                return
