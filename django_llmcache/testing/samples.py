"""A test of unittest's that runs once on each of several samples, set up anew for each."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import SkipTest

from django_llmcache.recorder.session import Session

from .caught import telling_misses
from .options import names_of

__unittest = True  # so that a traceback goes on to the test's own line


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
