"""Counts that need no lock are exact, and a fork leaves no lock held."""

from __future__ import annotations

import subprocess
import sys
import threading
from textwrap import dedent

import pytest

from django_llmcache.counting import FOLDED_AT, Counter, Tally
from django_llmcache.locks import ObjectLock, fork_safe_lock

THREADS, STEPS = 6, 20_000


def together(work):
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture(autouse=True)
def _impatient_threads():
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_a_counter_begins_at_nothing_and_counts_each_step():
    counter = Counter()
    assert counter.value == 0

    for _ in range(3):
        next(counter.steps)
    assert counter.value == 3


def test_looking_at_a_counter_does_not_count():
    counter = Counter()
    next(counter.steps)

    assert [counter.value for _ in range(5)] == [1] * 5


def test_a_counter_loses_no_step_of_any_thread_while_others_look():
    counter, seen = Counter(), []

    def work():
        for number in range(STEPS):
            next(counter.steps)
            if number % 4 == 0:
                seen.append(counter.value)

    together(work)

    assert counter.value == THREADS * STEPS
    assert all(0 < value <= THREADS * STEPS for value in seen)


def add(tally, what, *pair):
    tally.pending.append((what, pair))
    if len(tally.pending) > FOLDED_AT:
        tally.fold()


def test_a_tally_adds_up_by_kind():
    tally = Tally(str.lower)
    assert tally.sums == {}

    for what, *pair in (("a", 5, 1), ("A", 0, 0), ("b", 7, 2)):
        add(tally, what, *pair)
    assert tally.sums == tally.sums == {"a": (2, 6), "b": (1, 9)}


def test_a_tally_loses_nothing_of_any_thread_while_others_look():
    tally = Tally(str.lower)

    def work():
        for number in range(STEPS):
            add(tally, "aA"[number % 2], 1, 2)
            if number % 500 == 0:
                count, total = tally.sums["a"]
                assert total == 3 * count
                assert 0 < count <= THREADS * STEPS

    together(work)

    assert tally.sums == {"a": (THREADS * STEPS, 3 * THREADS * STEPS)}


def said_by(script: str) -> tuple[str, str]:
    """Return what a process of its own writes, and its errors."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, done.stderr


def test_the_lock_may_be_taken_again_by_its_holder():
    lock = fork_safe_lock()

    with lock, lock:
        assert True


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_fork_waits_for_the_holder_and_leaves_the_lock_free_on_both_sides():
    script = dedent("""
        import os, threading
        from django_llmcache.locks import fork_safe_lock

        lock, whole = fork_safe_lock(), [0, 0]
        stop = threading.Event()

        def write():
            while not stop.is_set():
                with lock:
                    whole[0] += 1
                    whole[1] += 1

        thread = threading.Thread(target=write)
        thread.start()
        ends = []
        for _ in range(30):
            pid = os.fork()
            if pid == 0:
                os._exit(0 if whole[0] == whole[1] and lock.acquire(timeout=10) else 1)
            ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stop.set()
        thread.join()
        print(sum(ends), lock.acquire(timeout=10))
    """)
    assert said_by(script) == ("0 True\n", "")


def test_that_of_an_object_may_be_taken_again_by_its_holder():
    lock = ObjectLock()

    with lock, lock:
        assert True


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_child_finds_that_of_an_object_free_whoever_held_it():
    script = dedent("""
        import os, threading
        from django_llmcache.locks import ObjectLock

        lock, held, leave = ObjectLock(), threading.Event(), threading.Event()

        def hold():
            with lock:
                held.set()
                leave.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(30)
        pid = os.fork()
        if pid == 0:
            with lock:
                os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        leave.set()
        thread.join()
    """)
    assert said_by(script) == ("0\n", "")
