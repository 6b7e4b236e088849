"""TieredBackend keeps the contract, and its near tier knows no more than the far one."""

from __future__ import annotations

import asyncio

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache.backends.base import groups_of
from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.backends.tiered import CHECK_EVERY, TieredBackend
from django_llmcache.entry import Selector
from django_llmcache.exceptions import ConfigurationError
from tests import stores

from .contract import Clock, StoringContract, entry_of


class TestTieredOverRedis(StoringContract):
    counts = False
    tells = False
    kind = "redis"

    @pytest.fixture
    def place(self, tmp_path):
        with override_settings(CACHES=caches_with(stores.alias_for(self.kind, tmp_path))):
            yield

    def make(self, **settings):
        return TieredBackend({"ALIAS": "llm"}, wall_clock=settings["clock"], **settings)


class TestTieredOverMemcached(TestTieredOverRedis):
    kind = "memcached"


def caches_with(alias):
    return {"default": caches.settings["default"], "llm": alias}


class Commands:
    """What a Redis was asked, by its own count."""

    def __init__(self):
        import redis

        self._client = redis.Redis(port=stores.running("redis").port)
        self._client.config_resetstat()

    def of_data(self):
        counted = self._client.info("commandstats")
        ours = ("cmdstat_mget", "cmdstat_get", "cmdstat_set", "cmdstat_del")
        return {name.removeprefix("cmdstat_"): counted[name]["calls"] for name in ours if name in counted}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def workers(tmp_path, clock):
    """Return two workers' backends over one Redis."""
    with override_settings(CACHES=caches_with(stores.alias_for("redis", tmp_path))):
        both = [TieredBackend({"ALIAS": "llm", **stores.PATIENT}, clock=clock, wall_clock=clock) for _ in range(2)]
        yield both
        for backend in both:
            backend.close()


def has(backend, entry):
    at_hand = backend.at_hand(entry.key) is not None
    found = backend.find(entry.key, groups_of(entry.scope, entry.tags)).entry is not None
    assert found or not at_hand  # what is at hand is what a look-up finds
    return found


def test_what_one_worker_stores_the_other_has_after_one_round_trip_and_then_without(workers):
    one, other = workers
    one.put(entry_of())
    commands = Commands()

    assert has(other, entry_of())
    assert commands.of_data() == {"mget": 1}
    assert all(has(other, entry_of()) for _ in range(10))
    assert commands.of_data() == {"mget": 1}


def test_stamps_are_asked_for_once_a_second_however_many_hits_there_are(workers, clock):
    one, _ = workers
    entries = [entry_of(f"{number}", ttl=1000) for number in range(5)]
    for entry in entries:
        one.put(entry)
    commands = Commands()

    for _ in range(3):
        clock.advance(CHECK_EVERY)
        assert all(has(one, entry) for entry in entries)
    assert commands.of_data() == {"mget": 3}


def test_what_is_near_is_at_hand_until_the_stamps_are_to_be_asked_for(workers, clock):
    one, _ = workers
    one.put(entry_of(ttl=1000))
    commands = Commands()

    assert one.at_hand(entry_of().key).body == entry_of().body
    clock.advance(CHECK_EVERY)
    assert one.at_hand(entry_of().key) is None
    assert has(one, entry_of())
    assert one.at_hand(entry_of().key) is not None
    assert commands.of_data() == {"mget": 1}


def test_a_clear_of_ones_own_is_at_once_at_hand(workers):
    one, _ = workers
    one.put(entry_of(tags=frozenset({"faq"}), ttl=1000))
    one.clear(Selector(tag="faq"))

    assert one.at_hand(entry_of().key) is None


@pytest.mark.parametrize(
    "selector",
    [
        Selector(),
        Selector(provider="openai"),
        Selector(model="m"),
        Selector(scope="0123456789abcdef"),
        Selector(tag="faq"),
        Selector(key=entry_of().key),
        Selector(provider="openai", model="m", tag="faq"),
    ],
    ids=str,
)
def test_a_clear_in_one_worker_is_seen_in_the_other_within_a_check(workers, clock, selector):
    one, other = workers
    entry = entry_of(provider="openai", model="m", scope="0123456789abcdef", tags=frozenset({"faq", "shop"}))
    spared = entry_of("b", provider="groq", model="n", scope="f" * 16)
    one.put(entry)
    one.put(spared)
    assert has(other, entry)
    assert has(other, spared)

    one.clear(selector)
    clock.advance(CHECK_EVERY)

    assert not has(other, entry)
    assert not has(one, entry)
    assert has(other, spared) is not selector.everything


def test_a_delete_in_one_worker_is_seen_in_the_other_within_a_check(workers, clock):
    one, other = workers
    for name in ("a", "b"):
        one.put(entry_of(name, ttl=1000))
        assert has(other, entry_of(name))

    one.delete(entry_of("a").key)
    clock.advance(CHECK_EVERY)

    assert not has(other, entry_of("a"))
    assert has(other, entry_of("b"))
    assert other.at_hand(entry_of("b").key) is not None  # near again, after one look at the far tier


