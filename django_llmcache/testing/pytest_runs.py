"""One run of pytest, of all its processes: what is gathered, and what is said at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pytest

from . import doctor, summary, unused
from .options import NAME

NARROWING: Final = {
    "keyword": "-k", "lf": "--lf", "stepwise": "--stepwise", "ignore": "--ignore", "ignore_glob": "--ignore-glob",
    "deselect": "--deselect", "collectonly": "--collect-only", "setuponly": "--setup-only",
    "setupplan": "--setup-plan", "override_ini": "-o", "inifilename": "-c", "rootdir": "--rootdir",
    "noconftest": "--noconftest", "confcutdir": "--confcutdir", "pyargs": "--pyargs",
}  # fmt: skip
"""Options that leave tests out, or may."""


@contextmanager
def run_of(config: pytest.Config) -> Iterator[None]:
    """Gather what the tests of a run do with providers."""
    with summary.of_a_run():
        if not hasattr(config, "workerinput"):
            unused.begin(narrowed(config))
        yield


def examined(config: pytest.Config) -> int | None:
    """Let the doctor run the tests of a command line; return its exit code, ``None`` where it has started the run."""
    if not doctor.is_asked(config.getoption(doctor.OPTION)):
        return None
    words = ["-m", "pytest", *config.invocation_params.args]
    return doctor.examine(words, config.args, print)


def lines_of(config: pytest.Config, *, passed: bool, skipped: Sequence[Any]) -> list[str]:
    """Return what to say at the end; fixtures are called unused only where every live_api test ran, and passed.

    Args:
        config: of the run.
        passed: whether all of it did.
        skipped: reports of what was skipped.
    """
    failed = None if passed else "a test failed, or the run was stopped"
    if any(isinstance(report, pytest.CollectReport) for report in skipped):
        failed = failed or "a whole file was skipped"
    return [*summary.lines(unused.end(failed, config.rootpath)), *summary.skipped_lines()]


def narrowed(config: pytest.Config) -> str | None:
    """Return why a run is not of all tests, or of all that are ``live_api``; ``None`` where nothing says so."""
    for name, flag in NARROWING.items():
        if getattr(config.option, name, None):
            return f"{flag} was given"
    if config.option.markexpr not in ("", NAME):
        return "-m was given"
    source, sources = config.args_source, pytest.Config.ArgsSource
    if source is sources.ARGS and config.args != config.getini("testpaths"):
        return "some tests were named"
    if config.invocation_params.dir != config.rootpath:
        return f"it did not run in {config.rootpath}"
    return unused.elsewhere(config.rootpath)
