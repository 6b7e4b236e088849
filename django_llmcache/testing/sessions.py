"""One test under the recorder: what is set up around it, and what becomes of it afterwards."""

from __future__ import annotations

import warnings
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import SkipTest

from django.core.signals import setting_changed

from django_llmcache import conf
from django_llmcache.recorder import in_force
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import NO_OPTIONS, Mode, Options

from . import blocks, changes, earlier, interceptors, summary, unheard
from .modes import decide
from .placeholders import standing_in
from .setups import refuse_outside_tests, setup_for

STRATEGY = "django_llmcache.strategies.TestStrategy"


class LiveCallWarning(UserWarning):
    """A provider was asked past the recorder."""


@contextmanager
def recorded(
    test: str, options: Options = NO_OPTIONS, *, sample: int = 0, label: str | None = None
) -> Iterator[Session]:
    """Answer for the providers while a test runs; keep what was recorded if it passed.

    An error that leaves a block with a fault is what its test expects: what was recorded goes if that test fails.

    Args:
        test: its id, as the test runner is given it.
        options: what it asks for.
        sample: which of several runs of the test this is.
        label: what a test runner runs it by, where that is not its id; ``""`` for all tests.

    Raises:
        SkipTest: the test cache is off.
        FixtureMiss: at the end, where one was raised inside and somebody caught it.
        ImproperlyConfigured: outside a test run.
    """
    refuse_outside_tests()
    decision = decide(options.mode)
    if decision.skip:
        summary.add_skipped(test, decision.skip)
        raise SkipTest(decision.skip)
    session = Session(test, setup_for(decision.mode), options, sample=sample)
    session.label = test if label is None else label
    passed = False
    with conf.forced(STRATEGY=STRATEGY), standing_in(session), interceptors.armed(), in_force.holding(session):
        try:
            yield session
            passed = not (session.misses or session.failed)
        except (Exception, CancelledError) as error:
            passed = not (session.misses or session.failed) and blocks.is_expected(session)
            # Somebody made another error of it, which the test may expect.
            if session.misses and isinstance(error, Exception) and not isinstance(error, FixtureMiss):
                raise session.misses[0] from error
            raise
        finally:
            _finish(session, passed=passed)
    if session.misses:
        raise session.misses[0]


def _finish(session: Session, *, passed: bool) -> None:
    written: list[Path] = []
    kept = False
    try:
        written = _end(session, passed=passed)
        kept = passed
    finally:
        summary.add(session, written, passed=kept)
    if session.is_test:
        blocks.wrote(session, written)
    if session.mode in (Mode.ONCE, Mode.REFRESH):
        earlier.ended(session, written)
    if session.misses and session.label == (blocks.running_test() or ""):
        unheard.note(session.misses[0])
    if session.gave_up and session.mode is not Mode.LIVE and session.counts["live"]:
        blocks.tell_giving_up(session)


def _end(session: Session, *, passed: bool) -> list[Path]:
    """End a session; return what it has written: nothing where its leaks are errors, as warnings may be."""
    try:
        for leak in session.leaks:
            told = f"{session.filed()} asked a provider past the recorder: {leak}"
            warnings.warn(told, LiveCallWarning, stacklevel=2)
    except LiveCallWarning:
        session.end(passed=False)
        raise
    return session.end(passed=passed)


# After conf's own, which forgets what the settings were.
setting_changed.connect(changes.follow, dispatch_uid="django_llmcache.testing.changes")
