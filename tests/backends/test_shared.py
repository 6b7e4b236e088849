"""What a shared backend keeps and how: bytes without pickle, compressed, sealed, bounded, by one round trip."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import checks
from django.core.cache import caches
from django.db import connections
from django.test import override_settings
from pymemcache.serde import pickle_serde

from django_llmcache import LLMRequest, backends, cache, chat
from django_llmcache.backends.base import groups_of
from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.backends.generations import LEDGER, key_of_group
from django_llmcache.backends.serializers import RawSerde, RawSerializer
from django_llmcache.backends.stores import Deadlines, alias_of, store_of
from django_llmcache.contrib.demo.standin import StandIn
from django_llmcache.entry import Selector
from django_llmcache.exceptions import ConfigurationError, EntryTooLargeError, LLMCacheError
from tests import stores

from .contract import Clock, entry_of
from .test_tiered import Commands

ENTRY = entry_of(body=b'{"answer": "' + b"A prompt that nobody is to read. " * 3000 + b'"}')
SCOPE = "0123456789abcdef"
BACKEND = "django_llmcache.backends.django_cache.DjangoCacheBackend"
ANSWER = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}


@pytest.fixture(params=["redis", "memcached", "locmem"])
def kind(request):
    return request.param


class Bytes:
    """What an alias has, as it is stored."""

    def __init__(self):
        self._store = store_of(alias_of("llm"), Deadlines(5, 5))
        opened.append(self._store)

    def get(self, key):
        return self._store.read([key]).get(key)

    def set(self, key, value):
        self._store.write(key, value, None)

    def delete(self, key):
        self._store.remove(key)

    def touch(self, key):
        self._store.touch(key, 60)


@pytest.fixture
def alias(kind, tmp_path):
    """Let ``llm`` be an alias in which nothing is kept; return a look at its bytes."""
    words = stores.alias_for(kind, tmp_path)
    with override_settings(CACHES={"default": caches.settings["default"], "llm": words}):
        yield Bytes()


opened = []


@pytest.fixture(autouse=True)
def _closed():
    yield
    backends.empty()
    while opened:
        opened.pop().close()


def backend_with(**options):
    backend = DjangoCacheBackend({"ALIAS": "llm", "READ_TIMEOUT": 5, "WRITE_TIMEOUT": 5, **options})
    opened.append(backend)
    return backend


class TestBytes:
    def test_what_is_stored_is_no_pickle(self, alias):
        backend_with(COMPRESS_OVER=10**9).put(entry_of())

        stored = alias.get(entry_of().key)
        assert stored.startswith(b"LLMP")
        with pytest.raises(pickle.UnpicklingError):
            pickle.loads(stored)

    def test_a_large_entry_is_compressed_and_comes_back_whole(self, alias):
        backend = backend_with()
        backend.put(ENTRY)

        assert len(alias.get(ENTRY.key)) < len(ENTRY.body) / 10
        assert backend.get(ENTRY.key).body == ENTRY.body

    def test_one_that_is_too_large_is_refused_and_says_so(self, alias):
        body = b'{"answer": "' + os.urandom(2000).hex().encode() + b'"}'

        with pytest.raises(EntryTooLargeError):
            backend_with(MAX_VALUE_BYTES=1000).put(entry_of(body=body))

    def test_memcacheds_own_limit_is_known(self, tmp_path):
        words = stores.alias_for("memcached", tmp_path)
        answer = {"choices": [{"message": {"content": os.urandom(1_200_000).hex()}, "finish_reason": "stop"}]}
        chosen = {"BACKEND": BACKEND, "OPTIONS": {"ALIAS": "llm"}}
        with override_settings(CACHES={"default": caches.settings["default"], "llm": words}, LLMCACHE=chosen):
            request = LLMRequest("openai", payload={"model": "m", "messages": []})

            assert cache.with_cache(request, lambda _: answer).cache.reason == "too_large"
            assert not cache.with_cache(request, lambda _: answer).from_cache

    @pytest.mark.parametrize(
        "damage",
        [b"", b"LLM", b"LLMP", b"LLMP\x01\x00", b"LLMP\x02\x00rest", b"LLMP\x01\x01rest", pickle.dumps({"a": 1})],
    )
    def test_what_is_damaged_is_a_miss_told_once_and_replaced(self, alias, damage):
        backend = backend_with()
        backend.put(entry_of())
        alias.set(entry_of().key, damage)

        found = backend.find(entry_of().key)
        assert found.entry is None
        assert found.error is not None
        assert backend.put(entry_of(), found.mark)
        assert backend.find(entry_of().key).entry is not None

    def test_a_damaged_ledger_brings_nothing_back(self, alias):
        backend = backend_with()
        backend.put(entry_of())
        alias.set(LEDGER, b"damaged")

        assert backend.get(entry_of().key) is None
        assert backend.put(entry_of())
        assert backend.get(entry_of().key) is not None


class TestSealed:
    def test_the_head_of_an_entry_cannot_be_changed(self, alias):
        backend = backend_with(ENCRYPT=True)
        backend.put(entry_of())
        stored = bytearray(alias.get(entry_of().key))
        stored[5] |= 0x80
        alias.set(entry_of().key, bytes(stored))

        assert backend.get(entry_of().key) is None

    def test_nobody_reads_what_is_sealed(self, alias):
        backend = backend_with(ENCRYPT=True, COMPRESS_OVER=10**9)
        backend.put(ENTRY)

        assert b"nobody is to read" not in alias.get(ENTRY.key)
        assert backend.get(ENTRY.key).body == ENTRY.body

    def test_what_was_changed_is_a_miss(self, alias):
        backend = backend_with(ENCRYPT=True)
        backend.put(entry_of())
        stored = bytearray(alias.get(entry_of().key))
        stored[-1] ^= 1
        alias.set(entry_of().key, bytes(stored))

        assert backend.get(entry_of().key) is None

    def test_what_is_put_in_the_place_of_another_is_a_miss(self, alias):
        backend = backend_with(ENCRYPT=True)
        backend.put(entry_of("a"))
        backend.put(entry_of("b"))
        alias.set(entry_of("a").key, alias.get(entry_of("b").key))

        assert backend.get(entry_of("a").key) is None
        assert backend.get(entry_of("b").key) is not None

    @pytest.mark.parametrize("before", [True, False])
    def test_what_is_not_sealed_as_it_is_to_be_is_a_miss(self, alias, before):
        backend_with(ENCRYPT=before).put(entry_of())

        assert backend_with(ENCRYPT=not before).get(entry_of().key) is None

    def test_a_secret_that_was_replaced_still_opens(self, alias):
        with override_settings(SECRET_KEY="old"):
            backend_with(ENCRYPT=True).put(entry_of())
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["old"]):
            assert backend_with(ENCRYPT=True).get(entry_of().key) is not None
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[]):
            assert backend_with(ENCRYPT=True).get(entry_of().key) is None

    def test_keys_of_its_own_stand_in_for_the_projects(self, alias):
        backend_with(ENCRYPT=True, ENCRYPTION_KEYS=["ours"]).put(entry_of())

        assert backend_with(ENCRYPT=True).get(entry_of().key) is None
        assert backend_with(ENCRYPT=True, ENCRYPTION_KEYS=["next", "ours"]).get(entry_of().key) is not None


class TestClears:
    def test_a_stamp_that_the_store_dropped_brings_nothing_back(self, alias):
        backend = backend_with()
        entry = entry_of(tags=frozenset({"faq"}), scope="0123456789abcdef")
        backend.put(entry)
        backend.clear(Selector(tag="faq"))
        for name in stamps_of(entry):
            alias.delete(name)

        assert backend.get(entry.key) is None

    def test_a_clear_that_cannot_be_written_is_heard(self, alias, monkeypatch):
        backend = backend_with()
        monkeypatch.setattr(backend._store, "write", lambda *_: None)

        with pytest.raises(LLMCacheError, match="did not keep"):
            backend.clear(Selector(tag="faq"))

    def test_other_keys_of_the_alias_are_left_alone(self, alias):
        alias.set("session", b"somebody's")
        backend_with().clear(Selector())

        assert alias.get("session") == b"somebody's"

    def test_many_clears_of_several_conditions_spare_what_they_do_not_name(self, alias):
        backend = backend_with()
        entry = entry_of(provider="openai", model="m")
        backend.put(entry)
        for number in range(30):
            backend.clear(Selector(provider="openai", model=f"other-{number}"))

        assert backend.get(entry.key) is not None
        backend.clear(Selector(provider="openai", model="m"))
        assert backend.get(entry.key) is None

    def test_a_deleted_answer_that_was_on_its_way_is_not_stored(self, alias):
        backend = backend_with()
        mark = backend.find(entry_of().key).mark
        backend.delete(entry_of().key)

        assert backend.put(entry_of(), mark) is False
        assert backend.put(entry_of(), backend.find(entry_of().key).mark) is True

    def test_nor_is_it_once_a_newer_answer_has_taken_the_place(self, alias):
        backend = backend_with()
        mark = backend.find(entry_of().key).mark
        backend.delete(entry_of().key)
        backend.put(entry_of(body=b'{"newer": 1}'), backend.find(entry_of().key).mark)

        assert backend.put(entry_of(), mark) is False
        assert backend.get(entry_of().key).body == b'{"newer": 1}'
        assert backend.put(entry_of(), backend.find(entry_of().key).mark) is True

    def test_a_tag_that_changes_while_it_is_cleared_is_cleared_once_more(self, alias, monkeypatch):
        backend, run = backend_with(), DjangoCacheBackend._run
        entry = entry_of(tags=("doc:1",))

        def run_and_change(self, steps):
            """Let the object change again after its tag was cleared, in a thread that gets no further for now."""
            result = run(self, steps)
            monkeypatch.undo()
            backend.put(entry, backend.find(entry.key, groups_of(entry.scope, entry.tags)).mark)
            backend.owed.add({"doc:1"})
            return result

        backend.put(entry)
        monkeypatch.setattr(DjangoCacheBackend, "_run", run_and_change)
        backend.expire({"doc:1"})

        assert backend.get(entry.key) is None
        assert not backend.owed

    def test_nothing_is_asked_of_the_store_where_nothing_is_owed(self, alias, monkeypatch):
        backend = backend_with()
        monkeypatch.setattr(backend._store, "read", pytest.fail)

        backend.payer.sweep()


def stamps_of(entry):
    from django_llmcache.backends.generations import key_of_group

    return [LEDGER, *(key_of_group(group) for group in groups_of(entry.scope, entry.tags))]


class TestStamps:
    """Every user and every object may have one, so that they end; and none before what bears it."""

    DAY = 86_400

    @pytest.fixture
    def left(self, tmp_path):
        """Return for how many seconds Redis keeps the stamp of a scope."""
        with override_settings(CACHES={"llm": stores.alias_for("redis", tmp_path)}):
            redis = caches["llm"]._cache.get_client(None)
            yield lambda scope: redis.ttl(caches["llm"].make_key(key_of_group(f"s:{scope}")))

    @pytest.mark.parametrize("by", ["asking", "storing", "clearing"])
    def test_that_of_a_scope_ends_after_a_month(self, left, by):
        backend = backend_with()
        if by == "asking":
            backend.find("key", groups_of(SCOPE, ()))
        elif by == "storing":
            backend.put(entry_of(scope=SCOPE))
        else:
            backend.clear(Selector(scope=SCOPE))

        assert 29 * self.DAY < left(SCOPE) <= 30 * self.DAY

    def test_but_not_before_an_entry_that_lives_longer(self, left):
        backend_with().put(entry_of(scope=SCOPE, ttl=90 * self.DAY))

        assert left(SCOPE) > 90 * self.DAY

    def test_nor_before_one_that_is_kept_while_it_is_stale(self, left):
        backend_with().put(entry_of(scope=SCOPE, ttl=self.DAY, stale_for=89 * self.DAY))

        assert left(SCOPE) > 90 * self.DAY

    @pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
    def test_storing_renews_one_of_half_its_age(self, left, is_async):
        backend = backend_with()
        backend.put(entry_of(scope=SCOPE))
        name = caches["llm"].make_key(key_of_group(f"s:{SCOPE}"))
        caches["llm"]._cache.get_client(None).expire(name, 60)
        backend.clock = lambda: time.time() + 16 * self.DAY

        if is_async:
            asyncio.run(backend.aput(entry_of(scope=SCOPE)))
        else:
            backend.put(entry_of(scope=SCOPE))

        assert left(SCOPE) > 29 * self.DAY

    def test_every_store_can_renew(self, alias):
        alias.set("llmcache:x", b"1")
        alias.touch("llmcache:x")

        assert alias.get("llmcache:x") == b"1"


class TestRoundTrips:
    @pytest.mark.parametrize("tags", [(), ("faq", "shop")])
    def test_a_hit_is_one_command(self, tmp_path, tags):
        words = stores.alias_for("redis", tmp_path)
        with (
            StandIn(latency=0) as provider,
            override_settings(
                CACHES={"default": caches.settings["default"], "llm": words},
                LLMCACHE={
                    "BACKEND": BACKEND,
                    "OPTIONS": {"ALIAS": "llm"},
                    "PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}},
                },
            ),
        ):
            ask = {"messages": [{"role": "user", "content": "Hi"}], "model": "m", "tags": tags, "scope": "user:1"}
            chat("openai", **ask)
            commands = Commands()

            assert all(chat("openai", **ask).from_cache for _ in range(5))
            assert commands.of_data() == {"mget": 5}


class TestAlias:
    def test_a_changed_alias_holds_at_once(self, tmp_path):
        one, other = (stores.alias_for("locmem", tmp_path / name) for name in ("one", "other"))
        default = caches.settings["default"]
        with override_settings(CACHES={"default": default, "llm": one}):
            backend = backend_with()
            backend.put(entry_of())
            with override_settings(CACHES={"default": default, "llm": other}):
                assert backend.get(entry_of().key) is None
            assert backend.get(entry_of().key) is not None

    def test_the_backend_of_the_settings_survives_another_setting(self, alias):
        chosen = {"BACKEND": BACKEND, "OPTIONS": {"ALIAS": "llm"}}
        with override_settings(LLMCACHE=chosen):
            before = backends.current()
            with override_settings(LLMCACHE={**chosen, "DEFAULT_TTL": 5}):
                assert backends.current() is before

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({}, "'ALIAS'"),
            ({"ALIAS": "nowhere"}, "settings.CACHES does not have"),
            ({"ALIAS": "llm", "READ_TIMEOUT": 0}, "'READ_TIMEOUT'] is 0"),
            (
                {"ALIAS": "llm", "READ_TIMEOUT": timedelta(hours=2)},
                "give seconds above 0 and below 3600, or a timedelta",
            ),
            ({"ALIAS": "llm", "WRITE_TIMEOUT": "soon"}, "'WRITE_TIMEOUT'] is 'soon'"),
            ({"ALIAS": "llm", "COMPRESS_OVER": -1}, "'COMPRESS_OVER'] is -1"),
            ({"ALIAS": "llm", "MAX_VALUE_BYTES": True}, "'MAX_VALUE_BYTES'] is True"),
            ({"ALIAS": "llm", "ENCRYPT": "yes"}, "'ENCRYPT'] is 'yes'"),
            ({"ALIAS": "llm", "ENCRYPTION_KEYS": "key"}, "'ENCRYPTION_KEYS']"),
            ({"ALIAS": "llm", "READ_TIMOUT": 1}, "did you mean 'READ_TIMEOUT'?"),
        ],
        ids=str,
    )
    def test_an_option_that_cannot_work_is_named(self, options, said):
        with pytest.raises(ConfigurationError) as told:
            DjangoCacheBackend(options)
        assert said in str(told.value)

    def test_keys_are_never_shown(self):
        with pytest.raises(ConfigurationError) as told:
            DjangoCacheBackend({"ALIAS": "default", "ENCRYPTION_KEYS": "secret-key"})
        assert "secret-key" not in str(told.value)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    def test_a_forked_child_has_connections_of_its_own(self, alias):
        backend = backend_with()
        backend.put(entry_of())
        pid = os.fork()
        if not pid:
            good = all(backend.get(entry_of().key) is not None for _ in range(200))
            os._exit(0 if good else 1)
        seen = [backend.get(entry_of().key) is not None for _ in range(200)]

        assert os.waitpid(pid, 0)[1] == 0
        assert all(seen)


class TestTime:
    def test_an_entry_expires_by_the_clock_that_all_share(self, alias):
        clock = Clock()
        one, other = (DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT}, clock=clock) for _ in range(2))
        opened.extend((one, other))
        one.put(entry_of(ttl=60))
        clock.advance(60)

        assert other.get(entry_of().key) is None


class TestRefused:
    """What the server itself refuses is no outage."""

    def test_a_value_that_is_larger_than_the_server_takes(self, tmp_path):
        words = stores.alias_for("memcached", tmp_path)
        with override_settings(CACHES={"default": caches.settings["default"], "llm": words}):
            backend = backend_with(MAX_VALUE_BYTES=10_000_000, COMPRESS_OVER=10**9)
            backend.put(entry_of("b"))

            with pytest.raises(EntryTooLargeError, match="Memcached refused a value of 1"):
                backend.put(entry_of("a", body=b'"' + b"x" * 1_500_000 + b'"'))
            assert backend.breaker.state == "closed"
            assert backend.get(entry_of("b").key) is not None


class TestReadOnlyDatabase:
    """As after a failover; Django's cache says nothing of it."""

    @pytest.fixture(autouse=True)
    def _read_only(self, tmp_path, django_db_blocker):
        """Let the database refuse to write, with an answer in it."""
        chosen = {"BACKEND": BACKEND, "OPTIONS": {"ALIAS": "llm", **stores.PATIENT}}
        with django_db_blocker.unblock(), stores.table_in(stores.database_for("sqlite", tmp_path), tmp_path):
            self.backend = backend_with()
            self.backend.put(entry_of("before"))
            connections.settings[stores.DATABASE]["OPTIONS"]["init_command"] = "PRAGMA query_only = ON"
            connections[stores.DATABASE].close()
            with override_settings(LLMCACHE=chosen | {"PROVIDERS": {"openai": {"TIMEOUT": 1}}}):
                yield

    def test_what_was_stored_before_is_served_and_what_comes_is_told(self):
        with pytest.raises(LLMCacheError, match="did not take a value: attempt to write a readonly database"):
            self.backend.put(entry_of())

        assert self.backend.get(entry_of("before").key) is not None
        assert self.backend.breaker.state == "closed"

    def test_a_lock_is_refused_at_once(self):
        with pytest.raises(LLMCacheError, match="did not take a value"):
            self.backend.acquire("key", "token", 60)

    def test_a_call_says_that_its_answer_is_not_stored(self):
        request = LLMRequest("openai", payload={"model": "m", "messages": []})

        assert cache.with_cache(request, lambda _: ANSWER).cache.reason == "error"


