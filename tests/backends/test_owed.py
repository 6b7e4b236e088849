"""What changed is cleared by whoever gets to it first, and served by nobody of the process meanwhile."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache.backends import payer
from django_llmcache.backends.base import groups_of
from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.backends.generations import key_of_group
from django_llmcache.backends.sweeper import Sweeper
from django_llmcache.backends.tiered import TieredBackend
from django_llmcache.exceptions import BackendUnavailableError
from tests import stores

from .contract import Clock, entry_of
from .test_faults import comes_true

CHANGED = entry_of("changed", tags=frozenset({"a", "b", "c"}))
OTHER = entry_of("other", tags=frozenset({"d"}))
STAMPS = {key_of_group(f"t:{tag}"): tag for tag in "abcd"}

ways = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["shared", "tiered"])
def backend(request, tmp_path, clock):
    """Return a backend over a Redis that has two answers."""
    options = {"ALIAS": "llm", **stores.PATIENT}
    alias = stores.alias_for("redis", tmp_path)
    with override_settings(CACHES={"default": caches.settings["default"], "llm": alias}):
        if request.param == "shared":
            made = DjangoCacheBackend(options, clock=clock)
        else:
            made = TieredBackend(options, clock=clock, wall_clock=clock)
        made.put(CHANGED)
        made.put(OTHER)
        yield made
        made.close()


@pytest.fixture
def shared(backend):
    """Return what has the store."""
    return getattr(backend, "far", backend)


@pytest.fixture
def moved(shared, monkeypatch):
    """Return a list of the tags whose stamps are replaced, one after the other."""
    listed, write = [], shared._store.write

    def note(key, *args):
        write(key, *args)
        if key in STAMPS:
            listed.append(STAMPS[key])

    monkeypatch.setattr(shared._store, "write", note)
    return listed


@contextmanager
def away(shared):
    """Let the store fail."""
    read, shared._store.read = shared._store.read, lambda keys: 1 / 0
    try:
        yield
    finally:
        shared._store.read = read
        shared.breaker.succeed()


def owe(backend, shared, tags="abc"):
    """Let tags change while the store is away, and nobody try again by himself."""
    with pytest.MonkeyPatch.context() as patch, away(shared):
        patch.setattr(payer, "EVERY", 3600)
        with pytest.raises(BackendUnavailableError):
            backend.expire(tags)


def has(backend, entry, *, is_async=False, named=True):
    groups = groups_of(entry.scope, entry.tags) if named else ()
    found = asyncio.run(backend.afind(entry.key, groups)) if is_async else backend.find(entry.key, groups)
    return found.entry is not None


def while_clearing(backend, shared, work):
    """Clear what has changed, and do something just before the first stamp is replaced."""
    write, done = shared._store.write, []

    def work_and_write(key, *args):
        if key in STAMPS and not done:
            done.append(None)
            done[0] = work()
        write(key, *args)

    shared._store.write = work_and_write
    try:
        backend.expire("abc")
    finally:
        shared._store.write = write
    return done[0]


class TestWhileMuchIsCleared:
    @ways
    def test_who_looks_something_else_up_clears_nothing(self, backend, shared, moved, is_async):
        found = while_clearing(backend, shared, lambda: (has(backend, OTHER, is_async=is_async), moved.copy()))

        assert found == (True, [])

    @ways
    @pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
    def test_who_looks_up_what_has_changed_finds_nothing(self, backend, shared, named, is_async):
        assert not while_clearing(backend, shared, lambda: has(backend, CHANGED, named=named, is_async=is_async))

    def test_what_is_asked_for_then_is_kept(self, backend, shared):
        def ask():
            groups = groups_of(CHANGED.scope, {"c"})
            return backend.put(entry_of("new", tags=frozenset({"c"})), backend.find("new", groups).mark)

        assert while_clearing(backend, shared, ask)

    @pytest.mark.parametrize("backend", ["tiered"], indirect=True)
    def test_nothing_is_at_hand_that_was_cleared_before_the_rest(self, backend, shared, clock, monkeypatch):
        monkeypatch.setattr(payer, "AT_A_TIME", 1)
        write, seen = shared._store.write, []

        def look_and_write(key, *args):
            if key in STAMPS:
                clock.advance(0.01)
                backend.put(entry_of("new", tags=CHANGED.tags))  # and learns which stamps are in force
                seen.append(backend.at_hand(CHANGED.key))
            write(key, *args)

        assert backend.at_hand(CHANGED.key) is not None
        monkeypatch.setattr(shared._store, "write", look_and_write)
        backend.expire("abc")

        assert seen == [None, None, None]


class TestWhatCouldNotBeCleared:
    @ways
    def test_who_looks_something_else_up_does_not_wait_for_it(self, backend, shared, moved, is_async):
        owe(backend, shared)

        assert has(backend, OTHER, is_async=is_async)
        assert moved == []

    @ways
    @pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
    def test_who_looks_it_up_clears_it(self, backend, shared, moved, named, is_async):
        owe(backend, shared)

        assert not has(backend, CHANGED, named=named, is_async=is_async)
        assert sorted(moved) == ["a", "b", "c"]
        assert not shared.owed

    def test_many_who_look_it_up_at_once_clear_it_once(self, backend, shared, moved):
        owe(backend, shared)
        together = threading.Barrier(8)

        def work(_):
            together.wait()
            return has(backend, CHANGED)

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(work, range(8)))

        assert found == [False] * 8
        assert sorted(moved) == ["a", "b", "c"]

    def test_what_was_cleared_before_a_failure_is_not_cleared_again(self, backend, shared, monkeypatch):
        monkeypatch.setattr(payer, "AT_A_TIME", 1)
        monkeypatch.setattr(payer, "EVERY", 3600)
        read, name = shared._store.read, key_of_group("t:b")
        monkeypatch.setattr(shared._store, "read", lambda keys: 1 / 0 if name in keys else read(keys))
        with pytest.raises(BackendUnavailableError):
            backend.expire("abc")

        assert sorted(shared.owed.changes) == ["b", "c"]

    def test_it_is_cleared_too_where_a_worker_was_told_to_stop_meanwhile(self, backend, shared, monkeypatch):
        monkeypatch.setattr(payer, "EVERY", 0.01)
        with monkeypatch.context() as patch:
            patch.setattr(shared._store, "read", lambda keys: sys.exit())
            with pytest.raises(SystemExit):
                backend.expire("abc")

        assert comes_true(lambda: not shared.owed)

    @pytest.mark.parametrize("backend", ["tiered"], indirect=True)
    def test_nothing_is_at_hand_once_everything_was_cleared_in_its_place(self, backend, shared, monkeypatch):
        monkeypatch.setattr(payer, "MOST", 1)
        owe(backend, shared)
        backend.put(OTHER)
        shared.payer.sweep()

        assert not shared.owed
        assert backend.at_hand(OTHER.key) is None

    def test_where_no_thread_is_to_be_had_any_look_up_clears_it(self, backend, shared, moved, monkeypatch):
        def refuse(self):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(Sweeper, "start", refuse)
        owe(backend, shared)

        has(backend, entry_of("another"))
        assert sorted(moved) == ["a", "b", "c"]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_child_clears_it_as_well(self, backend, shared, monkeypatch):
        owe(backend, shared)
        monkeypatch.setattr(payer, "EVERY", 0.01)
        with shared.payer._turn:  # a thread clears something at this moment
            child = os.fork()
            if child == 0:
                threading.Timer(20, os._exit, (1,)).start()
                backend.find(OTHER.key)
                os._exit(has(backend, CHANGED) or not comes_true(lambda: not shared.owed))

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
