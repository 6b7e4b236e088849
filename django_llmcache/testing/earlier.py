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
        test: what is to be noted.
        store: of the recordings.
        paths: of those at which it is not noted yet.
    """

    place: str
    test: str
    store: FixtureStore
    paths: tuple[Path, ...]

    def is_before(self, place: str) -> bool:
        """Return whether what is recorded at a place may go on from it."""
        return self.place in ("", place) or place.startswith((f"{self.place}.", f"{self.place}::"))

    def note(self) -> None:
        """Note it at the recordings."""
        note_test(self.store, self.paths, self.test)


_changing: Final = fork_safe_lock()
_by_test: Final[list[_Replayed]] = []
"""What the test that is under way and its blocks have replayed."""

_by_set_ups: Final[dict[str, _Replayed]] = {}
"""The same of what tests share, by its id."""

_recording: Final[set[str]] = set()
"""Where something was recorded by the test that is under way."""


def ended(session: Session, written: Collection[Path]) -> None:
    """Take the end of a session of a run that may record.

    Args:
        session: of a test, a block, or a set-up.
        written: what it has recorded.
    """
    place, test = _place_of(session), session.filed()
    paths = tuple(one.path for one in session.replayed if one.path is not None and test not in one.tests)
    due: list[_Replayed] = []
    with _changing:
        if not session.is_test and written:  # it has passed, whatever becomes of the test that it is made for
            due = _taken_before({place})
        elif written:
            _recording.add(place)
        elif paths and session.is_test:
            _by_test.append(_Replayed(place, test, session.setup.store, paths))
        elif paths:
            _by_set_ups[test] = _Replayed(place, test, session.setup.store, paths)
    for one in due:
        one.note()


def end(*, passed: bool) -> None:
    """End a test: where it has passed, what its recordings go on from is noted.

    Args:
        passed: whether it did; what its blocks have written is gone where it did not.
    """
    due: list[_Replayed] = []
    with _changing:
        if passed and _recording:
            due = [one for one in _by_test if any(map(one.is_before, _recording))] + _taken_before(_recording)
        _by_test.clear()
        _recording.clear()
    for one in due:
        one.note()


def _taken_before(places: Collection[str]) -> list[_Replayed]:
    """Take out what set-ups have replayed that is before one of some places."""
    found = [one for one in _by_set_ups.values() if any(map(one.is_before, places))]
    for one in found:
        del _by_set_ups[one.test]
    return found


def _place_of(session: Session) -> str:
    if session.is_test:
        return without_block(session.test)
    return session.label if session.test.startswith(session.label) else ""
