"""What the pytest plugin does for tests that are ``live_api``, once Django is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from unittest import SkipTest

import pytest

from django_llmcache.recorder.session import Session

from .live import options_from, options_of
from .sessions import recorded


@contextmanager
def session_for(item: pytest.Item, marker: pytest.Mark) -> Iterator[Session]:
    """Hold the session of a test.

    Raises:
        Skipped: the test cache is off.
        ConfigurationError: an option that cannot work.
    """
    if any(item.iter_markers("vcr")):
        pytest.fail(f"{item.nodeid} is marked both live_api and vcr: two recorders can't answer for one test.")
    options = options_of(getattr(item, "obj", None), getattr(item, "cls", None)) or options_from(**marker.kwargs)
    try:
        manager: AbstractContextManager[Session] = recorded(item.nodeid, options)
        session = manager.__enter__()
    except SkipTest as skip:
        pytest.skip(str(skip))
    try:
        yield session
    finally:
        manager.__exit__(None, None, None)
