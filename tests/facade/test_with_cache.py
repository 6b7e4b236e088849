"""cache.with_cache: the response cache for people with a client of their own."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import pytest

from django_llmcache import CachePolicy, LLMRequest, LLMResponse, cache
from tests.pipeline.world import ask as ask_provider
from tests.pipeline.world import fate

ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}
REQUEST = LLMRequest("mine", model="m-1", payload={"messages": [{"role": "user", "content": "Hi"}]})


def run(request, call, **words):
    return cache.with_cache(request, call, **words)


def arun(request, call, **words):
    async def acall(request):
        return call(request)

    return asyncio.run(cache.awith_cache(request, acall, **words))


both_ways = pytest.mark.parametrize("ask", [run, arun], ids=["with_cache", "awith_cache"])


@both_ways
@pytest.mark.parametrize(
    "answer",
    [
        LLMResponse(json.dumps(ANSWER).encode()),
        json.dumps(ANSWER).encode(),
        bytearray(json.dumps(ANSWER).encode()),
        ANSWER,
        MappingProxyType(ANSWER),
    ],
    ids=lambda answer: type(answer).__name__,
)
def test_a_plain_function_answers_once(ask, answer):
    asked = []

    def call(request):
        asked.append(request)
        return answer

    live, stored = ask(REQUEST, call), ask(REQUEST, call)

    assert [fate(live), fate(stored)] == [("miss", None), ("hit", None)]
    assert live.data == stored.data == ANSWER
    assert live.text == stored.text == "Hello"
    assert asked == [REQUEST]


@both_ways
def test_the_bytes_are_kept_as_they_are(ask):
    body = b'{ "choices":\n[{"message": {"content": "H\\u00e9llo"}}] , "x": 1.0}'

    assert ask(REQUEST, lambda _: body).body == ask(REQUEST, lambda _: None).body == body


@both_ways
@pytest.mark.parametrize("answer", ["text", None, 42, [ANSWER], object()], ids=lambda answer: type(answer).__name__)
def test_anything_else_is_a_type_error_and_nothing_is_stored(ask, events, answer):
    with pytest.raises(TypeError, match=f"call\\(\\) returned a {type(answer).__name__}"):
        ask(REQUEST, lambda _: answer)

    assert events.names == ["miss"]
    assert cache.stats().entries == 0


@both_ways
def test_what_the_call_raises_comes_through_untouched_and_nothing_is_stored(ask, events):
    error = LookupError("the provider's own")

    def call(_):
        raise error

    with pytest.raises(LookupError) as caught:
        ask(REQUEST, call)

    assert caught.value is error
    assert events.names == ["miss"]
    assert fate(ask(REQUEST, lambda _: ANSWER)) == ("miss", None)


@both_ways
def test_an_http_error_is_handed_back_and_not_stored(ask):
    answer = ask(REQUEST, lambda _: LLMResponse(b'{"error": {}}', status=500))

    assert (answer.status, fate(answer)) == (500, ("miss", "error"))


@both_ways
def test_the_policy_of_the_argument_holds(ask):
    answer = ask(REQUEST, lambda _: ANSWER, policy=CachePolicy(ttl=60, scope="user:1", tags=["faq"]))

    assert answer.cache.ttl == 60
    assert fate(ask(REQUEST, lambda _: ANSWER)) == ("miss", None)
    assert cache.clear(tag="faq") == 1


def test_the_call_is_given_the_request_as_it_was():
    request = LLMRequest("mine", model="m-1", payload={"q": 1}, stream=False)

    cache.with_cache(request, lambda given: _seen(given, request), policy=CachePolicy(ttl=1))


def _seen(given, request):
    assert (given.payload, given.model, given.provider) == (request.payload, "m-1", "mine")
    return ANSWER


def test_a_client_of_ones_own_may_ask_a_real_server(provider):
    url = f"{provider.url}/v1/chat/completions"
    request = LLMRequest("openai", payload={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]})

    def call(request):
        body = json.dumps(dict(request.payload)).encode()
        headers = {"content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
            return answer.read()

    live, stored = cache.with_cache(request, call), cache.with_cache(request, call)

    assert (live.text, live.from_cache) == (stored.text, not stored.from_cache)
    assert provider.calls == 1


def test_an_awaited_hit_never_waits():
    """Nothing else on the loop gets a turn between the question and the stored answer."""
    cache.with_cache(REQUEST, lambda _: ANSWER)

    answer = cache.awith_cache(REQUEST, None)

    with pytest.raises(StopIteration) as stopped:
        answer.send(None)
    assert stopped.value.value.from_cache


@both_ways
@pytest.mark.parametrize(("request_", "kind"), [({"model": "m"}, "dict"), ([], "list")])
def test_what_is_no_request_is_told(ask, request_, kind):
    with pytest.raises(TypeError, match=f"request is a {kind}; give an LLMRequest"):
        ask(request_, lambda request: ANSWER)

    assert cache.stats().errors == 0


@both_ways
def test_what_is_no_policy_is_told(ask):
    with pytest.raises(TypeError, match="policy is a dict; give a CachePolicy"):
        ask(REQUEST, lambda request: ANSWER, policy={"ttl": 5})


def test_an_async_function_is_told_where_it_belongs():
    async def call(request):
        return ANSWER

    with pytest.raises(TypeError, match=r"await cache\.awith_cache\(request, call\)"):
        cache.with_cache(REQUEST, call)


def test_a_plain_function_is_told_where_it_belongs():
    with pytest.raises(TypeError, match=r"use `cache\.with_cache\(request, call\)`"):
        asyncio.run(cache.awith_cache(REQUEST, lambda request: ANSWER))


@both_ways
@pytest.mark.parametrize("wishes", [{"cache": False}, {"ttl": 0}, {"store": False}], ids=str)
def test_an_answer_that_was_got_without_the_cache_is_stored(ask, provider, wishes):
    """What was against storing it where it was asked for, in another thread, is not against storing it here."""
    with ThreadPoolExecutor(1) as pool:
        inner = pool.submit(ask_provider, **wishes).result()
    ask(REQUEST, lambda _: inner)

    assert fate(ask(REQUEST, lambda _: inner)) == ("hit", None)


@both_ways
@pytest.mark.parametrize(
    "value", ["half of an emoji: \ud83d", 2**70, -(2**64), float("inf"), [None, 1.5, {"a": 2**64}]], ids=ascii
)
def test_a_mapping_that_orjson_cannot_write_is_an_answer_like_any_other(ask, value):
    live, stored = ask(REQUEST, lambda _: ANSWER | {"x": value}), ask(REQUEST, lambda _: ANSWER)

    assert [fate(live), fate(stored)] == [("miss", None), ("hit", None)]
    assert live.data == stored.data == ANSWER | {"x": value}


@both_ways
@pytest.mark.parametrize("value", [{1}, {1: 2**70}, [{None: 2**70}]], ids=repr)
def test_a_mapping_that_is_no_json_is_a_type_error(ask, value):
    with pytest.raises(TypeError):
        ask(REQUEST, lambda _: ANSWER | {"x": value})


@both_ways
@pytest.mark.parametrize("first", [None, float("nan")], ids=str)
@pytest.mark.parametrize("second", [None, float("nan"), float("inf")], ids=str)
def test_nan_deep_in_a_request_is_not_taken_for_null(ask, events, first, second):
    def request(number):
        return LLMRequest("mine", payload={"options": {"t": number}, "messages": [{"role": "user", "content": "Hi"}]})

    fates = [fate(ask(request(number), lambda _: ANSWER)) for number in (first, second)]

    assert fates[0] == (("miss", None) if first is None else ("bypass", "unencodable"))
    if second is not None:
        assert fates[1] == ("bypass", "unencodable")
        assert "options has NaN or infinity" in events.of("error")[-1]["error"]
    else:
        assert fates[1] == (("hit", None) if first is None else ("miss", None))
