"""``unittest`` under Django's runner: every live_api test, class set-ups too, is answered for; no setting needed."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import SkipTest
from unittest.mock import patch
from unittest.suite import TestSuite

from django_llmcache import backends, conf
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import NO_OPTIONS, Options
from django_llmcache.telemetry import counters

from .live import NAME, options_of
from .sessions import recorded
from .setups import under_pytest

_installed = False


def install() -> None:
    """Hook ``TestCase.run`` and the set-up of classes, once. Outside a test run they do what they always did."""
    global _installed
    if _installed:
        return
    _installed = True
    unittest.TestCase.run = _around_run(unittest.TestCase.run)  # type: ignore[method-assign]
    name = "_handleClassSetUp"  # where unittest sets a class up, since 2.7: subclasses that override setUpClass too
    setattr(TestSuite, name, _around_class(getattr(TestSuite, name)))


def wanted(test: unittest.TestCase) -> Options | None:
    """Return the options of a live_api test, ``None`` for any other test."""
    method = getattr(test, test._testMethodName, None)
    decorated = options_of(method, type(test))
    if decorated is not None:
        return decorated
    tags = getattr(method, "tags", set()) | getattr(type(test), "tags", set())
    return NO_OPTIONS if NAME in tags else None


def _at_work() -> bool:
    return conf.under_test_runner() and not under_pytest()


def _around_run(run: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(run)
    def run_recorded(self: unittest.TestCase, result: unittest.TestResult | None = None) -> Any:
        if not _at_work():
            return run(self, result)
        backends.empty()
        counters.reset()
        options = wanted(self)
        if options is None or result is None:
            return run(self, result)
        outcome = _Outcome()
        try:
            with recorded(self.id(), options) as session, outcome.heard_from(result):
                _fail_on_a_miss(self, session)
                run(self, result)
                session.failed = outcome.failed or outcome.skipped
                if outcome.failed:
                    session.misses.clear()  # told already
        except SkipTest as skip:
            result.startTest(self)
            result.addSkip(self, str(skip))
            result.stopTest(self)
        except FixtureMiss:  # in a tearDown, or in another thread meanwhile
            result.addFailure(self, sys.exc_info())
        except Exception:  # a wrong option, or a recording that can't be written: this test's, not the whole run's
            result.addError(self, sys.exc_info())
        return result

    return run_recorded


class _Outcome:
    """What a test tells its result while it runs; in the processes of ``--parallel`` no list of it says so."""

    def __init__(self) -> None:
        self.failed = False
        self.skipped = False

    @contextmanager
    def heard_from(self, result: unittest.TestResult) -> Iterator[None]:
        with ExitStack() as stack:
            for name in ("addError", "addFailure", "addSkip", "addSubTest", "addUnexpectedSuccess"):
                stack.enter_context(patch.object(result, name, self._noting(name, getattr(result, name))))
            yield

    def _noting(self, name: str, tell: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(tell)
        def noting(test: Any, *details: Any) -> Any:
            if name == "addSkip":
                self.skipped = True
            elif name != "addSubTest" or details[-1] is not None:
                self.failed = True
            return tell(test, *details)

        return noting


def _fail_on_a_miss(test: unittest.TestCase, session: Session) -> None:
    """Let a test fail by a miss that somebody below it caught."""
    call: Callable[[Any], None] = test._callTestMethod  # type: ignore[attr-defined]

    def call_and_look(method: Any) -> None:
        call(method)
        if session.misses:
            raise session.misses[0]

    test._callTestMethod = call_and_look  # type: ignore[attr-defined]


def _around_class(set_up: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(set_up)
    def set_up_recorded(self: TestSuite, test: Any, result: unittest.TestResult) -> Any:
        kind = type(test)
        options = options_of(kind) or (NO_OPTIONS if NAME in getattr(kind, "tags", ()) else None)
        begins = kind is not getattr(result, "_previousTestClass", None)
        if options is None or not begins or not _at_work():
            return set_up(self, test, result)
        try:
            with recorded(f"{kind.__module__}.{kind.__qualname__}.setUpClass", options) as session:
                done = set_up(self, test, result)
                session.failed = getattr(kind, "_classSetupFailed", False)
                if session.failed:
                    session.misses.clear()
        except SkipTest as skip:
            kind.__unittest_skip__ = True
            kind.__unittest_skip_why__ = str(skip)
            return set_up(self, test, result)
        return done

    return set_up_recorded
