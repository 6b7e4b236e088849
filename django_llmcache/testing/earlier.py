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
    with _changing:
        if written:
            _recording.add(place)
        elif paths:
            one = _Replayed(place, test, session.setup.store, paths)
            if session.is_test:
                _by_test.append(one)
            else:
                _by_set_ups[test] = one
    if written and not session.is_test:  # it has passed, whatever becomes of the test that it was the first for
        end(passed=True)


def end(*, passed: bool) -> None:
    """End a test: where it has passed, what its recordings go on from is noted.

    Args:
        passed: whether it did; what its blocks have written is gone where it did not.
    """
    with _changing:
        due = []
        if passed and _recording:
            due = [one for one in (*_by_set_ups.values(), *_by_test) if any(map(one.is_before, _recording))]
        for one in due:
            _by_set_ups.pop(one.test, None)
        _by_test.clear()
        _recording.clear()
    for one in due:
        one.note()


def _place_of(session: Session) -> str:
    if session.is_test:
        return without_block(session.test)
    return session.label if session.test.startswith(session.label) else ""
