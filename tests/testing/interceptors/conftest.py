"""A recorder over a folder of its own, armed, for clients on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from django_llmcache.recorder import in_force
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import NO_OPTIONS, Mode, Options, Setup
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.testing import interceptors
from django_llmcache.testing.likely_calls import looks_like_call
from tests.transports.loopback import Loopback, whole

from .clients import CLIENTS


class Lab:
    """Records what goes to some hosts, and replays it.

    Attributes:
        hosts: ``host:port`` of each server that is taken for a provider.
        warned: what the user was told.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: list[str] = []
        self.warned: list[str] = []

    def knows(self, *urls: str) -> None:
        """Take servers for providers."""
        self.hosts += [url.partition("://")[2].partition("/")[0] for url in urls]

    @contextmanager
    def _in(self, mode: Mode, options: Options = NO_OPTIONS) -> Iterator[Session]:
        hosts = tuple((host, "openai") for host in self.hosts)
        setup = Setup(FixtureStore(self.folder), mode, hosts, is_call=looks_like_call, warn=self.warned.append)
        session = Session("tests.some_test", setup, options)
        with in_force.holding(session):
            yield session
        session.end(passed=True)

    @contextmanager
    def recording(self, **options) -> Iterator[Session]:
        with self._in(Mode.ONCE, Options(**{"record_errors": True, **options})) as session:
            yield session

    @contextmanager
    def replaying(self, **options) -> Iterator[Session]:
        with self._in(Mode.REPLAY, Options(**options)) as session:
            yield session

    @contextmanager
    def live(self, **options) -> Iterator[Session]:
        with self._in(Mode.LIVE, Options(**options)) as session:
            yield session


@pytest.fixture
def lab(tmp_path) -> Iterator[Lab]:
    """Return a recorder that is armed."""
    with interceptors.armed():
        yield Lab(tmp_path / "fixtures")


@pytest.fixture
def server(lab, request) -> Iterator[Loopback]:
    """Return a provider that answers with ``{}``, or as a test's parameters say."""
    with Loopback(*getattr(request, "param", [whole(b"{}")])) as server:
        lab.knows(server.url)
        yield server


@pytest.fixture(params=[pytest.param(ask, id=name) for name, ask in CLIENTS.items()])
def ask(request):
    """Return each client in turn."""
    return request.param
