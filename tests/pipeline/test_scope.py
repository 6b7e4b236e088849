"""Whose answers a call gets: never another's."""

from __future__ import annotations

import asyncio

import pytest

from django_llmcache import cache, policy
from tests.pipeline.world import aask, ask, fate

DECIDERS = "tests.pipeline.deciders"
both_ways = pytest.mark.parametrize("call", [ask, lambda **words: asyncio.run(aask(**words))], ids=["chat", "achat"])


@both_ways
def test_each_scope_has_answers_of_its_own(provider, call):
    statuses = [call(scope=scope).cache.status for scope in ("user:1", "user:2", "user:1", None, "user:2", None)]

    assert statuses == ["miss", "miss", "hit", "miss", "hit", "hit"]
    assert provider.calls == 3


def test_public_and_none_share_on_purpose():
    shared = ask()

    assert ask(scope="public").cache.key == ask(scope=None).cache.key == shared.cache.key


def test_the_scope_of_the_settings_holds_where_nobody_names_one(configure):
    configure(SCOPE="tenant-a")
    of_a = ask()
    configure(SCOPE="tenant-b")

    assert not ask().from_cache
    assert ask(scope="tenant-a").cache.key == of_a.cache.key


@both_ways
def test_a_callable_is_asked_about_each_request(configure, provider, call):
    configure(SCOPE=f"{DECIDERS}.by_user")

    statuses = [call(user=user).cache.status for user in ("ann", "bob", "ann", "bob")]

    assert statuses == ["miss", "miss", "hit", "hit"]
    assert ask(scope="user:ann").from_cache


@both_ways
@pytest.mark.parametrize("decider", ["raises", "number"])
def test_a_callable_that_fails_shares_nothing(configure, provider, events, call, decider):
    call()
    configure(SCOPE=f"{DECIDERS}.{decider}")

    answers = [call(), call()]

    assert [fate(answer) for answer in answers] == [("bypass", "no_scope")] * 2
    assert events.names == ["miss", "put", "error", "miss", "error", "miss"]
    assert (provider.calls, cache.stats().entries) == (3, 1)
    assert "LLMCACHE['SCOPE'] " in events.of("error")[0]["error"]


@pytest.mark.parametrize("setting", ["SCOPE", "CACHEABLE"])
@pytest.mark.parametrize("decider", ["looks_up", "turns"])
def test_what_a_callable_fails_with_tells_nobody_the_question(configure, events, caplog, setting, decider):
    configure(**{setting: f"{DECIDERS}.{decider}"})

    answer = ask(messages=[{"role": "user", "content": "canary-question"}])

    (error,) = events.of("error")
    assert answer.cache.status == "bypass"
    assert f"LLMCACHE['{setting}'] " in error["error"]
    assert ("deciders.py:" in error["error"]) is (decider == "looks_up")
    assert "canary" not in error["error"] + caplog.text


def test_the_callers_word_holds_over_a_callable_that_fails(configure, events):
    configure(SCOPE=f"{DECIDERS}.raises")

    assert fate(ask(scope="user:1")) == ("miss", None)
    with policy(scope=None):
        assert fate(ask()) == ("miss", None)
    assert events.of("error") == []


@pytest.mark.parametrize(
    ("scope", "words", "expected"),
    [
        (None, {}, ("bypass", "no_scope")),
        (f"{DECIDERS}.nobody", {}, ("bypass", "no_scope")),
        ("public", {}, ("bypass", "no_scope")),
        (f"{DECIDERS}.public", {}, ("miss", None)),
        ("tenant-a", {}, ("miss", None)),
        (None, {"scope": "user:1"}, ("miss", None)),
        (None, {"scope": None}, ("miss", None)),
        (None, {"scope": "public"}, ("miss", None)),
        (None, {"cache": True}, ("bypass", "no_scope")),
    ],
    ids=str,
)
def test_require_scope_wants_a_word_on_whose_answer_it_is(configure, events, scope, words, expected):
    configure(REQUIRE_SCOPE=True, SCOPE=scope)

    assert fate(ask(**words)) == expected
    assert events.of("error") == []


def test_one_scopes_answers_are_cleared_alone():
    ask(scope="user:1")
    ask(scope="user:2")

    assert cache.clear(scope="user:1") == 1
    assert not ask(scope="user:1").from_cache
    assert ask(scope="user:2").from_cache


def test_the_scope_is_not_readable_in_the_key_or_the_entry(events):
    answer = ask(scope="canary-person")

    assert "canary" not in answer.cache.key
    assert "canary" not in repr(events)
