"""``llmcache doctor``: what it says where all is well, and where something is not."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from importlib import import_module

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import LLMRequest, backends, cache, conf
from django_llmcache.backends.memory import MemoryBackend
from tests import stores

from .running import run

KEY = "sk-made-up-and-never-shown"
WAYS = ("chat()", "cached_session()", "cached_client(library='httpx2')", "cached_client(library='httpx')")


def lines(done, name):
    return [line[15:] for line in done.out.splitlines() if line.startswith(f"{name:<14} ")]


def test_where_all_is_well_every_way_is_cached(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    done = run("doctor")

    assert done.code == 0
    assert lines(done, "checks") == ["nothing is wrong with the settings"]
    assert lines(done, "backend") == ["memory: each process has its own"]
    assert lines(done, "provider") == ["openai at https://api.openai.com/v1: API key from OPENAI_API_KEY"]
    assert lines(done, "instrumented") == ["nothing: LLMCACHE['INSTRUMENT'] is False"]
    assert lines(done, "dry run") == [f"{way}: provider, then cache" for way in WAYS]
    assert KEY not in done.out
    assert cache.stats().entries == 0


def test_a_shared_store_is_asked_and_told_of(tmp_path):
    server = stores.redis().start()
    words = stores.alias_for("redis", tmp_path, server=server)
    chosen = {"BACKEND": "django_llmcache.backends.django_cache.DjangoCacheBackend", "OPTIONS": {"ALIAS": "llm"}}
    with override_settings(CACHES={"default": caches.settings["default"], "llm": words}, LLMCACHE=chosen):
        well = run("doctor")
        server.stop()
        backends.empty()
        away = run("doctor")

    assert well.code == 0
    assert lines(well, "backend") == ["redis (llm): shared"]
    assert lines(well, "store")[0].endswith("breaker closed")
    assert away.code == 1
    [said] = lines(away, "store")
    assert said.startswith("it does not answer; breaker open. ConnectionError: ")
    assert f"127.0.0.1:{server.port}" in said
    assert "refused" in said
    assert lines(away, "dry run") == ["none: the store does not answer, so nothing is cached"]


@contextmanager
def keeping_in(alias, **options):
    chosen = {"BACKEND": "django_llmcache.backends.django_cache.DjangoCacheBackend"}
    chosen["OPTIONS"] = {"ALIAS": "llm", **stores.PATIENT, **options}
    with override_settings(CACHES={"default": caches.settings["default"], "llm": alias}, LLMCACHE=chosen):
        yield
        backends.empty()


def test_a_table_that_nobody_made_is_told_with_what_makes_it(tmp_path, django_db_blocker):
    alias = stores.alias_for("database", tmp_path) | {"LOCATION": "another_table"}
    place = stores.table_in(stores.database_for("sqlite", tmp_path), tmp_path)
    with django_db_blocker.unblock(), place, keeping_in(alias):
        done = run("doctor")

    assert done.code == 1
    assert done.err == (
        "store: it does not answer; breaker open. OperationalError: no such table: another_table. "
        "Run manage.py createcachetable."
    )


@pytest.mark.parametrize("account", ["", "app:s3cret@"], ids=["none", "wrong"])
def test_a_password_that_is_wanted_is_told_with_its_place_and_none_that_is_wrong(shared, account):
    from redis import Redis

    client = Redis(port=shared.port)
    client.config_set("requirepass", "another")
    client.close()
    with keeping_in({**caches.settings["llm"], "LOCATION": f"redis://{account}127.0.0.1:{shared.port}/0"}):
        done = run("doctor")

    assert done.code == 1
    assert "it does not answer; breaker open. AuthenticationError: " in done.err
    assert done.err.endswith(" Put user and password into LOCATION: redis://user:password@host:port.")
    assert "s3cret" not in done.out + done.err


def test_an_address_where_nobody_listens_is_told_though_the_library_says_none(tmp_path):
    port = stores.free_port()
    with keeping_in({**stores.alias_for("memcached", tmp_path), "LOCATION": f"127.0.0.1:{port}"}):
        done = run("doctor")

    assert f" refused by 127.0.0.1:{port}. Does nothing listen there, or is LOCATION another's?" in done.err


def test_what_could_not_be_made_is_told_once(caplog):
    with keeping_in({"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "127.0.0.1:6379"}):
        done = run("doctor")

    assert done.code == 1
    assert done.err.count("redis-py can't read the LOCATION") == 1
    assert lines(done, "backend") == ["none: llmcache.W009 says why"]
    assert lines(done, "dry run") == ["none: the backend could not be made, so nothing is cached"]
    assert len([record for record in caplog.records if record.levelno > logging.DEBUG]) == 1


def test_options_that_are_refused_are_told_once():
    with keeping_in({}, ALIAS="ll"):
        done = run("doctor")

    assert done.code == 1
    assert done.err.count("which settings.CACHES does not have") == 1
    assert lines(done, "dry run") == ["none: there is no backend until its settings are mended"]


@pytest.mark.parametrize(
    ("llmcache", "said"),
    [
        ({"ENABLED": False}, "LLMCACHE['ENABLED'] is False, so nothing is cached"),
        ({"DEFAULT_TTL": 0}, "LLMCACHE['DEFAULT_TTL'] is 0, so nothing is kept"),
        ({"PROVIDERS": {"openai": {"TTL": 0}}}, "LLMCACHE['PROVIDERS']['openai']['TTL'] is 0, so nothing is kept"),
        (
            {"TTL_RULES": [{"PROVIDER": "openai", "TTL": 0}]},
            "a rule of LLMCACHE['TTL_RULES'] says 0, so nothing is kept",
        ),
        (
            {"BACKEND": "django_llmcache.backends.dummy.DummyBackend"},
            "LLMCACHE['BACKEND'] is DummyBackend, which keeps nothing",
        ),
    ],
    ids=["off", "no time", "no time of a provider", "no time by rule", "dummy"],
)
def test_a_setting_that_keeps_nothing_is_named_and_no_failure(llmcache, said):
    with override_settings(LLMCACHE=llmcache):
        done = run("doctor")

    assert done.code == 0
    assert lines(done, "dry run") == [f"none: {said}"]


def test_so_is_an_alias_that_keeps_nothing(tmp_path):
    with keeping_in(stores.alias_for("dummy", tmp_path)):
        done = run("doctor")

    assert done.code == 0
    assert lines(done, "dry run") == ["none: the alias 'llm' of CACHES is a DummyCache, which keeps nothing"]


@pytest.fixture
def shared(tmp_path):
    """Return a Redis of the test's own that all processes share."""
    server = stores.redis().start()
    words = stores.alias_for("redis", tmp_path, server=server)
    chosen = {"BACKEND": "django_llmcache.backends.django_cache.DjangoCacheBackend", "OPTIONS": {"ALIAS": "llm"}}
    chosen["OPTIONS"] |= stores.PATIENT
    with override_settings(CACHES={"default": caches.settings["default"], "llm": words}, LLMCACHE=chosen):
        yield server
        backends.empty()
    server.stop()


