"""What becomes of a call: hit, miss or bypass, and why."""

from __future__ import annotations

import asyncio

import pytest

from django_llmcache import CachePolicy, LLMRequest, aembed, astream, cache, chat, decisions, embed, policy, stream
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.exceptions import ConfigurationError, ProviderError
from tests.pipeline.world import CACHE, MESSAGES, aask, ask, fate

DECIDERS = "tests.pipeline.deciders"
both_ways = pytest.mark.parametrize("call", [ask, lambda **words: asyncio.run(aask(**words))], ids=["chat", "achat"])


@both_ways
def test_the_second_same_call_is_a_hit_that_asks_nobody(provider, events, call):
    live, stored = call(), call()

    assert (live.cache.status, stored.cache.status, provider.calls) == ("miss", "hit", 1)
    assert (live.from_cache, stored.from_cache) == (False, True)
    assert stored.body == live.body
    assert events.names == ["miss", "put", "hit"]


def test_what_an_async_call_stored_answers_a_sync_one(provider):
    asyncio.run(aask())

    assert ask().from_cache


def test_a_hit_tells_of_the_entry(configure):
    configure(DEFAULT_TTL=600)
    live, stored = ask().cache, ask().cache

    assert live.age == 0.0
    assert (live.ttl, live.backend) == (600, "memory")
    assert stored.age >= 0.0
    assert stored == live._replace(status="hit", age=stored.age)


def test_an_awaited_hit_never_waits():
    """Nothing else on the loop gets a turn between the question and the stored answer."""
    ask()

    with pytest.raises(StopIteration) as stopped:
        aask().send(None)
    assert stopped.value.value.from_cache


def test_embeddings_are_cached_like_any_answer(provider):
    embed("openai", "Hi", model="text-embedding-3-small")

    assert embed("openai", "Hi", model="text-embedding-3-small").from_cache
    assert asyncio.run(aembed("openai", "Hi", model="text-embedding-3-small")).from_cache
    assert provider.calls == 1


@both_ways
def test_refresh_skips_the_read_and_stores_what_comes(provider, call):
    first = call()
    provider.script(Reply(200, b'{"choices": [{"message": {"content": "Anew"}}]}'))

    again = call(refresh=True)

    assert fate(again) == ("miss", None)
    assert again.cache.key == first.cache.key
    assert call().text == "Anew"


@both_ways
def test_cache_false_neither_reads_nor_stores(provider, events, call):
    call(cache=False)
    call()
    live = call(cache=False)

    assert fate(live) == ("bypass", "disabled")
    assert (provider.calls, cache.stats().entries) == (3, 1)
    assert events.names == ["miss", "miss", "put", "miss"]


def test_a_call_that_says_nothing_follows_cache_by_default(configure, provider):
    configure(CACHE_BY_DEFAULT=False)

    assert fate(ask()) == ("bypass", "disabled")
    assert fate(ask(cache=None)) == ("bypass", "disabled")
    assert fate(ask(cache=True)) == ("miss", None)
    assert fate(ask(cache=True)) == ("hit", None)


def test_a_provider_has_a_word_of_its_own_on_what_is_cached(configure):
    configure(CACHE_BY_DEFAULT=False, OPENAI={"CACHE": True})
    assert fate(ask()) == ("miss", None)

    configure(OPENAI={"CACHE": False})
    assert fate(ask()) == ("bypass", "disabled")
    assert fate(ask(cache=True)) == ("hit", None)


@both_ways
@pytest.mark.parametrize("words", [{}, {"cache": True}, {"refresh": True, "ttl": 60}], ids=str)
def test_enabled_false_is_a_kill_switch_whatever_a_caller_says(configure, provider, call, words):
    call()
    configure(ENABLED=False)

    with policy(cache=True, scope="user:1"):
        answer = call(**words)

    assert fate(answer) == ("bypass", "disabled")
    assert (provider.calls, cache.stats().puts) == (2, 1)


@both_ways
def test_a_stream_is_neither_read_nor_stored(provider, events, call):
    call()

    with stream("openai", MESSAGES) as first, stream("openai", MESSAGES) as second:
        texts = ["".join(event.text for event in answer) for answer in (first, second)]
        assert fate(first) == ("bypass", "streaming")

    assert texts[0] == texts[1] != ""
    assert provider.calls == 3
    assert [miss["reason"] for miss in events.of("miss")] == [None, "streaming", "streaming"]


def test_an_async_stream_is_neither_read_nor_stored(provider, events):
    async def read():
        return "".join([event.text async for event in astream("openai", MESSAGES)])

    assert asyncio.run(read()) == asyncio.run(read()) != ""
    assert (provider.calls, events.names) == (2, ["miss", "miss"])


@both_ways
@pytest.mark.parametrize("words", [{}, {"cache": True}], ids=str)
@pytest.mark.parametrize("backend", ["django_llmcache.backends.memory.MemoryBackend", f"{DECIDERS}.Elsewhere"])
def test_what_has_state_at_the_provider_is_neither_read_nor_stored(configure, provider, call, words, backend):
    configure(BACKEND=backend)

    answers = [call(previous_response_id="resp_1", **words) for _ in range(2)]

    assert [fate(answer) for answer in answers] == [("bypass", "stateful")] * 2
    assert provider.calls == 2


@both_ways
def test_an_error_is_raised_and_not_stored(provider, events, call):
    provider.script(Reply(500))

    with pytest.raises(ProviderError):
        call()

    assert fate(call()) == ("miss", None)
    assert events.names == ["miss", "miss", "put"]


