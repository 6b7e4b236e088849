"""A clear that is said to have worked has, whatever others do meanwhile, and however little the store says."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from django.core.cache import caches
from django.db import DatabaseError, connections
from django.test import override_settings

from django_llmcache import LLMRequest, backends, cache, policy, workers
from django_llmcache.backends import payer, stamping
from django_llmcache.backends.base import groups_of
from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.backends.generations import LEDGER, PREFIX, key_of_group
from django_llmcache.backends.stores import Deadlines, alias_of, store_of
from django_llmcache.backends.tiered import CHECK_EVERY, TieredBackend
from django_llmcache.entry import Selector
from django_llmcache.exceptions import ConfigurationError, LLMCacheError
from tests import stores

from .contract import Clock, entry_of

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


def test_a_rehearsal_clears_nothing(two):
    one, other = two
    one.put(ENTRY, one.mark())
    other.rehearse_clear()

    assert one.get(ENTRY.key).body == ENTRY.body


def run(backend, selector, *, before_the_ledger):
    """Clear something, and do something else just before the ledger is written."""
    clearing, answer = backend._steps.clearing(selector), None
    while True:
        try:
            name, *args = clearing.send(answer)
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


@pytest.fixture
def server():
    """Return a Redis of this test's own."""
    started = stores.redis().start()
    yield started
    started.stop()


class TestServerThatDoesNotDoAll:
    def test_one_that_runs_no_scripts_clears(self, server, tmp_path):
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

    def test_a_memcached_that_swaps_nothing_clears_what_is_meant_alone(self, tmp_path):
        started = stores.memcached("-C").start()
        words = stores.alias_for("memcached", tmp_path, server=started)
        with override_settings(CACHES={"default": caches.settings["default"], "llm": words}):
            backend = DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT})
            backend.put(ENTRY)
            backend.clear(Selector(provider="another"))

            assert backend.get(ENTRY.key) is not None
            backend.close()
        started.stop()

    def test_what_was_cleared_elsewhere_is_gone_from_the_near_tier_of_one_that_takes_nothing(self, server, tmp_path):
        import redis

        words, clock = stores.alias_for("redis", tmp_path, server=server), Clock()
        with override_settings(CACHES={"default": caches.settings["default"], "llm": words}):
            one, other = (
                TieredBackend({"ALIAS": "llm", **stores.PATIENT}, clock=clock, wall_clock=clock) for _ in range(2)
            )
            one.put(ENTRY)
            assert other.get(ENTRY.key) is not None
            one.clear(Selector())
            one.far._store.remove(key_of_group("t:doc"))  # evicted
            with redis.Redis(port=server.port) as client:
                client.config_set("maxmemory", "1")
            clock.advance(CHECK_EVERY)

            assert other.get(ENTRY.key) is None
            one.close()
            other.close()


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
        with self.writing(), pytest.raises((LLMCacheError, DatabaseError)):
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


class TestDamaged:
    """A file or a row that was cut short is no outage, and is written anew."""

    @pytest.fixture(params=["file", "database"])
    def backend(self, request, tmp_path, django_db_blocker):
        with django_db_blocker.unblock(), alias(request.param, tmp_path):
            backend = DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT})
            backend.put(ENTRY)
            backend.put(entry_of("another"))
            getattr(self, request.param)(backend, ENTRY.key)
            yield backend
            backend.close()

    def file(self, backend, key):
        Path(caches["llm"]._key_to_file(key)).write_bytes(b"")

    def database(self, backend, key):
        kept = caches["llm"]
        with connections[stores.DATABASE].cursor() as cursor:
            row = kept.make_key(key)
            cursor.execute(f"UPDATE {kept._table} SET value = 'gASV' WHERE cache_key = %s", [row])

    def test_it_is_no_answer(self, backend):
        assert backend.get(ENTRY.key) is None
        assert backend.get(entry_of("another").key) is not None

    def test_it_is_written_anew(self, backend):
        backend.put(ENTRY)

        assert backend.get(ENTRY.key) is not None

    def test_it_is_deleted(self, backend):
        assert not backend.delete(ENTRY.key)

    def test_so_is_the_note_of_a_clear(self, backend, request):
        getattr(self, backend._store.name)(backend, LEDGER)
        backend.clear(Selector())
        backend.put(ENTRY)

        assert backend.get(ENTRY.key) is not None