@pytest.mark.parametrize("delete", ["delete", "clear"])
def test_so_is_one_in_a_worker_that_has_no_near_tier(workers, clock, delete):
    one, _ = workers
    plain = DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT}, clock=clock)
    one.put(entry_of(ttl=1000))

    if delete == "delete":
        plain.delete(entry_of().key)
    else:
        plain.clear(Selector(key=entry_of().key))
    clock.advance(CHECK_EVERY)

    assert not has(one, entry_of())
    plain.close()


def test_so_is_one_while_the_first_near_tier_reads(workers, clock, monkeypatch):
    _, one = workers
    plain = DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT}, clock=clock)
    plain.put(entry_of(ttl=1000))
    begin = one.far._store.begin

    def late(*args):
        plain.delete(entry_of().key)
        return begin(*args)

    monkeypatch.setattr(one.far._store, "begin", late)
    has(one, entry_of())
    clock.advance(CHECK_EVERY)

    assert not has(one, entry_of())
    plain.close()


@pytest.mark.parametrize("wait", [False, True], ids=["sync", "async"])
def test_what_is_deleted_while_it_is_stored_is_not_kept_near(workers, clock, monkeypatch, wait):
    one, other = workers
    keep, akeep = one.far.keep, one.far.akeep

    def kept(*args):
        put = keep(*args)
        other.delete(entry_of().key)
        return put

    async def akept(*args):
        put = await akeep(*args)
        await asyncio.to_thread(other.delete, entry_of().key)
        return put

    monkeypatch.setattr(one.far, "keep", kept)
    monkeypatch.setattr(one.far, "akeep", akept)
    if wait:
        asyncio.run(one.aput(entry_of()))
    else:
        one.put(entry_of())
    clock.advance(CHECK_EVERY)

    assert not has(one, entry_of())


def test_a_deleted_entry_is_gone_from_the_near_tier_at_once(workers):
    one, _ = workers
    one.put(entry_of())

    assert one.delete(entry_of().key) is True
    assert not has(one, entry_of())


def test_the_near_tier_keeps_an_entry_no_longer_than_the_far_one(workers, clock):
    one, other = workers
    one.put(entry_of(ttl=60))
    clock.advance(50)
    assert has(other, entry_of())

    clock.advance(9)
    assert has(other, entry_of())
    clock.advance(1)
    assert not has(other, entry_of())


def test_an_entry_keeps_its_own_ttl_and_time_in_the_near_tier(workers, clock):
    one, other = workers
    one.put(entry_of(ttl=60))
    clock.advance(50)
    has(other, entry_of())

    near = other.get(entry_of().key)
    assert (near.ttl, near.created) == (60, entry_of().created)


def test_the_near_tier_is_bounded(tmp_path, clock):
    with override_settings(CACHES=caches_with(stores.alias_for("redis", tmp_path))):
        backend = TieredBackend({"ALIAS": "llm", "MAX_ENTRIES": 2, **stores.PATIENT}, clock=clock, wall_clock=clock)
        entries = [entry_of(f"{number}") for number in range(4)]
        for entry in entries:
            backend.put(entry)

        assert len(list(backend.near.entries())) == 2
        assert all(has(backend, entry) for entry in entries)


def test_a_near_hit_on_an_event_loop_waits_for_nothing(workers):
    one, _ = workers
    one.put(entry_of())

    async def ask():
        step = one.afind(entry_of().key)
        with pytest.raises(StopIteration) as done:  # it ends at the first step: it gave the loop to nobody
            step.send(None)
        return done.value.value.entry

    assert asyncio.run(ask()).key == entry_of().key


@pytest.mark.parametrize("options", [{"ALIAS": "llm", "MAX_ENTRIS": 2}, {}, {"ALIAS": "nowhere"}, {"ALIAS": 3}])
def test_options_that_cannot_work_are_named(options):
    with pytest.raises(ConfigurationError, match=r"OPTIONS"):
        TieredBackend(options)


def test_the_connections_of_an_event_loop_are_closed_with_it(workers):
    import redis

    one, _ = workers
    client = redis.Redis(port=stores.running("redis").port)

    def connections():
        return {each["id"] for each in client.client_list()}

    before = connections()

    async def ask():
        await one.far.afind(entry_of().key)
        return connections() - before

    opened = asyncio.run(ask())

    assert len(opened) == 1
    assert not opened & connections()


def test_a_backend_that_is_closed_on_an_event_loop_can_be_used_again_there(workers):
    one, _ = workers
    one.put(entry_of())

    async def ask():
        for _ in range(2):
            assert (await one.far.afind(entry_of().key)).entry is not None
            one.close()

    asyncio.run(ask())
