"""What the pytest plugin does for tests that are ``live_api``, once Django is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from traceback import walk_tb
from types import CodeType
from typing import Any, Final
from unittest import SkipTest, TestCase

import pytest

from django_llmcache.exceptions import ConfigurationError
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import NO_OPTIONS, Options

from . import summary, unheard
from .caught import telling_misses
from .changes import of_class
from .interceptors.callers import is_installed
from .levels import SetUpMissError
from .options import KNOWN, NAME, names_of, options_from
from .plugin import SAMPLE
from .samples import on_each_sample
from .sessions import recorded

_PACKAGE: Final = Path(__file__).parents[1]


def options_at(node: Any) -> Options | None:
    """Return the options of a test, a class or a module, ``None`` when it is not ``live_api``.

    The nearest word holds, and what a test leaves unsaid its class says, and its module.
    """
    marks = [mark for part in node.listchain() for mark in part.own_markers if mark.name == NAME]
    for mark in marks:
        if mark.args:
            raise ConfigurationError(
                f"live_api is given {mark.args[0]!r} without a name; its options are {', '.join(KNOWN)}."
            )
    return options_from(**{name: value for mark in marks for name, value in mark.kwargs.items()}) if marks else None


def _sample_of(item: Any) -> int:
    params: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    return int(params.get(SAMPLE, 0))


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
        manager: AbstractContextManager[Session] = recorded(
            item.nodeid, options_at(item) or NO_OPTIONS, sample=_sample_of(item)
        )
        with of_class(getattr(item, "cls", None)):
            session = manager.__enter__()
    except SkipTest as skip:
        raise pytest.skip.Exception(str(skip), _use_item_location=True) from None  # it is the test's, as of a mark
    session.functions = names_of(getattr(item, "obj", None))
    try:
        yield session
    finally:
        manager.__exit__(None, None, None)


def samples_of(definition: Any) -> int:
    """Return on how many samples a function is to run: as many tests, each with what its fixtures give it anew."""
    with suppress(ConfigurationError):  # the test itself tells of it
        return (options_at(definition) or NO_OPTIONS).samples
    return 1


@contextmanager
def watched(item: Any, session: Session | None) -> Iterator[None]:
    """Let a test fail by a miss that somebody below it caught; one of unittest's runs once on each sample.

    Args:
        item: the test.
        session: what answers for the providers, ``None`` where there are blocks at most.
    """
    failures = (Exception, pytest.fail.Exception)
    if session is not None and isinstance(getattr(item, "instance", None), TestCase):
        on_each_sample(item.instance, session)
    with (
        telling_misses(unheard.misses_at_end, failures),
        telling_misses(lambda: session.misses if session is not None else (), failures),
    ):
        yield


def fail_by(miss: BaseException, item: pytest.Item, call: pytest.CallInfo[None], report: Any) -> None:
    """Let a test that skips, or was expected to fail, fail by a miss, unless it says that this is what it fails by."""
    if _expects(item, miss):
        return
    if call.excinfo is None or call.excinfo.value is not miss:
        report.longrepr = str(miss)
    report.outcome = "failed"
    vars(report).pop("wasxfail", None)


def _expects(item: pytest.Item, miss: BaseException) -> bool:
    named = [mark.kwargs.get("raises") or () for mark in item.iter_markers("xfail")]
    return any(isinstance(kinds, type | tuple) and isinstance(miss, kinds) for kinds in named)


def end_where_asked(error: BaseException, root: Path) -> None:
    """Let pytest show of a miss no more than the way to the project's last line: what asked, and then the message.

    The frames of the HTTP library and of this package are hidden; ``--full-trace`` shows them all the same.

    Args:
        error: what a test failed by; any but a miss is left as it is.
        root: the project's folder.
    """
    if not isinstance(error, FixtureMiss | SetUpMissError):
        return
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    if not any(is_within(root, frame.f_code) for frame in frames):
        return  # of a thread that ran none of its own
    while not is_within(root, frames[-1].f_code):
        frames.pop().f_locals["__tracebackhide__"] = True


def note_stopped(item: pytest.Item, error: BaseException) -> None:
    """Let a live_api test count as failed on a miss where what it shares with others could not be set up for one."""
    if isinstance(error, SetUpMissError):
        summary.add_stopped(item.nodeid)


def is_within(root: Path, code: CodeType) -> bool:
    """Return whether code is the project's own, and of nothing that is installed in its folder."""
    path = Path(code.co_filename)
    return path.is_relative_to(root) and not (is_installed(path) or path.is_relative_to(_PACKAGE))
