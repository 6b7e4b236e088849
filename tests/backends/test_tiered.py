"""TieredBackend keeps the contract, and its near tier knows no more than the far one."""

from __future__ import annotations

import asyncio

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache.backends import payer, tiered
from django_llmcache.backends.base import groups_of
from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.backends.tiered import CHECK_EVERY, TieredBackend
from django_llmcache.entry import Selector
from django_llmcache.exceptions import ConfigurationError
from tests import stores

from .contract import Clock, StoringContract, entry_of

ways = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


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


class TestWhileTheFarTierIsAway:
    """What is near answers, but what this process cleared or has heard to be cleared."""

    KEPT = entry_of("kept", provider="groq", model="n", scope="f" * 16, ttl=1000)
    CLEARED = entry_of(provider="openai", model="m", scope="0123456789abcdef", tags=frozenset({"faq"}), ttl=1000)
    CLEARS = pytest.mark.parametrize(
        "clear",
        [
            lambda backend: backend.clear(Selector(provider="openai")),
            lambda backend: backend.clear(Selector(scope="0123456789abcdef")),
            lambda backend: backend.clear(Selector(tag="faq")),
            lambda backend: backend.expire({"faq"}),
            lambda backend: backend.delete(entry_of().key),
        ],
        ids=["provider", "scope", "tag", "changed", "deleted"],
    )

    @pytest.fixture
    def server(self, tmp_path):
        server = stores.redis().start()
        with override_settings(CACHES=caches_with(stores.alias_for("redis", tmp_path, server=server))):
            yield server
        server.stop()

    @pytest.fixture
    def two(self, server, clock):
        both = [TieredBackend({"ALIAS": "llm", **stores.PATIENT}, clock=clock, wall_clock=clock) for _ in range(2)]
        for entry in (self.KEPT, self.CLEARED):
            both[0].put(entry)
            assert has(both[1], entry)
        yield both
        for backend in both:
            backend.close()

    def answers(self, backend, entry, is_async):
        groups = groups_of(entry.scope, entry.tags)
        try:
            found = asyncio.run(backend.afind(entry.key, groups)) if is_async else backend.find(entry.key, groups)
        except Exception:  # of the store, each its own: a miss to whoever asks for an answer
            return False
        return found.entry is not None

    @ways
    @CLEARS
    @pytest.mark.parametrize("later", [0, CHECK_EVERY, 100], ids=["at-once", "a-second-later", "much-later"])
    def test_what_this_process_cleared_is_gone_alone(self, server, two, clock, clear, later, is_async):
        one, _ = two
        clear(one)
        server.kill()
        clock.advance(later)

        assert not self.answers(one, self.CLEARED, is_async)
        assert self.answers(one, self.KEPT, is_async)

    @ways
    @pytest.mark.parametrize("later", [0, CHECK_EVERY, 100], ids=["at-once", "a-second-later", "much-later"])
    def test_what_it_could_not_clear_is_gone_alone(self, server, two, clock, later, is_async):
        one, _ = two
        server.kill()
        with pytest.raises(Exception, match=r"."):
            one.expire({"faq", "another"})
        clock.advance(later)

        assert not self.answers(one, self.CLEARED, is_async)
        assert self.answers(one, self.KEPT, is_async)

    def test_what_it_could_not_clear_is_not_at_hand(self, server, two):
        one, _ = two
        server.kill()
        with pytest.raises(Exception, match=r"."):
            one.expire({"faq"})

        assert one.at_hand(self.CLEARED.key) is None
        assert one.at_hand(self.KEPT.key) is not None

    @ways
    def test_nothing_is_kept_from_answering_by_what_it_does_not_have(self, server, two, clock, is_async):
        one, _ = two
        server.kill()
        with pytest.raises(Exception, match=r"."):
            one.expire({"another"})
        clock.advance(CHECK_EVERY)

        assert self.answers(one, self.CLEARED, is_async)

    @ways
    def test_where_too_much_could_not_be_cleared_nothing_answers(self, server, two, monkeypatch, is_async):
        one, _ = two
        monkeypatch.setattr(payer, "MOST", 1)
        server.kill()
        with pytest.raises(Exception, match=r"."):
            one.expire({"another", "one more"})

        assert not self.answers(one, self.KEPT, is_async)

    @ways
    @CLEARS
    def test_so_is_what_another_is_known_to_have_cleared(self, server, two, clock, clear, is_async):
        one, other = two
        clear(other)
        clock.advance(CHECK_EVERY)
        one.find("another", groups_of(self.CLEARED.scope, self.CLEARED.tags))  # hears of it
        server.kill()
        clock.advance(CHECK_EVERY)

        assert not self.answers(one, self.CLEARED, is_async)

    @ways
    def test_what_nobody_is_known_to_have_cleared_answers_for_as_long_as_it_lasts(self, server, two, clock, is_async):
        one, _ = two
        server.kill()
        clock.advance(900)

        assert self.answers(one, self.KEPT, is_async)
        clock.advance(101)
        assert not self.answers(one, self.KEPT, is_async)


@ways
@pytest.mark.parametrize(
    "clear",
    [
        lambda backend: backend.clear(Selector(tag="faq")),
        lambda backend: backend.expire({"faq"}),
        lambda backend: backend.delete(entry_of().key),
    ],
    ids=["tag", "changed", "deleted"],
)
def test_what_is_read_while_this_process_clears_it_is_not_kept_near(workers, clock, monkeypatch, clear, is_async):
    one, other = workers
    entry = entry_of(tags=frozenset({"faq"}), ttl=1000)
    other.put(entry)
    look, alook = one.far.look, one.far.alook

    def looked(*args):
        seen = look(*args)
        clock.advance(0.01)
        clear(one)
        return seen

    async def alooked(*args):
        seen = await alook(*args)
        clock.advance(0.01)
        await asyncio.to_thread(clear, one)
        return seen

    monkeypatch.setattr(one.far, "look", looked)
    monkeypatch.setattr(one.far, "alook", alooked)
    if is_async:
        asyncio.run(one.afind(entry.key))
    else:
        one.find(entry.key)

    assert one.near.get(entry.key) is None


def test_stamps_are_kept_for_what_is_near_alone(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(tiered, "_STAMPS_KEPT", 10)
    with override_settings(CACHES=caches_with(stores.alias_for("redis", tmp_path))):
        backend = TieredBackend({"ALIAS": "llm", "MAX_ENTRIES": 5, **stores.PATIENT}, clock=clock, wall_clock=clock)
        entries = [entry_of(f"{number}", tags=frozenset({f"doc:{number}"}), ttl=1000) for number in range(50)]
        for entry in entries:
            backend.put(entry)

        assert len(backend._stamps) <= 20
        assert backend.at_hand(entries[-1].key) is not None
        backend.close()


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