def test_of_many_who_are_first_to_write_a_row_none_is_refused(tmp_path, django_db_blocker):
    place = stores.table_in(stores.database_for("postgres", tmp_path), tmp_path)
    with django_db_blocker.unblock(), place, ThreadPoolExecutor(8) as pool:
        store, together = store_of(alias_of("llm"), Deadlines(20, 20)), threading.Barrier(8)
        opened.append(store)

        def write(key):
            together.wait()
            store.write(key, b"value", 60)

        list(pool.map(write, [f"{tmp_path.name}:{number}" for number in range(10) for _ in range(8)]))


class TestEventLoop:
    def test_everything_works_there_too(self, alias):
        async def work():
            backend = backend_with()
            found = await backend.afind(entry_of().key)
            assert found.entry is None
            assert await backend.aput(entry_of(), found.mark)
            assert (await backend.afind(entry_of().key)).entry.body == entry_of().body
            backend.close()

        asyncio.run(work())

    def test_thousands_of_tasks_are_no_outage(self, alias):
        backend = DjangoCacheBackend({"ALIAS": "llm", "READ_TIMEOUT": 1.0})  # far less than all of them take
        backend.put(entry_of())

        async def work():
            return await asyncio.gather(*(backend.afind(entry_of().key, ("s:-",)) for _ in range(10_000)))

        assert all(found.entry is not None for found in asyncio.run(work()))
        assert backend.breaker.failures == 0
        backend.close()


