"""A clear that is said to have worked has, whatever others do meanwhile, and however little the store says."""

from __future__ import annotations

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import LLMRequest, backends, cache, policy, workers
from django_llmcache.backends import stamping
from django_llmcache.backends.base import groups_of
from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.backends.generations import LEDGER, PREFIX, key_of_group
from django_llmcache.backends.stores import Deadlines, alias_of, store_of
from django_llmcache.entry import Selector
from django_llmcache.exceptions import LLMCacheError
from tests import stores

from .contract import entry_of

BACKEND = "django_llmcache.backends.django_cache.DjangoCacheBackend"
ANSWER = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
REQUEST = LLMRequest("openai", payload={"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
ENTRY = entry_of(provider="openai", tags=frozenset({"doc"}))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Wait for nobody's lock."""
    monkeypatch.setattr(stamping, "_LEDGER_PAUSE", 0)


def chosen():
    return {"BACKEND": BACKEND, "OPTIONS": {"ALIAS": "llm", **stores.PATIENT}}


@contextmanager
def alias(kind, tmp_path):
    """Let ``llm`` be an alias of a kind in which nothing is kept."""
    if kind == "database":
        with stores.table_in(stores.database_for("sqlite", tmp_path), tmp_path):
            yield
    else:
        with override_settings(CACHES={"default": caches.settings["default"], "llm": stores.alias_for(kind, tmp_path)}):
            yield


@pytest.fixture(params=["redis", "django-redis", "memcached", "locmem", "file", "database"])
def two(request, tmp_path, django_db_blocker):
    """Return the backends of two processes over one store."""
    with django_db_blocker.unblock(), alias(request.param, tmp_path):
        both = [DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT}) for _ in range(2)]
        if request.param == "locmem":  # which processes do not share
            both[1] = both[0]
        yield both
        for backend in both:
            backend.close()


def run(backend, selector, *, before_the_ledger):
    """Clear something, and do something else just before the ledger is written."""
    steps, answer = backend._steps.clearing(selector), None
    while True:
        try:
            name, *args = steps.send(answer)
        except StopIteration:
            return
        if name in ("swap", "write") and args[0] == LEDGER and before_the_ledger is not None:
            before_the_ledger()
            before_the_ledger = None
        answer = None if name == "sleep" else getattr(backend._store, name)(*args)


class TestAtTheSameTime:
    @pytest.mark.parametrize("selector", [Selector(), Selector(provider=ENTRY.provider)], ids=str)
    def test_a_clear_that_stands_still_halfway_undoes_no_other(self, two, selector):
        one, other = two
        one.put(ENTRY)

        run(one, Selector(provider="another"), before_the_ledger=lambda: other.clear(selector))

        assert other.get(ENTRY.key) is None

    def test_both_have_cleared(self, two):
        one, other = two
        one.put(ENTRY)

        run(one, Selector(provider=ENTRY.provider), before_the_ledger=lambda: other.clear(Selector(model="another")))

        assert other.get(ENTRY.key) is None

    def test_one_after_the_other_leaves_what_neither_names(self, two):
        one, other = two
        one.put(ENTRY)

        one.clear(Selector(provider="another"))
        other.clear(Selector(model="another"))

        assert other.get(ENTRY.key) is not None


class TestServerWithoutScripts:
    @pytest.fixture
    def server(self):
        started = stores.redis().start()
        yield started
        started.stop()

    def test_clears_one_by_one(self, server, tmp_path):
        import redis

        with redis.Redis(port=server.port) as client:
            client.acl_setuser("default", enabled=True, nopass=True, categories=["+@all", "-@scripting"], keys=["*"])
        words = stores.alias_for("redis", tmp_path, server=server)
        with override_settings(CACHES={"default": caches.settings["default"], "llm": words}):
            backend = DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT})
            backend.put(ENTRY)
            backend.clear(Selector(provider=ENTRY.provider))

            assert backend.get(ENTRY.key) is None
            backend.close()


