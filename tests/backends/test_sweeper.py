"""The sweeper is a thread that starts with the first entry, and never outlives what it sweeps."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from queue import SimpleQueue
from textwrap import dedent

import pytest

from django_llmcache.backends.memory import MemoryBackend
from django_llmcache.backends.sweeper import Sweeper, _sweep_until

from .contract import Clock, entry_of

SOON = 10
"""Seconds within which a thread gets its turn on the busiest machine."""


def sweepers():
    return [thread for thread in threading.enumerate() if thread.name == "llmcache-sweeper"]


def run(script):
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(autouse=True)
def _no_other():
    before = set(sweepers())
    yield
    gc.collect()
    for thread in set(sweepers()) - before:
        thread.join(SOON)
    assert set(sweepers()) <= before


class Backend(MemoryBackend):
    """Tells when it was swept."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.swept = threading.Event()

    def sweep(self):
        removed = super().sweep()
        if removed:
            self.swept.set()
        return removed


def test_what_has_expired_goes_without_being_asked_for():
    clock, told = Clock(), []
    backend = Backend(clock=clock, cleanup_interval=0.01, on_evict=lambda entry, reason: told.append(reason))
    backend.put(entry_of("a", ttl=10))
    backend.put(entry_of("b", ttl=None))
    clock.advance(10)

    assert backend.swept.wait(SOON)
    backend.close()
    assert told == ["expired"]
    assert backend.stats().entries == 1


def test_there_is_no_thread_before_something_is_stored():
    before = len(sweepers())
    backend = MemoryBackend()
    backend.get("k")
    backend.put(entry_of(ttl=0))
    assert len(sweepers()) == before

    backend.put(entry_of())
    assert len(sweepers()) == before + 1
    backend.close()


def test_a_store_has_one_thread_however_much_is_put():
    before = len(sweepers())
    backend = MemoryBackend()
    for name in "abc":
        backend.put(entry_of(name))

    assert len(sweepers()) == before + 1
    assert all(thread.daemon for thread in sweepers())
    backend.close()


def test_close_stops_the_thread_and_the_next_put_starts_another():
    backend = MemoryBackend()
    backend.put(entry_of("a"))
    (thread,) = sweepers()[-1:]
    backend.close()
    assert not thread.is_alive()

    backend.put(entry_of("b"))
    assert sweepers()
    backend.close()


def test_the_thread_ends_with_a_backend_that_nobody_holds():
    clock = Clock()
    backend = Backend(clock=clock, cleanup_interval=0.01)
    backend.put(entry_of(ttl=1))
    thread, swept = sweepers()[-1], backend.swept
    clock.advance(1)
    assert swept.wait(SOON)  # it has held the backend once by now
    del backend
    gc.collect()

    thread.join(SOON)
    assert not thread.is_alive()


def test_the_thread_ends_where_the_backend_went_a_moment_before():
    """Between the end of a wait and the look at what there is to sweep."""
    assert _sweep_until(SimpleQueue(), lambda: None, 0.001) is None


def test_a_callback_of_a_sweep_may_close_the_backend():
    """It runs in the sweeper, which cannot wait for its own end."""
    clock, closed = Clock(), threading.Event()

    def close(entry, reason):
        backend.close()
        closed.set()

    backend = MemoryBackend(clock=clock, cleanup_interval=0.01, on_evict=close)
    backend.put(entry_of(ttl=1))
    clock.advance(1)

    assert closed.wait(SOON)


def test_an_interval_longer_than_python_can_wait_is_no_error():
    backend = MemoryBackend(cleanup_interval=1e300)
    backend.put(entry_of())

    assert sweepers()[-1].is_alive()
    backend.close()


def test_a_process_that_can_have_no_thread_stores_all_the_same(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    backend = MemoryBackend()
    with monkeypatch.context() as patch:
        patch.setattr(Sweeper, "start", refuse)
        assert backend.put(entry_of("a"))
    before = len(sweepers())

    assert backend.put(entry_of("b"))
    assert len(sweepers()) == before + 1
    backend.close()


def test_a_process_with_a_sweeper_exits_at_once():
    done = run("""
        from django_llmcache.backends.memory import MemoryBackend
        from tests.backends.contract import entry_of
        backend = MemoryBackend(cleanup_interval=300)
        backend.put(entry_of())
        print("stored")
    """)

    assert (done.returncode, done.stdout, done.stderr) == (0, "stored\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_gets_a_sweeper_of_its_own():
    done = run("""
        import os, threading
        from django_llmcache.backends.memory import MemoryBackend
        from tests.backends.contract import Clock, entry_of
        clock, swept = Clock(), threading.Event()
        backend = MemoryBackend(clock=clock, cleanup_interval=0.01, on_evict=lambda entry, reason: swept.set())
        backend.put(entry_of("parents", ttl=None))
        if os.fork() == 0:
            backend.put(entry_of("childs", ttl=1))
            clock.advance(1)
            os._exit(0 if swept.wait(20) and backend.get(entry_of("parents").key) else 1)
        print("child:", os.waitstatus_to_exitcode(os.wait()[1]))
    """)

    assert (done.stdout, done.stderr) == ("child: 0\n", "")