class TestTimes:
    @pytest.mark.parametrize("ttl", [60, 31 * 24 * 3600, 4e8, 3e9, None], ids=str)
    def test_an_entry_of_any_time_to_live_is_kept(self, alias, ttl):
        backend = DjangoCacheBackend({"ALIAS": "llm", "READ_TIMEOUT": 5, "WRITE_TIMEOUT": 5}, clock=time.time)
        entry = entry_of(ttl=ttl)

        assert backend.put(entry)
        assert backend.get(entry.key).body == entry.body
        backend.close()

    @pytest.mark.parametrize("ttl", [9e10, 3e11, 9e13], ids=str)
    def test_a_database_keeps_for_ever_what_is_to_live_beyond_its_calendar(self, tmp_path, django_db_blocker, ttl):
        with django_db_blocker.unblock(), stores.table_in(stores.database_for("sqlite", tmp_path), tmp_path):
            backend = backend_with(**stores.PATIENT)

            assert backend.put(entry_of(ttl=ttl))
            assert backend.get(entry_of().key) is not None
            backend.close()


class TestChecks:
    def messages(self, words):
        chosen = {"BACKEND": BACKEND, "OPTIONS": {"ALIAS": "llm"}}
        with override_settings(CACHES={"default": caches.settings["default"], "llm": words}, LLMCACHE=chosen):
            return list(checks.run_checks(tags=["llmcache"], include_deployment_checks=True))

    @pytest.mark.parametrize("kind", ["redis", "django-redis", "memcached", "database", "file"])
    def test_an_alias_that_pickles_is_named_at_deployment(self, kind, tmp_path):
        (message,) = self.messages(stores.alias_for(kind, tmp_path))

        assert message.id == "llmcache.W006"
        assert "'llm'" in message.msg

    def test_an_alias_whose_keys_are_too_long_for_memcached_is_named(self, tmp_path):
        messages = self.messages(stores.alias_for("memcached", tmp_path, prefix="x" * 180))

        assert "llmcache.E004" in [message.id for message in messages]
        assert any("shorten its KEY_PREFIX" in message.msg for message in messages)

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("redis", {"serializer": "django.core.cache.backends.redis.RedisSerializer"}),
            ("django-redis", {"SERIALIZER": "django_redis.serializers.pickle.PickleSerializer"}),
            ("memcached", {"serde": pickle_serde}),
        ],
        ids=["redis", "django-redis", "memcached"],
    )
    def test_so_is_one_that_is_told_to(self, kind, options, tmp_path):
        (message,) = self.messages(stores.alias_for(kind, tmp_path, **options))

        assert message.id == "llmcache.W006"

    def test_an_alias_that_cannot_work_is_told(self):
        words = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "127.0.0.1:6379"}

        (message,) = [message for message in self.messages(words) if message.id == "llmcache.W009"]

        assert "redis://" in message.msg

    @pytest.mark.parametrize(
        "password", ["s3cret/tail", "s3cret#tail", "s3cret?tail", "1234/s3cret", "[s3cret", "s3cret;a"]
    )
    @pytest.mark.parametrize("kind", ["redis", "django-redis"])
    def test_no_part_of_a_password_is_told_that_makes_an_address_unreadable(self, kind, password, tmp_path, caplog):
        words = stores.alias_for(kind, tmp_path) | {"LOCATION": f"redis://:{password}@127.0.0.1:6379/0"}

        (message,) = [message for message in self.messages(words) if message.id == "llmcache.W009"]

        assert "CACHES['llm']" in message.msg
        assert "percent-encoded" in message.msg
        assert not {"s3cret", "1234", "tail"} & {*re.findall(r"\w+", f"{message.msg} {caplog.text}")}

    def test_nor_of_one_for_another_client(self, tmp_path, caplog):
        options = {"CLIENT_CLASS": "django_redis.client.HerdClient"}
        words = stores.alias_for("django-redis", tmp_path, **options) | {"LOCATION": "redis://:s3cret/tail@shop/0"}

        assert "llmcache.W009" in [message.id for message in self.messages(words)]
        assert "s3cret" not in caplog.text

    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("redis", {"serializer": "django_llmcache.backends.serializers.RawSerializer"}),
            ("django-redis", {"SERIALIZER": "django_llmcache.backends.serializers.RawSerializer"}),
            ("memcached", {"serde": RawSerde()}),
        ],
    )
    def test_one_that_does_not_is_right(self, kind, options, tmp_path):
        assert self.messages(stores.alias_for(kind, tmp_path, **options)) == []

    def test_a_model_that_there_is_not_is_named(self):
        with override_settings(LLMCACHE={"TAG_MODELS": ["auth.User", "auth.Usr"]}):
            (message,) = checks.run_checks(tags=["llmcache"])

        assert message.id == "llmcache.W007"
        assert "auth.usr" in message.msg


class TestSerializers:
    @pytest.mark.parametrize("value", [b"", b"\x00\xff", "text"])
    def test_bytes_and_texts_come_back_as_bytes(self, value):
        plain = value.encode() if isinstance(value, str) else value

        assert RawSerializer().loads(RawSerializer({}).dumps(value)) == plain
        assert RawSerde().deserialize("key", *RawSerde().serialize("key", value)) == plain

    @pytest.mark.parametrize("value", [1, None, {"a": 1}, object], ids=str)
    def test_anything_else_is_refused(self, value):
        with pytest.raises(TypeError, match="raw serializer"):
            RawSerializer().dumps(value)