@pytest.mark.parametrize("ttl", [None, 3600])
def test_a_shared_store_keeps_nothing_of_it_for_long(shared, ttl):
    with override_settings(LLMCACHE={**conf.raw(), "DEFAULT_TTL": ttl, "STALE_FOR": 3600}):
        assert run("doctor").code == 0

    from redis import Redis

    client = Redis(port=shared.port)
    kept = [client.ttl(key) for key in client.keys("*:llmcache:1.*")]
    client.close()
    assert len(kept) == len(WAYS)
    assert all(0 < seconds <= 60 for seconds in kept)


COMMANDS = ("GET", "MGET", "SET", "DEL", "EXPIRE", "WATCH", "UNWATCH", "MULTI", "EXEC")
"""What docs/backends.md has a user of Redis need."""


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (COMMANDS, []),
        (COMMANDS[:5], ["it takes no clear. NoPermissionError"]),
    ],
    ids=["all", "no transactions"],
)
@pytest.mark.parametrize("backend", ["django_cache.DjangoCacheBackend", "tiered.TieredBackend"])
def test_a_user_of_redis_who_may_not_do_all_of_it_is_found_out(shared, commands, said, backend):
    from redis import Redis

    client = Redis(port=shared.port)
    client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "-@all", *(f"+{name}" for name in commands))
    client.close()
    words = {**caches.settings["llm"], "LOCATION": f"redis://app:pw@127.0.0.1:{shared.port}/0"}
    known = {"default": caches.settings["default"], "llm": words}
    with override_settings(CACHES=known, LLMCACHE={**conf.raw(), "BACKEND": f"django_llmcache.backends.{backend}"}):
        done = run("doctor")
        backends.empty()

    assert [line.partition(": ")[0] for line in lines(done, "store")[1:]] == said
    assert done.code == bool(said)
    assert done.err.endswith(" docs/backends.md names the rights.") is bool(said)