class TestBusyDatabase:
    """SQLite's, in which somebody else writes: Django's cache stores nothing then, and says nothing."""

    @pytest.fixture(autouse=True)
    def _shared(self, tmp_path, django_db_blocker):
        place = stores.database_for("sqlite", tmp_path)
        place["OPTIONS"]["timeout"] = 0.01
        with django_db_blocker.unblock(), stores.table_in(place, tmp_path), override_settings(LLMCACHE=chosen()):
            with policy(tags=["doc"]):
                self.answer = cache.with_cache(REQUEST, lambda request: ANSWER)
            self.busy = place["NAME"]
            yield
            backends.current().close()

    @contextmanager
    def writing(self):
        with closing(sqlite3.connect(self.busy, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    @pytest.mark.parametrize(
        "clear",
        [
            lambda key: cache.clear(),
            lambda key: cache.clear(tag="doc"),
            lambda key: cache.clear(provider="openai"),
            lambda key: cache.clear(model="m", tag="doc"),
            cache.delete,
        ],
        ids=["all", "tag", "provider", "several", "delete"],
    )
    def test_what_it_did_not_take_is_told(self, clear):
        with self.writing(), pytest.raises(LLMCacheError, match="nothing may have been cleared"):
            clear(self.answer.cache.key)


class TestStampsThatCannotBeBegun:
    @pytest.fixture
    def backend(self, tmp_path):
        with alias("locmem", tmp_path):
            yield DjangoCacheBackend({"ALIAS": "llm"})

    @contextmanager
    def busy(self, backend):
        """Let the store add nothing, as a database in which others write."""
        add, backend._store.add = backend._store.add, lambda key, *args: not key.startswith(PREFIX) and add(key, *args)
        try:
            yield
        finally:
            backend._store.add = add

    def test_what_is_stored_without_its_tags_stamp_is_no_answer(self, backend):
        backend.put(entry_of("another"))
        with self.busy(backend):
            backend.put(ENTRY)
        backend.clear(Selector(tag="doc"))

        assert backend.find(ENTRY.key, groups_of(ENTRY.scope, ENTRY.tags)).entry is None

    def test_what_was_cleared_stays_so_when_the_stamp_is_lost(self, backend):
        backend.put(ENTRY)
        backend.clear(Selector(tag="doc"))
        backend._store.remove(key_of_group("t:doc"))

        with self.busy(backend):
            assert backend.get(ENTRY.key) is None


def test_of_many_who_add_a_file_one_wins(tmp_path):
    with alias("file", tmp_path), ThreadPoolExecutor(8) as pool:
        store, together = store_of(alias_of("llm"), Deadlines(20, 20)), threading.Barrier(8)

        def add(key):
            together.wait()
            return store.add(key, b"mine", 60)

        won = [sum(pool.map(add, [f"lock:{number}"] * 8)) for number in range(30)]
        store.close()

    assert won == [1] * 30


@pytest.mark.parametrize(("kind", "told"), [("memory", 1), ("redis", 0)])
def test_other_workers_repeat_a_clear_of_what_they_do_not_share_alone(kind, told, tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(workers, "tell", heard.append)
    with alias("redis", tmp_path), override_settings(LLMCACHE={} if kind == "memory" else chosen()):
        cache.clear(provider="openai")
        backends.current().close()

    assert len(heard) == told


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_waits_for_none_of_its_parents_threads(tmp_path):
    with alias("locmem", tmp_path):
        backend = DjangoCacheBackend({"ALIAS": "llm"})
        backend.breaker.fail(ConnectionError("made up"))
        with backend.breaker._lock:  # a thread notes a failure at this moment
            child = os.fork()
            if child == 0:
                threading.Timer(20, os._exit, (1,)).start()
                backend.breaker.fail(ConnectionError("made up"))
                os._exit(0)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
