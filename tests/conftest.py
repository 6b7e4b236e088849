"""What every test starts from: an empty store, counters at zero, no key of a real provider."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from django_llmcache import backends, telemetry, variables, workers
from django_llmcache.contrib.demo.standin import StandIn
from django_llmcache.sitestats import publisher

# A busy machine is no failure.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory) -> None:
    """Put into a folder of this process, until it has ended, what would be left in the machine's."""
    tmp_path_factory.getbasetemp()  # pytest keeps its own where it was
    tempfile.tempdir = os.environ["TMPDIR"] = _temporary_folder()


def _temporary_folder() -> str:
    folder, maker = tempfile.mkdtemp(prefix="llmcache-tests-"), os.getpid()
    Path(folder).chmod(0o711)  # some tests come as another user

    def remove() -> None:
        if os.getpid() == maker:  # and not one of its forks
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch) -> Iterator[None]:
    """Store nothing yet, count from zero, and see neither a developer's keys nor their settings."""
    backends.empty()
    telemetry.counters.reset()
    monkeypatch.setattr(variables, "_began", {})
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith("LLMCACHE_"):
            monkeypatch.delenv(name)
    yield
    _stop_watching(workers.current())
    if not publisher.asleep:
        publisher.close()
        publisher.begin()


def _stop_watching(channel: workers.Channel) -> None:
    """End the thread that looks for clears: in the next test it would meet what that one patches or counts."""
    if channel._thread is not None:
        channel._stop.set()
        channel._thread.join()
        channel.forked()  # the next call that asks the cache begins another


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    """Return the seconds that this thread slept, without sleeping for them; to be asked for before what arms."""
    import anyio

    seconds: list[float] = []
    thread, sleep, sleep_on_a_loop = threading.current_thread(), time.sleep, asyncio.sleep

    def note(wanted: float) -> None:
        if threading.current_thread() is thread:
            seconds.append(wanted)
        else:
            sleep(wanted)

    async def note_on_a_loop(wanted: float) -> None:
        seconds.append(wanted)
        await sleep_on_a_loop(0)

    monkeypatch.setattr(time, "sleep", note)
    monkeypatch.setattr(asyncio, "sleep", note_on_a_loop)
    monkeypatch.setattr(anyio, "sleep", note_on_a_loop)
    return seconds


@pytest.fixture
def provider() -> Iterator[StandIn]:
    """Return a stand-in provider on loopback that answers at once."""
    with StandIn(latency=0, event_delay=0) as standin:
        yield standin