def test_it_is_none_of_the_sites_traffic(shared):
    cache.with_cache(LLMRequest("openai", payload={"model": "m", "messages": []}), lambda request: b'{"choices": []}')
    assert run("doctor").code == 0

    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.tokens_saved) == (0, 1, 0)


@override_settings(LLMCACHE={"INSTRUMENT": True})
def test_what_is_instrumented_is_tried_as_well():
    for library in ("requests", "httpx2", "httpx"):  # whichever tests have run before in this process
        import_module(library)

    done = run("doctor")

    assert done.code == 0
    assert lines(done, "instrumented") == ["requests", "httpx2", "httpx"]
    assert [line for line in lines(done, "dry run") if line.startswith(("requests.", "httpx"))] == [
        "requests.Session(): provider, then cache",
        "httpx2.Client(): provider, then cache",
        "httpx.Client(): provider, then cache",
    ]


def test_the_settings_of_a_provider_are_not_sent_to_the_stand_in(provider):
    providers = {"openai": {"API_KEY": KEY, "BASE_URL": "https://llm.example.com/v1"}}
    with override_settings(LLMCACHE={"PROVIDERS": providers}):
        done = run("doctor")

    assert done.code == 0
    assert lines(done, "provider") == ["openai at https://llm.example.com/v1: API key from the settings"]
    assert KEY not in done.out + done.err


class Broken(MemoryBackend):
    """A store that keeps nothing, whatever it says."""

    def get(self, key):
        return None


def test_a_password_in_an_address_is_not_told():
    with override_settings(LLMCACHE={"PROVIDERS": {"mine": {"BASE_URL": "http://ann:pass-1234@127.0.0.1:1/v1"}}}):
        done = run("doctor")

    assert "pass-1234" not in done.out
    assert lines(done, "provider")[-1].startswith("mine at http://127.0.0.1:1/v1: ")


@override_settings(LLMCACHE={"BACKEND": f"{__name__}.Broken"})
def test_a_store_that_forgets_is_found_out():
    done = run("doctor")

    assert done.code == 1
    assert "dry run: chat(): the second answer did not come from the cache" in done.err


@override_settings(LLMCACHE={"MAX_ENTRY_BYTES": 1})
def test_the_reason_is_told():
    done = run("doctor")

    assert done.code == 1
    assert "chat(): the second answer did not come from the cache (too_large)" in done.err


@override_settings(LLMCACHE={"TTL": 5, "DEFAULT_TTL": "soon"})
def test_wrong_settings_are_told():
    done = run("doctor")

    assert done.code == 1
    assert "llmcache.E001" in done.err
    assert "'soon'" in done.err


@override_settings(LLMCACHE={"CACHE_BY_DEFAULT": False})
def test_that_only_some_calls_are_cached_is_told():
    assert lines(run("doctor"), "cached") == ["calls that say cache=True alone: CACHE_BY_DEFAULT is False"]


@pytest.mark.parametrize("llmcache", [{}, {"BACKEND": f"{__name__}.Broken"}], ids=["well", "not well"])
def test_a_machine_can_read_it(llmcache):
    with override_settings(LLMCACHE=llmcache):
        said = json.loads(run("doctor", "--json").out)

    assert said["checks"] == ["nothing is wrong with the settings"]
    assert bool(said["problems"]) is bool(llmcache)


@override_settings(LLMCACHE={"MIDDLEWARE": []})
def test_a_pipeline_without_the_cache_is_told():
    done = run("doctor")

    assert done.code == 1
    assert "CacheMiddleware is not in MIDDLEWARE: is another in its place?" in done.out
