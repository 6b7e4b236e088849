"""What the environment says to a test run, and said as it began: a test that clears it takes nothing from the run.

Keys of providers are none of it: whether there is one is for the test to say.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

COMMAND_LINE_MODE: Final = "LLMCACHE_COMMAND_LINE_MODE"
"""The variable that hands ``--llmcache-mode`` down to the workers of a test run, however they are started."""

RUN_LOG: Final = "LLMCACHE_RUN_LOG"
"""The variable that names the file in which the processes of a test run say what they did."""

DOCTOR: Final = "LLMCACHE_DOCTOR"
"""The variable that lets the mode of a run go before the modes that its tests name."""

XDIST_WORKER: Final = "PYTEST_XDIST_WORKER"
"""The variable that names the worker of pytest-xdist that a process is."""

_began: Mapping[str, str] = {}


def said(name: str) -> str | None:
    """Return a variable as it is set now, else as it was when the run began; ``None`` when it is unset or empty."""
    value = os.environ.get(name)
    return (_began.get(name) if value is None else value) or None


def begin() -> None:
    """Know from now on what the environment says: a run of tests begins, or a process of one."""
    global _began
    _began = {name: os.environ[name] for name in os.environ if _is_of_a_run(name)}


@contextmanager
def of_a_run() -> Iterator[None]:
    """Begin a run of tests; where it ends, an outer one that a test of it has begun goes on."""
    global _began
    before = _began
    begin()
    try:
        yield
    finally:
        _began = before


def _is_of_a_run(name: str) -> bool:
    return name.startswith("LLMCACHE_") or name in ("CI", XDIST_WORKER)
