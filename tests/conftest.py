"""What every test starts from: an empty store, counters at zero, no key of a real provider."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from django_llmcache import backends, telemetry
from django_llmcache.contrib.demo.standin import StandIn

# A busy machine is no failure.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session")
def temporary_folder(tmp_path_factory) -> str:
    """Return a folder for what would otherwise be left in the machine's own."""
    return str(tmp_path_factory.mktemp("temporary"))


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch, temporary_folder):
    """Store nothing yet, count from zero, leave nothing behind, and see neither a developer's keys nor settings."""
    monkeypatch.setattr(tempfile, "tempdir", temporary_folder)
    monkeypatch.setenv("TMPDIR", temporary_folder)
    backends.empty()
    telemetry.counters.reset()
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith("LLMCACHE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def provider() -> Iterator[StandIn]:
    """Return a stand-in provider on loopback that answers at once."""
    with StandIn(latency=0, event_delay=0) as standin:
        yield standin
