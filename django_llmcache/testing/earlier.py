"""What a test's recordings may go on from: answers of others' that were replayed before, in its blocks or set-ups.

The test is noted at those recordings, as at what it replays beside its own, so that it keeps to them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

from django_llmcache.locks import fork_safe_lock
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.takes import without_block
from django_llmcache.recorder.writing import note_test


class _Replayed(NamedTuple):
    """What a session has replayed that recorded nothing.

    Attributes:
        place: the test's id, or what a test runner runs the class or module by; ``""`` for what all tests share.
        is_test: whether it is a test, or a block of one.
        test: what is to be noted.
        store: of the recordings.
        paths: of those at which it is not noted yet.
    """

    place: str
    is_test: bool
    test: str
    store: FixtureStore
    paths: tuple[Path, ...]

    def is_before(self, place: str) -> bool:
        """Return whether what is recorded at a place may go on from it."""
        return self.place in ("", place) or place.startswith((f"{self.place}.", f"{self.place}::"))


_changing: Final = fork_safe_lock()
_replayed: Final[list[_Replayed]] = []
_recording: Final[set[str]] = set()
"""The test that is under way, where a block of it has recorded."""


def begin() -> None:
    """Begin a test."""
    with _changing:
        _replayed[:] = [one for one in _replayed if not one.is_test]
        _recording.clear()


def ended(session: Session, written: Collection[Path]) -> None:
    """Take the end of a session of a run that may record.

    Args:
        session: of a test, a block, or a set-up.
        written: what it has recorded.
    """
    place, test = _place_of(session), session.filed()
    paths = tuple(one.path for one in session.replayed if one.path is not None and test not in one.tests)
    with _changing:
        if written:
            _recording.add(place)
        elif paths:
            _replayed.append(_Replayed(place, session.is_test, test, session.setup.store, paths))
        due = [one for one in _replayed if any(map(one.is_before, _recording))]
        _replayed[:] = [one for one in _replayed if one not in due]
    for one in due:
        note_test(one.store, one.paths, one.test)


def _place_of(session: Session) -> str:
    if session.is_test:
        return without_block(session.test)
    return session.label if session.test.startswith(session.label) else ""
