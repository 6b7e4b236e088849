"""Fixtures for what processes say to each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from django_llmcache.workers import Channel

from .crew import Crew


@pytest.fixture
def run_dir(tmp_path) -> Path:
    """Return where the folder is to be; it is not there yet."""
    return tmp_path / "run"


@pytest.fixture
def crew(run_dir) -> Iterator[Crew]:
    """Return what starts worker processes on ``run_dir``."""
    crew = Crew(run_dir)
    yield crew
    crew.dismiss()


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Store:
    """What a channel clears and publishes in a test."""

    def __init__(self) -> None:
        self.cleared = []
        self.stats = {"hits": 0}
        self.fault = None

    def apply(self, selector):
        if self.fault is not None:
            raise self.fault
        self.cleared.append(selector)
        return 3


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def channel(run_dir, clock, store) -> Iterator[Channel]:
    """Return this process as a worker on ``run_dir``, without a thread until it polls."""
    channel = Channel(lambda: run_dir, clock=clock)
    channel.connect(apply=store.apply, publish=lambda: dict(store.stats))
    yield channel
    channel.close()
