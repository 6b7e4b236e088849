"""The set-up and tear-down of classes and modules under Django's runner: nobody is asked past the recorder."""

from __future__ import annotations

import sys
import unittest
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from types import ModuleType
from typing import Any
from unittest import TestLoader, TestResult
from unittest.mock import patch
from unittest.suite import TestSuite
from unittest.util import strclass

from django_llmcache.recorder.misses import FixtureMiss

from . import unheard
from .levels import Hold, Level, missing_as_error
from .options import options_from, options_of, words_of
from .setups import refuse_outside_tests, under_django, under_pytest

Handler = Callable[..., Any]


def install() -> None:
    """Hook where unittest sets classes and modules up, since 2.7: subclasses with a ``setUpClass`` of their own too."""
    for name, around in (
        ("_handleClassSetUp", _class_set_up),
        ("_tearDownPreviousClass", _class_torn_down),
        ("_handleModuleFixture", _module_set_up),
        ("_handleModuleTearDown", _module_torn_down),
    ):
        setattr(TestSuite, name, around(getattr(TestSuite, name)))


def level_of(kind: type) -> tuple[Level | None, bool]:
    """Return what a class is set up under, and whether all of its tests are live_api.

    A class without such tests, in a module that has some, is answered for where those are.
    """
    options = [options_of(kind, name) for name in TestLoader().getTestCaseNames(kind)]
    live = [each for each in options if each is not None]
    if live:
        words = words_of(kind)
        own = None if words is None else options_from(**words)
        return Level(strclass(kind), live, own, kind=kind), len(live) == len(options)
    module = level_of_module(kind.__module__, kind)
    return (None if module is None or module.off else module._replace(label=strclass(kind), kind=kind)), False


def level_of_module(name: str, *kinds: type) -> Level | None:
    """Return what a module is set up under, ``None`` where it has no live_api test.

    Args:
        name: of the module.
        kinds: classes of it that may not be at its top.
    """
    found = [*kinds, *vars(sys.modules.get(name, object)).values()]
    classes = {kind for kind in found if _is_tests(kind) and kind.__module__ == name}
    options = [options_of(kind, test) for kind in classes for test in TestLoader().getTestCaseNames(kind)]
    live = [each for each in options if each is not None]
    return Level(name, live) if live else None


def _is_tests(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, unittest.TestCase)


def _class_set_up(handle: Handler) -> Handler:
    @wraps(handle)
    def set_up(self: TestSuite, test: Any, result: TestResult) -> Any:
        kind = type(test)
        begins = kind is not getattr(result, "_previousTestClass", None)
        if not (begins and _is_tests(kind)) or under_pytest():
            return handle(self, test, result)
        if not under_django():
            if words_of(kind) is None:
                return handle(self, test, result)
            with patch.object(kind, "setUpClass", refuse_outside_tests):
                return handle(self, test, result)
        with _listening(self, result, "setUpClass", strclass(kind)), ExitStack() as stack:
            level, whole = level_of(kind)
            if level is not None and whole and level.off:
                _skip(kind, level.off)
            elif level is not None:
                held = _held(level, kind, "setUpClass", "tearDownClass")
                stack.enter_context(patch.object(kind, "setUpClass", held))
            else:
                stack.enter_context(_missing_as_errors(kind, "setUpClass", "setUpTestData"))
            return handle(self, test, result)

    return set_up


def _skip(kind: Any, why: str) -> None:
    """Let each test of a class be skipped, and the class not be set up; until it ends, since subclasses may run."""
    if not getattr(kind, "__unittest_skip__", False):
        kind.__unittest_skip__, kind.__unittest_skip_why__, kind.__llmcache_skipped__ = True, why, True


def _unskip(kind: Any) -> None:
    if "__llmcache_skipped__" in vars(kind):
        del kind.__unittest_skip__, kind.__unittest_skip_why__, kind.__llmcache_skipped__


def _held(level: Level, owner: Any, name: str, undo: str) -> Callable[[], None]:
    """Return what sets a class or a module up under the recorder; what is left half done is undone."""
    original = getattr(owner, name)

    @wraps(original)
    def set_up() -> None:
        done = False
        try:
            with level.held("set-up") as hold, ExitStack() as stack:
                if hasattr(owner, "setUpTestData"):  # Django takes back what it began for an ordinary error alone
                    stack.enter_context(patch.object(owner, "setUpTestData", hold.telling(owner.setUpTestData)))
                try:
                    original()
                except BaseException:
                    _clean_up(owner, hold)
                    raise
                done = True
        except Exception:
            if done:  # set up, and still wrong: unittest would not tear it down
                getattr(owner, undo, _nothing)()
            raise

    return set_up


