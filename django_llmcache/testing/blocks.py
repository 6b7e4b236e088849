"""The test that is under way, and the blocks in it: each has recordings of its own, which go where the test fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django_llmcache.recorder.in_force import current
from django_llmcache.recorder.session import Session

from . import earlier, placeholders, summary, unheard
from .setups import phase_of_pytest, under_pytest

_running: str | None = None
_last: tuple[str | None, int] = (None, 0)
_written: list[tuple[Session, Path]] = []


def running_test() -> str | None:
    """Return what the test runner runs the test by that is under way, ``None`` where none is, or is known."""
    if not under_pytest():
        return _running
    phase = phase_of_pytest()
    return phase and phase[0]


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
    """Begin a test, or one more try at it, with no made-up key that one before has put back."""
    global _last
    placeholders.take_back()
    _last = (None, 0)
    _written.clear()
    unheard.begin()


def wrote(session: Session, paths: Iterable[Path]) -> None:
    """Note what a block of the test that is under way has written; one of what it is given may be for others too."""
    if _is_called():
        _written.extend((session, path) for path in paths)


def is_expected(session: Session) -> bool:
    """Return whether an error that leaves a session is what its test expects, which decides by how it ends.

    So it is with a fault in a block. An error without one may make the test try again, and ask anew.
    """
    return session.options.fault is not None and session.label == running_test() and _is_called()


def end(*, passed: bool, gave_up: bool) -> None:
    """Take back what the blocks have written, unless the test has passed.

    It is written as soon as a block ends, since the next one may ask the same, and nobody pays twice.

    Args:
        passed: whether it did.
        gave_up: whether it did not, and that is no failure to the runner.
    """
    earlier.end(passed=passed)
    written = _written.copy()
    _written.clear()
    if passed or not written:
        return
    for session, path in written:
        session.setup.store.delete([path])
    summary.take_back(path for _, path in written)
    if gave_up:
        tell_giving_up(written[0][0])


def tell_giving_up(session: Session) -> None:
    """Warn of a test of which nothing is kept, though it does not count as failed."""
    session.setup.warn(
        f"{session.filed()} asks a provider anew in every run, as nothing is kept of a test that skips half way; skip "
        "it before it asks"
    )


def _is_called() -> bool:
    """Return whether the test itself is at work, and not what sets it up."""
    if not under_pytest():
        return _running is not None
    phase = phase_of_pytest()
    return phase is not None and phase[1] == "call"
