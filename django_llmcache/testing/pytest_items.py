"""What the pytest plugin does for tests that are ``live_api``, once Django is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any
from unittest import SkipTest, TestCase

import pytest

from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Options

from .hooks import on_each_sample
from .options import NAME, names_of, options_from
from .sessions import recorded


def options_at(node: Any) -> Options | None:
    """Return the options of a test, a class or a module, ``None`` when it is not ``live_api``.

    The nearest word holds, and what a test leaves unsaid its class says, and its module.
    """
    marks = [mark for part in node.listchain() for mark in part.own_markers if mark.name == NAME]
    return options_from(**{name: value for mark in marks for name, value in mark.kwargs.items()}) if marks else None


@contextmanager
def session_for(item: pytest.Item) -> Iterator[Session]:
    """Hold the session of a test.

    Raises:
        Skipped: the test cache is off.
        ConfigurationError: an option that cannot work.
    """
    if any(item.iter_markers("vcr")):
        pytest.fail(f"{item.nodeid} is marked both live_api and vcr: two recorders can't answer for one test.")
    try:
        manager: AbstractContextManager[Session] = recorded(item.nodeid, options_at(item) or Options())
        session = manager.__enter__()
    except SkipTest as skip:
        pytest.skip(str(skip))
    session.functions = names_of(getattr(item, "obj", None))
    try:
        yield session
    finally:
        manager.__exit__(None, None, None)


@contextmanager
def sampled(item: Any, session: Session) -> Iterator[None]:
    """Let a test run once on each sample, where there is more than one."""
    if session.options.samples == 1 or not hasattr(item, "obj"):
        yield
    elif isinstance(getattr(item, "instance", None), TestCase):
        on_each_sample(item.instance, session)
        yield
    else:
        original, item.obj = item.obj, _on_each(item.obj, session)
        try:
            yield
        finally:
            item.obj = original


def _on_each(function: Callable[..., Any], session: Session) -> Callable[..., Any]:
    if iscoroutinefunction(function):

        @wraps(function)
        async def test(*args: Any, **kwargs: Any) -> Any:
            for sample in range(session.options.samples):
                with session.run(sample):
                    await function(*args, **kwargs)
    else:

        @wraps(function)
        def test(*args: Any, **kwargs: Any) -> Any:
            for sample in range(session.options.samples):
                with session.run(sample):
                    function(*args, **kwargs)

    return test
