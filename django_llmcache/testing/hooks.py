"""``unittest`` under Django's runner: every live_api test, class set-ups too, is answered for; no setting needed."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any
from unittest import SkipTest

from django_llmcache import backends
from django_llmcache.recorder.misses import FixtureMiss, ForkedMiss
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Options
from django_llmcache.telemetry import counters

from . import blocks, suites, unheard
from .options import names_of, options_of
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
    if misses and not any(_shows(error, misses) for error in outcome.errors):
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


def on_each_sample(test: unittest.TestCase, session: Session) -> None:
    """Let a test run once on each sample, set up anew for each, and fail by a miss that somebody below it caught."""
    session.functions = names_of(getattr(test, test._testMethodName))
    each: Any = _EachSample(test, session)
    test._callTestMethod = each  # type: ignore[attr-defined]
    if session.options.samples > 1:
        test._callSetUp = each.set_up_first  # type: ignore[attr-defined]


class _EachSample:
    """What a test calls in place of its ``_callTestMethod``. It is nothing to another process, which reports the test.

    Args:
        test: whose method is called.
        session: what answers for the providers meanwhile.
    """

    def __init__(self, test: Any, session: Session) -> None:
        self._test = test
        self._call: Callable[[Any], None] = test._callTestMethod
        self._session = session
        self._before: dict[str, Any] = {}

    def set_up_first(self) -> None:
        """Set the test up, in place of its ``_callSetUp``, and know what it had before: Django's and the runner's."""
        del self._test._callSetUp
        self._before = dict(vars(self._test))
        self._test._callSetUp()

    def __call__(self, method: Any) -> None:
        with telling_misses(lambda: self._session.misses):
            failures = [self._run(method, sample) for sample in range(self._session.options.samples)]
            for failure in filter(None, failures):
                raise failure

    def _run(self, method: Any, sample: int) -> Exception | None:
        """Run the test on one sample; return what it failed by where it is to fail: the others are to be run too."""
        last, failure = self._session.options.samples - 1, None
        with self._session.run(sample), _naming(sample, last):
            if sample > 0:
                _set_up(self._test, self._before)
            try:
                self._call(method)
            except Exception as error:
                if isinstance(error, SkipTest) or not self._is_to_fail(method):
                    raise
                failure = error
            if sample < last:
                _tear_down(self._test)
        return failure

    def _is_to_fail(self, method: Any) -> bool:
        return any(getattr(one, "__unittest_expecting_failure__", False) for one in (self._test, method))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()


@contextmanager
def telling_misses(
    untold: Callable[[], Sequence[FixtureMiss]], failures: tuple[type[BaseException], ...] = (Exception,)
) -> Iterator[None]:
    """Let a test fail by a miss that somebody below it caught, also where it goes on to fail by something else.

    Args:
        untold: return what still has to be told.
        failures: what a test fails by.
    """
    try:
        yield
    except failures as error:
        misses = untold()
        if misses and not _shows(error, misses):
            raise misses[0] from error
        raise
    for miss in untold():
        raise miss


def _shows(error: BaseException | None, misses: Sequence[BaseException]) -> bool:
    """Return whether the traceback of an error has one of the misses in it already, or a child's own error of it."""
    texts = set(map(str, misses))
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if error in misses or (isinstance(error, ForkedMiss) and str(error) in texts):
            return True
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


@contextmanager
def _naming(sample: int, last: int) -> Iterator[None]:
    """Say on which of several samples a test failed."""
    try:
        yield
    except Exception as error:
        if last:
            error.add_note(f"On sample {sample} of {last + 1} (from 0).")
        raise


def _set_up(test: Any, before: Mapping[str, Any]) -> None:
    """Set a test up as Django and unittest do, in their order: what one run wrote, the next doesn't see.

    Args:
        test: as one run has left it, with its own copies of what ``setUpTestData`` made.
        before: the attributes that it is to have.
    """
    vars(test).clear()
    vars(test).update(before)
    if hasattr(test, "_pre_setup"):
        test._pre_setup()
    test._callSetUp()


def _tear_down(test: Any) -> None:
    test._callTearDown()
    test.doCleanups()
    if hasattr(test, "_post_teardown"):
        test._post_teardown()
