"""Many threads on one store: nobody reads another's value, and the counts are right at the end."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from textwrap import dedent

import pytest

from django_llmcache.backends import memory
from django_llmcache.backends.memory import MemoryBackend
from django_llmcache.entry import Selector

from .contract import entry_of

SECONDS = 1.0
NAMES = [f"{number:03}" for number in range(120)]


@pytest.fixture(autouse=True)
def _impatient_threads():
    """Let threads take turns as often as they can: what two of them can spoil, they will."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


class Hammer:
    """Uses a backend from several threads for a while, and counts what it did and saw."""

    def __init__(self, backend):
        self.backend = backend
        self.done = Counter()
        self.wrong = []
        self._lock = threading.Lock()

    def run(self, *works, enough=lambda: True):
        self.until, self.enough = time.monotonic() + SECONDS, enough
        threads = [threading.Thread(target=self._work, args=(work, seed)) for seed, work in enumerate(works)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)

    def _goes_on(self):
        now = time.monotonic()
        return now < self.until or (not self.enough() and now < self.until + 60)

    def _work(self, work, seed):
        chance, done = random.Random(seed), Counter()
        try:
            while self._goes_on():
                for _ in range(50):
                    work(chance.choice(NAMES), done)
        except Exception as error:  # a thread's own end is silent
            self.wrong.append(error)
        with self._lock:
            self.done.update(done)

    def read(self, name, done):
        entry = entry_of(name)
        found = self.backend.get(entry.key)
        done["hits" if found else "misses"] += 1
        if found is not None and (found.key != entry.key or not found.body.startswith(entry.body)):
            self.wrong.append((name, found.key, found.body))

    def write(self, name, done):
        entry = entry_of(name, ttl=None)
        body = entry.body + b" " * (done["puts"] % 700)
        done["puts"] += self.backend.put(entry_of(name, body=body, ttl=None))

    def delete(self, name, done):
        done["deleted"] += self.backend.delete(entry_of(name).key)

    def clear(self, name, done):
        if name < "010":
            done["cleared"] += self.backend.clear(Selector(key=entry_of(name).key))

    def look(self, name, done):
        stats = self.backend.stats()
        if stats.entries > self.backend.max_entries or stats.bytes > self.backend.max_bytes:
            self.wrong.append(stats)
        for entry in self.backend.entries():
            if not entry.body.startswith(b'{"answer"'):
                self.wrong.append(entry)


@pytest.mark.parametrize("max_entries", [50, 1_000_000], ids=["one-shard", "many-shards"])
def test_a_value_read_is_the_keys_own_and_the_counts_add_up(max_entries):
    told = Counter()
    lock = threading.Lock()

    def tell(entry, reason):
        with lock:
            told[reason] += 1

    options = {"MAX_ENTRIES": max_entries, "MAX_BYTES": 60 * entry_of("000", body=b" " * 400).size}
    backend = MemoryBackend(options, on_evict=tell)
    hammer = Hammer(backend)
    hammer.run(hammer.read, hammer.read, hammer.write, hammer.write, hammer.delete, hammer.clear, hammer.look)
    backend.close()

    assert hammer.wrong == []
    stats, held = backend.stats(), list(backend.entries())
    assert stats.entries == len(held) == len({entry.key for entry in held})
    assert stats.bytes == sum(entry.size for entry in held)
    assert (stats.hits, stats.misses, stats.puts) == tuple(hammer.done[name] for name in ("hits", "misses", "puts"))
    assert stats.evictions == dict(told)
    assert told["capacity"] > 0
    assert (told["deleted"], told["cleared"]) == (hammer.done["deleted"], hammer.done["cleared"])
    assert stats.errors == 0


def test_a_hit_waits_for_no_writer():
    """A writer that has the lock, and does not get on, stops no reader."""
    backend = MemoryBackend({})
    backend.put(entry_of("a"))
    held, read = threading.Event(), threading.Event()

    def write():
        with memory._lock:
            held.set()
            assert read.wait(60)

    writer = threading.Thread(target=write)
    writer.start()
    assert held.wait(60)
    found = backend.get(entry_of("a").key)
    read.set()
    writer.join(60)

    assert found.key == entry_of("a").key