def _clean_up(owner: Any, hold: Hold) -> None:
    """Clean up after a class that could not be set up: unittest does so later, when nobody answers any more."""
    if _is_tests(owner):
        hold.tell_clean_ups(owner)
        owner.doClassCleanups()


def _class_torn_down(handle: Handler) -> Handler:
    @wraps(handle)
    def tear_down(self: TestSuite, test: Any, result: TestResult) -> None:
        kind: Any = getattr(result, "_previousTestClass", None)
        if kind is None or kind is type(test) or not _is_tests(kind) or not under_django():
            handle(self, test, result)
            return
        level, _ = level_of(kind)
        try:
            with _listening(self, result, "tearDownClass", strclass(kind)):
                if level is None or getattr(kind, "__unittest_skip__", False):
                    with _missing_as_errors(kind, "tearDownClass"):
                        handle(self, test, result)
                    return
                with (
                    _reported(self, result, "tearDownClass", strclass(kind)),
                    level.held("tear-down") as hold,
                    patch.object(kind, "tearDownClass", hold.telling(kind.tearDownClass)),
                ):
                    hold.tell_clean_ups(kind)
                    handle(self, test, result)
        finally:
            _unskip(kind)

    return tear_down


def _module_set_up(handle: Handler) -> Handler:
    @wraps(handle)
    def set_up(self: TestSuite, test: Any, result: TestResult) -> Any:
        name = type(test).__module__
        module = _beginning(self, name, result)
        if module is None:
            return handle(self, test, result)
        with _listening(self, result, "setUpModule", name), ExitStack() as stack:
            level = level_of_module(name, type(test))
            if level is not None:
                act = _nothing if _is_idle(module) else _held(level, module, "setUpModule", "tearDownModule")
                stack.enter_context(patch.object(module, "setUpModule", act))
            else:
                stack.enter_context(_missing_as_errors(module, "setUpModule"))
            return handle(self, test, result)

    return set_up


def _beginning(suite: Any, name: str, result: TestResult) -> ModuleType | None:
    """Return the module that is set up now, ``None`` where there is nothing to do."""
    module = sys.modules.get(name)
    begins = under_django() and suite._get_previous_module(result) != name
    return module if begins and hasattr(module, "setUpModule") else None


def _is_idle(module: ModuleType) -> bool:
    """Return whether a module is not set up at all: each of its tests is live_api and skipped."""
    classes = [kind for kind in vars(module).values() if _is_tests(kind) and kind.__module__ == module.__name__]
    return all(level is not None and whole and level.off for level, whole in map(level_of, classes))


def _module_torn_down(handle: Handler) -> Handler:
    @wraps(handle)
    def tear_down(self: Any, result: TestResult) -> None:
        name = self._get_previous_module(result)
        module = sys.modules.get(name) if name and under_django() else None
        if module is None:
            handle(self, result)
            return
        level = level_of_module(name)
        with _listening(self, result, "tearDownModule", name):
            if level is None:
                with _missing_as_errors(module, "tearDownModule"):
                    handle(self, result)
                return
            original = getattr(module, "tearDownModule", _nothing)
            with _reported(self, result, "tearDownModule", name), level.held("tear-down") as hold:
                act = _nothing if _is_idle(module) else hold.telling(original)
                with patch.object(module, "tearDownModule", act, create=True):
                    handle(self, result)

    return tear_down


@contextmanager
def _listening(suite: Any, result: TestResult, name: str, parent: str) -> Iterator[None]:
    """Let the miss of a block in it that nobody hears of be an error of what tests share; they run all the same."""
    unheard.begin()
    yield
    misses = unheard.misses_at_end()
    unheard.forget()
    if misses:
        try:
            raise misses[0]
        except FixtureMiss as miss:
            suite._createClassOrModuleLevelException(result, miss, name, parent)


@contextmanager
def _missing_as_errors(owner: Any, *names: str) -> Iterator[None]:
    """Let a miss of a block in these functions be an ordinary error: after any other unittest ends the whole run."""
    with ExitStack() as stack:
        for name in names:
            if hasattr(owner, name):
                stack.enter_context(patch.object(owner, name, missing_as_error(getattr(owner, name))))
        if _is_tests(owner):
            owner._class_cleanups[:] = [(missing_as_error(act), *said) for act, *said in owner._class_cleanups]
        yield


@contextmanager
def _reported(suite: Any, result: TestResult, name: str, parent: str) -> Iterator[None]:
    """Let an error in a tear-down be that class's or that module's, not the whole run's."""
    try:
        yield
    except Exception as error:
        suite._createClassOrModuleLevelException(result, error, name, parent)


def _nothing() -> None:
    pass