def test_sample_keeps_several_answers_apart(provider):
    first, second = ask(sample=0), ask(sample=1)

    assert (first.from_cache, second.from_cache) == (False, False)
    assert ask().cache.key == first.cache.key
    assert ask(sample=1).cache.key == second.cache.key
    assert provider.calls == 2


@both_ways
def test_a_truncated_answer_is_stored_where_the_caller_admits_it(provider, call):
    cut = {"messages": [{"role": "user", "content": "Generate a random number between 1 and 10"}], "max_tokens": 10}

    fates = [fate(call(**cut, **words)) for words in ({}, {"admit": ["truncated"]}, {})]

    assert fates == [("miss", "truncated"), ("miss", None), ("hit", None)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"choices": [{"message": {"content": "I am"}, "finish_reason": "length"}]}', "truncated"),
        (b'{"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}', "refused"),
        (b'{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}', "empty"),
        (b'{"choices": [{"message": {"content": "' + b"x" * 2000 + b'"}}]}', "too_large"),
    ],
    ids=["truncated", "refused", "empty", "too_large"],
)
def test_an_answer_that_may_not_be_stored_says_why(configure, provider, events, body, reason):
    configure(MAX_ENTRY_BYTES=1000)
    provider.script(Reply(200, body), Reply(200, body))

    answers = [ask(), ask()]

    assert [fate(answer) for answer in answers] == [("miss", reason)] * 2
    assert events.names == ["miss", "miss"]
    assert cache.stats().not_stored == {reason: 2}


@pytest.mark.parametrize("body", [b'{"error": {"message": "overloaded"}}', b"<html>Bad gateway</html>", b""], ids=repr)
def test_an_error_inside_a_200_is_raised_and_not_stored(provider, body):
    provider.script(Reply(200, body))

    with pytest.raises(ProviderError):
        ask()

    assert cache.stats().entries == 0


@both_ways
def test_one_call_makes_one_look_up_however_many_caches_are_in_its_way(configure, provider, events, call):
    configure(MIDDLEWARE=[CACHE, CACHE])

    call()
    call()

    assert events.names == ["miss", "put", "hit"]
    assert provider.calls == 1


def test_a_pipeline_inside_an_outer_call_looks_nothing_up(provider, events):
    request = LLMRequest("mine", payload={"question": 1})

    outer = cache.with_cache(request, lambda _: chat("openai", MESSAGES))

    assert events.names == ["miss", "put"]
    assert [put["provider"] for put in events.of("put")] == ["mine"]
    assert cache.with_cache(request, None).body == outer.body


def test_an_async_pipeline_inside_an_outer_call_looks_nothing_up(provider, events):
    async def call(_):
        return await aask()

    asyncio.run(cache.awith_cache(LLMRequest("mine", payload={"question": 1}), call))

    assert events.names == ["miss", "put"]


def test_a_call_after_an_outer_one_is_looked_up_again(provider, events):
    with pytest.raises(ZeroDivisionError):
        cache.with_cache(LLMRequest("mine", payload={}), lambda _: 1 / 0)

    ask()
    assert ask().from_cache


def test_cache_false_outside_holds_for_the_pipeline_inside(provider, events):
    request = LLMRequest("mine", payload={})

    for _ in range(2):
        cache.with_cache(request, lambda _: ask(cache=True), policy=CachePolicy(cache=False))

    assert provider.calls == 2


def test_changing_an_answers_data_changes_no_other_answer(provider):
    live = ask()
    live.data["choices"][0]["message"]["content"] = "mine now"
    stored = ask()
    stored.data["choices"].clear()

    assert ask().text not in ("", "mine now")


@both_ways
def test_a_hit_shows_the_usage_as_served_and_counts_what_it_saved(provider, call):
    saved = cache.stats().tokens_saved
    live = call()
    between = cache.stats().tokens_saved
    hits = [call(), call()]

    assert live.usage.total_tokens > 0
    assert [hit.usage for hit in hits] == [live.usage] * 2
    assert (between - saved, cache.stats().tokens_saved - saved) == (0, 2 * live.usage.total_tokens)


@pytest.mark.parametrize(
    "path",
    ["django_llmcache.strategies.TestStrategy", f"{DECIDERS}.OwnStrategy"],
)
def test_the_strategy_of_the_settings_decides(configure, provider, events, path):
    """The test strategy is as production where no test records."""
    configure(STRATEGY=path)

    assert [fate(ask()), fate(ask()), fate(ask(cache=False))] == [
        ("miss", None), ("hit", None), ("bypass", "disabled"),
    ]  # fmt: skip
    assert {details["sender"].__name__ for _, details in events} == {path.rpartition(".")[2]}


@pytest.mark.parametrize(
    ("path", "says"),
    [("django_llmcache.strategies.Missing", "does not import"), (f"{DECIDERS}.by_user", "no subclass")],
)
def test_a_strategy_that_is_none_is_an_error_that_names_the_setting(configure, provider, path, says):
    configure(STRATEGY=path)

    with pytest.raises(ConfigurationError) as caught:
        ask()
    assert str(caught.value).startswith(f"settings.LLMCACHE['STRATEGY'] is {path!r}")
    assert says in str(caught.value)
    assert provider.calls == 0


def test_wishes_that_never_repeat_do_not_pile_up():
    request = LLMRequest("mine", operation="search", payload={})

    for number in range(2000):
        answer = cache.with_cache(request, lambda _: {"found": 1}, policy=CachePolicy(max_age=10_000 + number))

    assert answer.from_cache
    assert len(decisions._routes) < 2000
