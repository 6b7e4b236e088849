"""cache.explain: what makes a request's key, and what sets it apart from the nearest stored one."""

from __future__ import annotations

import asyncio
import math

import pytest

from django_llmcache import CachePolicy, LLMClient, LLMRequest, cache, policy
from django_llmcache.exceptions import ConfigurationError

TURNS = [
    {"role": "system", "content": "Be brief"},
    {"role": "user", "content": "Hi"},
    {"role": "user", "content": "How are you?"},
]
DECIDERS = "tests.pipeline.deciders"


def request(*, turns=TURNS, scope=None, sample=0, provider="mine", headers=(), **fields):
    payload = {"model": "m-1", "messages": turns, "temperature": 0, **fields}
    return LLMRequest(
        provider, payload=payload, operation="search", policy=CachePolicy(scope=scope, sample=sample), headers=headers
    )


def stored(wanted=None):
    return cache.with_cache(wanted or request(), lambda _: {"found": 1}).cache.key


def changed(index, content):
    turns = [dict(turn) for turn in TURNS]
    turns[index]["content"] = content
    return turns


def test_the_parts_are_the_address_the_model_and_every_field_with_each_turn():
    explained = cache.explain(request(top_p=0.5))

    address = {"provider", "operation", "base_url", "path", "query", "headers", "model", "scope", "sample", "version"}
    assert explained.parts.keys() == address | {"messages[0]", "messages[1]", "messages[2]", "temperature", "top_p"}
    assert "Be brief" not in repr(explained)


def test_the_key_is_the_one_that_a_call_gets():
    assert cache.explain(request()).key == stored()


def test_what_a_client_would_send_is_explained_by_the_same_words():
    client = LLMClient("openai", model="gpt-4o-mini")
    live = client.chat(TURNS, temperature=0, tags=["faq"])

    explained = cache.explain(client.request(TURNS, temperature=0, tags=["faq"]))

    assert (explained.key, explained.differs) == (live.cache.key, ())


def test_what_is_not_in_the_key_is_no_part():
    assert "user" not in cache.explain(request(user="ann")).parts


def test_a_stored_request_is_its_own_nearest():
    key = stored()

    explained = cache.explain(request())

    assert (explained.nearest, explained.differs, explained.reason) == (key, (), None)
    assert str(explained) == f"Stored as {key}."


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"temperature": 1}, ("temperature",)),
        ({"top_p": 0.5}, ("top_p",)),
        ({"turns": changed(1, "Hello")}, ("messages[1]",)),
        ({"turns": TURNS[:2]}, ("messages[2]",)),
        ({"turns": [*TURNS, {"role": "user", "content": "?"}]}, ("messages[3]",)),
        ({"model": "m-2"}, ("model",)),
        ({"scope": "user:1"}, ("scope",)),
        ({"sample": 1}, ("sample",)),
        ({"provider": "yours"}, ("provider",)),
        ({"turns": changed(0, "Be long"), "temperature": 1}, ("messages[0]", "temperature")),
    ],
    ids=str,
)
def test_it_names_what_differs_from_the_nearest(other, differs):
    key = stored()

    explained = cache.explain(request(**other))

    assert (explained.nearest, explained.differs) == (key, differs)
    assert explained.key != key
    assert str(explained) == (
        f"Not stored: {explained.key}. The nearest stored is {key}; it differs in {', '.join(differs)}."
    )


def test_the_nearest_is_the_one_that_differs_least():
    stored(request(turns=changed(1, "Hello"), temperature=1))
    near = stored(request(turns=changed(1, "Hello")))
    stored(request(turns=changed(1, "Hello"), top_p=1, temperature=1))

    assert cache.explain(request()).nearest == near


def test_an_empty_store_has_none_near():
    explained = cache.explain(request())

    assert (explained.nearest, explained.differs) == (None, ())
    assert str(explained) == f"Not stored: {explained.key}."


def test_the_policy_around_it_counts():
    with policy(scope="user:1"):
        key = cache.explain(LLMRequest("mine", payload={})).key

    assert key == cache.explain(LLMRequest("mine", payload={}, policy=CachePolicy(scope="user:1"))).key


@pytest.mark.parametrize(
    ("llmcache", "wanted", "reason"),
    [
        ({"ENABLED": False}, request(), "disabled"),
        ({"CACHE_BY_DEFAULT": False}, request(), "disabled"),
        ({"CACHEABLE": f"{DECIDERS}.only_cold"}, request(temperature=1), "too hot"),
        ({}, request(stream=True), "streaming"),
        ({}, request(previous_response_id="r1"), "stateful"),
        ({"REQUIRE_SCOPE": True}, LLMRequest("mine", payload={}), "no_scope"),
        ({"REQUIRE_SCOPE": True}, request(scope="user:1"), None),
        ({"ENABLED": False}, request(stream=True), "disabled"),
    ],
    ids=str,
)
def test_it_says_why_a_request_is_not_looked_up(configure, llmcache, wanted, reason):
    configure(**llmcache)

    explained = cache.explain(wanted)

    assert explained.reason == reason
    assert explained.key is not None
    if reason:
        assert str(explained) == f"Not looked up: {reason}."


@pytest.mark.parametrize(
    ("llmcache", "wanted", "reason"),
    [
        ({}, request(temperature=math.nan), "unencodable"),
        ({}, request(stop={"a"}), "unencodable"),
        ({"SCOPE": f"{DECIDERS}.raises"}, LLMRequest("mine", payload={}), "no_scope"),
        ({"CACHEABLE": f"{DECIDERS}.raises"}, request(), "error"),
    ],
    ids=["nan", "set", "no scope", "CACHEABLE raises"],
)
def test_a_request_without_a_key_is_explained_as_well(configure, llmcache, wanted, reason):
    configure(**llmcache)

    explained = cache.explain(wanted)

    assert explained == (None, {}, reason, None, ())
    assert str(explained) == f"Not looked up: {reason}."


def test_a_setting_that_cannot_work_is_an_error(configure):
    configure(SCOPE="no.such.module")

    with pytest.raises(ConfigurationError, match="SCOPE"):
        cache.explain(LLMRequest("mine", payload={}))


def test_a_store_that_cannot_be_listed_has_none_near(configure, events):
    configure(BACKEND=f"{DECIDERS}.Broken", OPTIONS={"FAILS": ["entries"]})

    explained = cache.explain(request())

    assert explained.nearest is None
    assert explained.parts
    assert events.of("error")[0]["operation"] == "explain"


def test_another_key_version_is_named_as_the_difference(configure):
    key = stored()
    configure(KEY_VERSION=2)

    explained = cache.explain(request())

    assert explained.nearest == key
    assert "version" in explained.differs[0]


def test_explaining_asks_nobody_and_counts_nothing(events):
    before = cache.stats()

    cache.explain(request())

    assert (events, cache.stats()) == ([], before)


def test_the_async_twin_says_the_same():
    stored()

    assert asyncio.run(cache.aexplain(request())) == cache.explain(request())


def test_a_field_that_json_cannot_say_and_that_is_ignored_keeps_nothing_from_the_cache(configure):
    configure(IGNORE_FIELDS=["trace"])
    odd = request(trace={object()})
    cache.with_cache(odd, lambda _: {"choices": [{"message": {"content": "Hi"}}]})

    assert cache.explain(odd).nearest == cache.explain(odd).key


def test_messages_are_no_request():
    with pytest.raises(TypeError, match="request is a list; give an LLMRequest"):
        cache.explain([{"role": "user", "content": "Hi"}])
