"""``unittest`` under Django's runner: every live_api test, class set-ups too, is answered for; no setting needed."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from unittest import SkipTest

from django_llmcache import backends, variables
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.setup import Options
from django_llmcache.telemetry import counters

from . import blocks, suites, unheard
from .caught import shows
from .options import options_of
from .samples import on_each_sample
from .sessions import recorded
from .setups import under_django

__unittest = True  # so that a traceback goes on to the test's own line
_HEARD = ("addError", "addFailure", "addSkip", "addSubTest", "addUnexpectedSuccess")

_installed = False


def install() -> None:
    """Hook ``TestCase.run`` and the set-up of classes, once. Outside a test run they do what they always did."""
    global _installed
    if _installed:
        return
    _installed = True
    variables.begin()  # where a runner other than ours does not
    unittest.TestCase.run = _around_run(unittest.TestCase.run)  # type: ignore[method-assign]
    suites.install()


def wanted(test: unittest.TestCase) -> Options | None:
    """Return the options of a live_api test, ``None`` for any other test."""
    return options_of(type(test), test._testMethodName)


def _around_run(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def run_recorded(self: unittest.TestCase, result: unittest.TestResult | None = None) -> Any:
        if not under_django():
            return run(self, result)
        backends.empty()
        counters.reset()
        if result is None:
            return run(self, result)
        options, outcome = wanted(self), _Outcome()
        with blocks.running(self.id()):
            with outcome.heard_from(result):
                if options is None:
                    run(self, result)
                else:
                    _run(run, self, result, options, outcome)
                _tell_unheard(self, result, outcome)
            blocks.end(passed=outcome.passed, gave_up=outcome.gave_up)
        return result

    return run_recorded


def _run(
    run: Callable[..., Any], test: unittest.TestCase, result: unittest.TestResult, options: Options, outcome: _Outcome
) -> None:
    try:
        with recorded(test.id(), options) as session:
            on_each_sample(test, session)
            run(test, result)
            session.failed = not outcome.passed
            session.gave_up = outcome.gave_up
            if outcome.failed:
                session.misses.clear()  # told already
    except SkipTest as skip:
        result.startTest(test)
        result.addSkip(test, str(skip))
        result.stopTest(test)
    except FixtureMiss:  # in a tearDown, in another thread meanwhile, or where the test was expected to fail
        result.addFailure(test, sys.exc_info())
    except Exception:  # a wrong option, or a recording that can't be written: this test's, not the whole run's
        result.addError(test, sys.exc_info())


def _tell_unheard(test: unittest.TestCase, result: unittest.TestResult, outcome: _Outcome) -> None:
    """Let a test fail by what a block of it asked for in vain in a thread, or a task, unless it shows it already."""
    misses = unheard.misses_at_end()
    if misses and not any(shows(error, misses) for error in outcome.errors):
        try:
            raise misses[0]
        except FixtureMiss:
            result.addFailure(test, sys.exc_info())


class _Outcome:
    """What a test tells its result while it runs; in the processes of ``--parallel`` no list of it says so."""

    def __init__(self) -> None:
        self.failed = False
        self.skipped = False
        self.errors: list[BaseException] = []

    @property
    def passed(self) -> bool:
        """Return whether it came to the end that it was to have: it passed, or failed as it was expected to."""
        return not (self.failed or self.skipped)

    @property
    def gave_up(self) -> bool:
        """Return whether it skipped half way."""
        return self.skipped and not self.failed

    @contextmanager
    def heard_from(self, result: unittest.TestResult) -> Iterator[None]:
        own = {name: vars(result)[name] for name in _HEARD if name in vars(result)}
        for name in _HEARD:
            setattr(result, name, _Noting(self, name, getattr(result, name)))
        try:
            yield
        finally:
            for name in _HEARD:
                delattr(result, name)
            vars(result).update(own)

    def note(self, name: str, details: tuple[Any, ...]) -> None:
        """Take in what a result was told."""
        if name == "addSkip":
            self.skipped = True
        elif name != "addSubTest" or details[-1] is not None:
            self.failed = True
            self.errors += [each[1] for each in details if isinstance(each, tuple)]


class _Noting:
    """A method of a result that is noted. It is nothing to another process: Django looks whether tests can be sent."""

    def __init__(self, outcome: _Outcome, name: str, tell: Callable[..., Any]) -> None:
        self._outcome = outcome
        self._name = name
        self._tell = tell

    def __call__(self, test: Any, *details: Any) -> Any:
        self._outcome.note(self._name, details)
        return self._tell(test, *details)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()