class TestTags:
    def test_however_many_change_at_once_nothing_else_is_cleared(self, two, monkeypatch):
        one, other = two
        monkeypatch.setattr(payer, "MOST", 3)
        one.put(ENTRY)

        one.expire({f"tests.thing:{number}" for number in range(10)})

        assert other.get(ENTRY.key) is not None

    def test_they_are_read_a_few_at_a_time(self, two, monkeypatch):
        one, other = two
        monkeypatch.setattr(payer, "AT_A_TIME", 3)
        one.put(ENTRY)

        assert one.expire({"doc", *map(str, range(10))}) == ["doc"]
        assert other.get(ENTRY.key) is None

    def test_what_changes_while_a_store_is_away_that_does_not_say_so_is_cleared_once_it_is_back(self, two, monkeypatch):
        one, other = two
        one.put(ENTRY)
        for name, nothing in {"read": {}, "add": False, "write": None}.items():
            monkeypatch.setattr(one._store, name, lambda *args, nothing=nothing: nothing)
        with pytest.raises(LLMCacheError, match="nothing may have been cleared"):
            one.expire({"doc"})
        monkeypatch.undo()

        assert one.get(ENTRY.key) is None
        assert other.get(ENTRY.key) is None

    def test_a_tag_changes_where_nothing_was_ever_stored(self, two):
        assert list(two[0].expire({"doc"})) == []

    def test_where_nothing_is_kept_nothing_is_owed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(payer, "MOST", 3)
        with alias("dummy", tmp_path):
            backend = DjangoCacheBackend({"ALIAS": "llm"})
            backend.expire(set("abcdef"))

            assert not backend.owed


@pytest.mark.parametrize("key", ["a b\n", LEDGER, "k" * 300, ""])
def test_a_key_that_is_none_clears_nothing(key):
    with pytest.raises(ConfigurationError, match="Nothing was removed"):
        cache.clear(key=key)


def test_a_delete_while_an_entry_is_read_for_the_near_tier_is_seen(tmp_path, monkeypatch):
    clock = Clock()
    with alias("file", tmp_path):
        one, other = (TieredBackend({"ALIAS": "llm", **stores.PATIENT}, clock=clock, wall_clock=clock) for _ in "ab")
        other.put(ENTRY)
        read = one.far._store.read

        def one_by_one(keys):
            found = read(keys[:1])
            other.delete(ENTRY.key)
            monkeypatch.setattr(one.far._store, "read", read)
            return found | read(keys[1:])

        monkeypatch.setattr(one.far._store, "read", one_by_one)
        one.get(ENTRY.key)
        clock.advance(CHECK_EVERY)

        assert one.get(ENTRY.key) is None
        one.close()
        other.close()


@pytest.mark.parametrize("kind", ["redis", "memcached"])
def test_event_loops_that_have_ended_are_let_go_of(kind, tmp_path):
    ended = []
    with alias(kind, tmp_path):
        backend = DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT})

        async def work():
            ended.append(weakref.ref(asyncio.get_running_loop()))
            await asyncio.gather(*(backend.afind(ENTRY.key) for _ in range(20)))

        for _ in range(30):
            asyncio.run(work())
        gc.collect()
        backend.close()

    assert sum(loop() is not None for loop in ended) < 5  # a thread may hold what it did last


def test_an_alias_that_decodes_what_it_reads_is_read_as_bytes(tmp_path):
    words = stores.alias_for("redis", tmp_path, decode_responses=True)
    with override_settings(CACHES={"default": caches.settings["default"], "llm": words}):
        backend = DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT})
        backend.put(ENTRY)

        assert asyncio.run(backend.afind(ENTRY.key)).entry is not None
        backend.close()
