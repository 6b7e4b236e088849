"""One run of pytest, of all its processes: what is gathered, and what is said at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from . import summary
from .options import NAME
from .setups import running_pytest
from .unused import full_run, unused_fixtures


@contextmanager
def run_of(config: pytest.Config) -> Iterator[None]:
    """Gather what the tests of a run do with providers."""
    running_pytest()
    with summary.of_a_run():
        if is_full(config) and not hasattr(config, "workerinput"):
            full_run().start()
        yield


def lines_of(config: pytest.Config, *, passed: bool) -> list[str]:
    """Return what to say at the end; fixtures are called unused only where every test ran, and passed."""
    if not (passed and is_full(config)):
        return summary.lines()
    full_run().finish()
    return summary.lines(unused_fixtures())


def is_full(config: pytest.Config) -> bool:
    """Return whether a run is of all tests, or of all that are ``live_api``."""
    option = config.option
    narrowed = (
        option.keyword
        or option.markexpr not in ("", NAME)
        or getattr(option, "lf", False)
        or getattr(option, "stepwise", False)
        or option.ignore
        or option.deselect
    )
    testpaths = config.getini("testpaths")
    everything = config.args_source is not pytest.Config.ArgsSource.ARGS or config.args == testpaths
    return bool(everything and not narrowed)
