"""An expired answer helps: it is served while one caller asks anew, and where the provider fails."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import (
    CachePolicy,
    LLMRequest,
    LLMResponse,
    backends,
    cache,
    conf,
    lookup,
    policy,
    pulse,
    refreshing,
)
from django_llmcache.exceptions import (
    BadRequestError,
    ConfigurationError,
    ProviderConnectionError,
    RateLimitError,
    ServerError,
)
from django_llmcache.plans import Question
from django_llmcache.signals import cache_error, cache_hit, cache_miss
from tests import stores
from tests.backends.contract import Clock
from tests.pipeline.test_sharing import wanted

PATIENCE = 20.0
TTL, STALE = 60, 300


def answer(text, finish="stop"):
    return {"choices": [{"message": {"content": text}, "finish_reason": finish}]}


def question(**wishes):
    payload = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    return LLMRequest("openai", payload=payload, policy=CachePolicy(**wishes))


class Provider:
    """Answers with what it is told to, and counts."""

    def __init__(self):
        self.says = "first"
        self.calls = 0
        self.asked = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, request):
        self.calls += 1
        self.asked.set()
        assert self.go.wait(PATIENCE)
        if isinstance(self.says, Exception):
            raise self.says
        return answer(self.says)

    async def acall(self, request):
        return self(request)


@pytest.fixture(params=["memory", "redis", "tiered"], autouse=True)
def clock(request, tmp_path):
    """Return the clock of the backend."""
    ticking = Clock()
    refreshing.refreshes.forget()
    chosen = {"DEFAULT_TTL": TTL, "STALE_FOR": STALE}
    known = {"default": caches.settings["default"]}
    if request.param != "memory":
        known["llm"] = stores.alias_for("redis", tmp_path)
        path = {"redis": "django_cache.DjangoCacheBackend", "tiered": "tiered.TieredBackend"}[request.param]
        chosen |= {"BACKEND": f"django_llmcache.backends.{path}", "OPTIONS": {"ALIAS": "llm", **stores.PATIENT}}
    with override_settings(CACHES=known, LLMCACHE=chosen):
        backend = backends.current()
        backend.clock = ticking
        if request.param == "tiered":
            backend._wall_clock = backend.near.clock = backend.far.clock = ticking
        yield ticking
        backend.close()


@pytest.fixture
def provider():
    return Provider()


def lookup_of(request):
    """Return what the look-up gives, of whichever backend."""
    found = lookup.look_up(request, None)
    return lookup.ask(request, found, None) if isinstance(found, Question) else found


def settled():
    """Wait until nothing is being refreshed."""
    for _ in range(2000):
        if not refreshing.refreshes._under_way:
            return
        threading.Event().wait(0.01)
    raise AssertionError("a refresh does not end")


def ask(provider, **wishes):
    return cache.with_cache(question(**wishes), provider)


def test_an_expired_answer_is_served_at_once_and_asked_for_anew(provider, clock):
    ask(provider)
    clock.advance(TTL + 1)
    provider.says = "second"
    provider.go.clear()

    served = ask(provider)
    assert (served.text, served.cache.status, served.from_cache) == ("first", "stale", True)

    provider.go.set()
    settled()
    fresh = ask(provider)
    assert (fresh.text, fresh.cache.status) == ("second", "hit")
    assert provider.calls == 2


def test_it_is_fresh_until_its_time_is_over(provider, clock):
    ask(provider)
    clock.advance(TTL - 1)

    assert ask(provider).cache.status == "hit"


@pytest.mark.parametrize(("age", "status"), [(TTL - 1, "hit"), (TTL + 1, "stale")])
def test_one_that_is_asked_for_by_its_key_says_whether_it_is_stale(provider, clock, age, status):
    key = ask(provider).cache.key
    clock.advance(age)

    assert cache.get(key).cache.status == status


def test_beyond_the_time_for_which_it_may_be_stale_it_is_gone(provider, clock):
    ask(provider)
    clock.advance(TTL + STALE)

    assert ask(provider).cache.status == "miss"


def test_one_caller_refreshes_however_many_are_served(provider, clock):
    ask(provider)
    clock.advance(TTL + 1)
    provider.go.clear()

    assert {ask(provider).cache.status for _ in range(20)} == {"stale"}
    assert provider.asked.wait(PATIENCE)
    provider.go.set()
    settled()
    assert provider.calls == 2


def test_tasks_are_served_at_once_too(provider, clock):
    async def work():
        await cache.awith_cache(question(), provider.acall)
        clock.advance(TTL + 1)
        provider.says = "second"
        served = await cache.awith_cache(question(), provider.acall)
        while refreshing.refreshes._under_way:  # noqa: ASYNC110 - nothing says when it is over
            await asyncio.sleep(0)
        return served, await cache.awith_cache(question(), provider.acall)

    served, fresh = asyncio.run(work())

    assert (served.text, served.cache.status) == ("first", "stale")
    assert (fresh.text, fresh.cache.status) == ("second", "hit")


def test_a_refresh_that_ends_with_its_event_loop_is_made_up_for_by_the_next_caller(provider, clock):
    async def short():
        async def never(request):
            await asyncio.Event().wait()

        return await cache.awith_cache(question(), never)

    ask(provider)
    clock.advance(TTL + 1)
    provider.says = "second"
    served = asyncio.run(short())

    assert (served.text, served.cache.status) == ("first", "stale")
    assert not refreshing.refreshes._under_way
    assert (ask(provider).text, ask(provider).cache.status) == ("second", "hit")
    assert provider.calls == 2


def kept_idle(provider, clock):
    """Return an event loop that is kept and does not run, with a refresh that has begun on it."""
    loop = asyncio.new_event_loop()

    async def serve():
        ask(provider)
        clock.advance(TTL + 1)
        provider.says = "second"
        begun = asyncio.Event()

        async def slow(request):
            begun.set()
            await asyncio.to_thread(provider.go.wait, PATIENCE)
            return provider(request)

        provider.go.clear()
        served = await cache.awith_cache(question(), slow)
        await begun.wait()
        return served

    assert loop.run_until_complete(serve()).cache.status == "stale"
    provider.go.set()
    return loop


def test_a_refresh_on_an_event_loop_that_does_not_run_keeps_nobody_from_refreshing(provider, clock, monkeypatch):
    monkeypatch.setattr(pulse, "SILENCE", 0.1)
    loop = kept_idle(provider, clock)

    served = ask(provider)
    settled()
    fresh = ask(provider)

    assert (served.text, served.cache.status) == ("first", "stale")
    assert (fresh.text, fresh.cache.status) == ("second", "hit")
    left = asyncio.all_tasks(loop)
    loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert (ask(provider).text, ask(provider).cache.status) == ("second", "hit")


def test_a_process_that_ends_waits_for_a_refresh_for_a_while_and_lets_others_ask(provider, clock, monkeypatch):
    monkeypatch.setattr(refreshing, "AT_THE_END", 0.01)
    key = ask(provider).cache.key
    clock.advance(TTL + 1)
    provider.asked.clear()
    provider.go.clear()
    ask(provider)
    assert provider.asked.wait(PATIENCE)
    refreshing.refreshes.finish()

    assert backends.current().holder(key) is None
    provider.go.set()
    settled()


def lose_a_refresh(provider, clock):
    """Serve what has expired, to a caller who closes the client before it is refreshed."""
    ask(provider)
    clock.advance(TTL + 1)
    provider.says = RuntimeError("Cannot send a request, as the client has been closed.")
    ask(provider)
    settled()


def test_so_is_one_whose_client_was_closed(provider, clock):
    lose_a_refresh(provider, clock)
    provider.says = "third"

    assert (ask(provider).text, ask(provider).cache.status) == ("third", "hit")


def test_where_that_fails_too_the_old_answer_is_served(provider, clock):
    lose_a_refresh(provider, clock)
    provider.says = ServerError("made up", provider="openai", status=503)

    assert (ask(provider).text, ask(provider).cache.status) == ("first", "stale")
    settled()


def test_a_refresh_that_fails_leaves_the_answer_and_is_told(provider, clock):
    told = []

    def hear(sender, **details):
        told.append(details["operation"])

    cache_error.connect(hear)
    ask(provider)
    clock.advance(TTL + 1)
    provider.says = ServerError("made up", provider="openai", status=503)
    ask(provider)
    settled()
    cache_error.disconnect(hear)

    assert told == ["refresh"]
    assert ask(provider).cache.status == "stale"
    settled()
    assert provider.calls == 2  # it is left alone for a while


@pytest.mark.parametrize("wait", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    "came",
    [LLMResponse(b"{}", status=429), LLMResponse(b"{}", status=503), answer("cut short", "length")],
    ids=["429", "503", "truncated"],
)
def test_so_does_one_that_brings_nothing_to_store(provider, clock, came, wait):
    calls = []

    def refresh(request):
        calls.append(request)
        return came

    async def arefresh(request):
        return refresh(request)

    async def read():
        served = await cache.awith_cache(question(), arefresh)
        while refreshing.refreshes._under_way:  # noqa: ASYNC110 - nothing says when it is over
            await asyncio.sleep(0)
        return served

    ask(provider)
    clock.advance(TTL + 1)
    for _ in range(3):
        served = asyncio.run(read()) if wait else cache.with_cache(question(), refresh)
        settled()

        assert (served.text, served.cache.status) == ("first", "stale")
    assert len(calls) == 1


@pytest.mark.parametrize("wait", [False, True], ids=["sync", "async"])
def test_where_another_process_has_just_refreshed_in_vain_none_asks_again(provider, clock, wait, monkeypatch):
    backend, waits = backends.current(), threading.Event()
    if backend.in_process:
        pytest.skip("no other process knows of it")

    def holder(key, known=backend.holder):
        sign = known(key)
        waits.set()
        return sign

    async def read():
        served = await cache.awith_cache(question(), provider.acall)
        await asyncio.to_thread(another_gives_up)
        while refreshing.refreshes._under_way:  # noqa: ASYNC110 - nothing says when it is over
            await asyncio.sleep(0)
        return served

    def another_gives_up():
        assert waits.wait(PATIENCE)
        backend.give_up(key, "another")

    key = ask(provider).cache.key
    clock.advance(TTL + 1)
    monkeypatch.setattr(backend, "holder", holder)
    backend.acquire(key, "another", STALE)
    served = asyncio.run(read()) if wait else (ask(provider), another_gives_up())[0]
    settled()

    assert served.cache.status == ask(provider).cache.status == "stale"
    settled()
    assert provider.calls == 1


def test_a_refresh_that_finds_it_done_is_no_hit(provider, clock):
    """Another process has stored the new answer, between the look-up and the lock."""
    ask(provider)
    clock.advance(TTL + 1)
    plan = lookup_of(question()).plan._replace(in_background=True)
    provider.says = "second"
    ask(provider, refresh=True)
    hits = cache.stats().hits

    assert lookup.look_again(plan, None).text == "second"
    assert cache.stats().hits == hits


def test_without_it_an_expired_answer_is_none(provider, clock):
    with override_settings(LLMCACHE={**conf.raw(), "STALE_FOR": 0}):
        ask(provider)
        clock.advance(TTL + 1)

        assert ask(provider).cache.status == "miss"


def test_a_caller_may_take_none(provider, clock):
    ask(provider)
    clock.advance(TTL + 1)

    assert ask(provider, stale_for=0).cache.status == "miss"


def test_a_caller_may_say_how_old(provider, clock):
    ask(provider)
    clock.advance(TTL + 30)

    assert ask(provider, stale_for=timedelta(seconds=10)).cache.status == "miss"


def test_a_policy_says_it_for_a_block(provider, clock):
    with override_settings(LLMCACHE={**conf.raw(), "STALE_FOR": 0}), policy(stale_for=STALE):
        ask(provider)
        clock.advance(TTL + 1)

        assert ask(provider).cache.status == "stale"
        settled()


@pytest.mark.parametrize(
    "failure",
    [
        RateLimitError("made up", provider="openai", status=429),
        ServerError("made up", provider="openai", status=500),
        ProviderConnectionError("made up", provider="openai"),
        ConnectionResetError("made up"),
        TimeoutError("made up"),
    ],
    ids=lambda failure: type(failure).__name__,
)
@pytest.mark.parametrize("wait", [1, TTL + 1], ids=["fresh", "expired"])
def test_where_the_provider_fails_the_stored_answer_is_served(provider, clock, failure, wait):
    ask(provider)
    clock.advance(wait)
    provider.says = failure

    served = ask(provider, refresh=True)
    assert (served.text, served.cache.status) == ("first", "stale")


@pytest.mark.parametrize("leader", [0, 1], ids=["one-who-does-leads", "who-takes-none-leads"])
def test_who_takes_no_stale_answer_gets_none_that_was_served_to_another(provider, leader):
    ask(provider)
    provider.says = ServerError("made up", provider="openai", status=500)
    provider.asked.clear()
    provider.go.clear()
    wishes = [{}, {"stale_for": 0}]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, provider, max_age=0, **wishes[leader])
        assert provider.asked.wait(PATIENCE)
        second = pool.submit(ask, provider, max_age=0, **wishes[not leader])
        wanted(2)
        provider.go.set()
        takes, takes_none = (second, first) if leader else (first, second)

        assert takes.result().cache.status == "stale"
        with pytest.raises(ServerError):
            takes_none.result()


def test_so_it_is_where_an_answer_says_that_it_failed(provider, clock):
    ask(provider)
    clock.advance(1)

    served = cache.with_cache(question(refresh=True), lambda request: LLMResponse(b"{}", status=503))
    assert (served.text, served.cache.status) == ("first", "stale")


@pytest.mark.parametrize("failure", [BadRequestError("made up", provider="openai", status=400), ValueError("made up")])
def test_what_is_wrong_with_the_request_is_raised(provider, failure):
    ask(provider)
    provider.says = failure

    with pytest.raises(type(failure)):
        ask(provider, refresh=True)


def test_without_it_a_failure_is_raised(provider):
    ask(provider)
    provider.says = RateLimitError("made up", provider="openai", status=429)

    with pytest.raises(RateLimitError):
        ask(provider, refresh=True, stale_for=0)


def test_a_clear_removes_what_is_stale(provider, clock):
    ask(provider)
    clock.advance(TTL + 1)
    cache.clear()

    assert ask(provider).cache.status == "miss"


@pytest.mark.parametrize("wait", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("clear", [{}, {"tag": "doc"}, {"provider": "openai"}], ids=["all", "tag", "provider"])
def test_what_was_cleared_while_the_provider_failed_is_not_served(provider, clear, wait):
    wishes = {"tags": ["doc"], "refresh": True}
    ask(provider, **wishes)

    def fail(request):
        cache.clear(**clear)
        raise ServerError("made up", provider="openai", status=500)

    async def afail(request):
        await asyncio.to_thread(cache.clear, **clear)
        raise ServerError("made up", provider="openai", status=500)

    with pytest.raises(ServerError):
        if wait:
            asyncio.run(cache.awith_cache(question(**wishes), afail))
        else:
            cache.with_cache(question(**wishes), fail)


def test_none_is_served_that_became_too_old_while_the_provider_failed(provider, clock):
    ask(provider)
    clock.advance(TTL)

    def fail(request):
        clock.advance(3)
        raise ServerError("made up", provider="openai", status=500)

    with pytest.raises(ServerError):
        cache.with_cache(question(refresh=True, stale_for=1), fail)


def test_a_stale_answer_is_a_hit_and_counted_as_stale(provider, clock):
    heard = []

    def hit(sender, **details):
        heard.append("hit")

    def miss(sender, **details):
        heard.append("miss")

    ask(provider)
    clock.advance(TTL + 1)
    cache_hit.connect(hit)
    cache_miss.connect(miss)
    ask(provider)
    settled()
    cache_hit.disconnect(hit)
    cache_miss.disconnect(miss)

    assert heard == ["hit"]
    assert (cache.stats().hits, cache.stats().stale, cache.stats().misses) == (1, 1, 1)


@pytest.mark.parametrize("wrong", [-1, "soon", True, None, float("nan")])
def test_what_is_no_time_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="stale_for"):
        CachePolicy(stale_for=wrong)


def test_jitter_shortens_times_and_never_lengthens_them(provider):
    with override_settings(LLMCACHE={**conf.raw(), "TTL_JITTER": 0.5}):
        times = set()
        for number in range(20):
            request = LLMRequest("openai", payload={"model": "m", "messages": [], "seed": number})
            times.add(cache.with_cache(request, provider).cache.ttl)

    assert len(times) > 10
    assert all(TTL / 2 <= time <= TTL for time in times)