def test_a_key_that_is_never_removed_is_never_missed():
    """A hand that moves an entry to the back must not hide it from a reader meanwhile."""
    backend = MemoryBackend({"MAX_ENTRIES": 3})
    hammer = Hammer(backend)
    kept = entry_of("kept", ttl=None)
    backend.put(kept)

    def read(name, done):
        if backend.get(kept.key) is None:
            hammer.wrong.append("missed")

    def push(name, done):
        backend.get(kept.key)
        backend.put(entry_of(name, ttl=None))

    hammer.run(read, read, push, enough=lambda: backend.stats().evictions["capacity"] > 1000)
    backend.close()

    assert backend.stats().evictions["capacity"] > 1000
    assert hammer.wrong == []


def test_a_clear_misses_nothing_that_the_hand_is_moving():
    backend = MemoryBackend({"MAX_ENTRIES": 2})
    moving, cleared = threading.Event(), threading.Event()
    pushing = threading.Thread(target=lambda: backend.put(entry_of("new")))

    class Slow(dict):
        def values(self):
            if threading.current_thread() is not pushing and not pushing.ident:
                pushing.start()
                moving.wait(0.2)  # unless it has to wait until the clear has listed what is there
            return super().values()

        def pop(self, key, *default):
            moved = super().pop(key, *default)
            moving.set()
            cleared.wait(0.2)
            return moved

    backend._shards[0] = Slow()
    for name in ("a", "b"):
        backend.put(entry_of(name, tags=frozenset({"old"})))
    backend.get(entry_of("a").key)

    backend.clear(Selector(tag="old"))
    cleared.set()
    pushing.join(60)

    assert [entry.key for entry in backend.entries()] == [entry_of("new").key]
    backend.close()


def test_a_listing_misses_nothing_that_the_hand_is_moving():
    backend = MemoryBackend({"MAX_ENTRIES": 3})
    hammer = Hammer(backend)
    kept = entry_of("kept", ttl=None)
    backend.put(kept)

    def show(name, done):
        if kept.key not in {entry.key for entry in backend.entries()}:
            hammer.wrong.append("missed")

    def push(name, done):
        backend.get(kept.key)
        backend.put(entry_of(name, ttl=None))

    hammer.run(show, push)
    backend.close()

    assert hammer.wrong == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_fork_while_threads_write_leaves_a_child_that_works():
    script = dedent("""
        import faulthandler, os, signal, threading
        from django_llmcache.backends.memory import MemoryBackend
        from django_llmcache.entry import Selector
        from tests.backends.contract import entry_of

        backend = MemoryBackend({"MAX_ENTRIES": 20})
        stop = threading.Event()

        def write():
            while not stop.is_set():
                for number in range(40):
                    backend.put(entry_of(f"{number}"))
                    backend.get(entry_of(f"{number + 1}").key)
                    backend.stats()

        def child():
            signal.alarm(20)  # ends a child that waits for a lock which nobody holds
            assert backend.put(entry_of("mine"))
            assert backend.get(entry_of("mine").key).body == entry_of("mine").body
            held = list(backend.entries())
            stats = backend.stats()
            assert stats.entries == len(held) <= 20
            assert stats.bytes == sum(entry.size for entry in held)
            assert backend.clear(Selector()) == len(held)

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        ends = []
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                try:
                    child()
                except BaseException:
                    faulthandler.dump_traceback()
                    os._exit(1)
                os._exit(0)
            ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stop.set()
        for thread in threads:
            thread.join()
        print(ends == [0] * 20 or ends)
    """)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        # Not measured: coverage takes a lock at each new frame of a thread, and a child may wait for it for ever.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
    )

    assert (done.stdout, done.stderr) == ("True\n", "")
