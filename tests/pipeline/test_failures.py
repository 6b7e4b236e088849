"""A cache that fails costs the caching, and never the call."""

from __future__ import annotations

import asyncio
import math

import pytest

from django_llmcache import LLMRequest, backends, cache, telemetry
from django_llmcache.exceptions import BackendUnavailableError, ConfigurationError
from tests.pipeline.world import MESSAGES, aask, ask, fate

BROKEN = "tests.pipeline.deciders.Broken"
both_ways = pytest.mark.parametrize("call", [ask, lambda **words: asyncio.run(aask(**words))], ids=["chat", "achat"])


@both_ways
@pytest.mark.parametrize("method", ["get", "mark"])
def test_a_backend_that_cannot_be_read_is_passed_by(configure, provider, events, call, method):
    configure(BACKEND=BROKEN, OPTIONS={"FAILS": [method]})

    answers = [call(), call()]

    assert [fate(answer) for answer in answers] == [("bypass", "error")] * 2
    assert answers[0].text == answers[1].text != ""
    assert events.names == ["error", "miss"] * 2
    assert events.of("error")[0]["error"] == "ConnectionError('the store is down')"
    assert provider.calls == 2


@both_ways
def test_a_backend_that_cannot_be_written_costs_the_second_call(configure, provider, events, call):
    configure(BACKEND=BROKEN, OPTIONS={"FAILS": ["put"]})

    answers = [call(), call()]

    assert [fate(answer) for answer in answers] == [("miss", "error")] * 2
    assert events.names == ["miss", "error"] * 2
    assert provider.calls == 2


@both_ways
def test_a_backend_that_cannot_be_made_costs_the_caching(configure, provider, events, call):
    configure(BACKEND="tests.pipeline.deciders.Unmade")

    assert fate(call()) == ("bypass", "error")
    assert "could not be made" in events.of("error")[0]["error"]
    assert provider.calls == 1


@both_ways
def test_every_method_may_fail_at_once(configure, provider, call):
    configure(BACKEND=BROKEN, OPTIONS={"FAILS": ["get", "put", "mark", "clear", "delete", "entries", "stats"]})

    assert call().status == 200


def test_the_failures_are_counted(configure):
    configure(BACKEND=BROKEN, OPTIONS={"FAILS": ["put"]})
    ask()
    ask()

    assert (cache.stats().errors, cache.stats().puts, cache.stats().misses) == (2, 0, 2)


@both_ways
def test_a_failure_that_cannot_even_be_shown_costs_the_caching(configure, provider, events, call):
    configure(BACKEND="tests.pipeline.deciders.Unspeakable")

    assert [fate(call()), fate(call())] == [("bypass", "error")] * 2
    assert [error["error"] for error in events.of("error")] == ["UnspeakableError"] * 2


@both_ways
def test_a_filter_of_the_log_that_raises_costs_no_answer(configure, provider, call, monkeypatch):
    def look_for_a_user(record):
        return record.request.user.is_staff

    configure(BACKEND="tests.pipeline.deciders.Broken", OPTIONS={"FAILS": ["put"]})
    monkeypatch.setattr(telemetry.logger, "filters", [look_for_a_user])

    assert fate(call()) == ("miss", "error")


def test_a_clear_that_fails_is_heard_by_who_asked_and_by_no_call(configure, provider):
    configure(BACKEND=BROKEN, OPTIONS={"FAILS": ["clear", "delete"]})
    ask()

    for undone in (cache.clear, lambda: cache.delete(f"llmcache:1.1:-:{'0' * 64}")):
        with pytest.raises(BackendUnavailableError, match="the store is down") as told:
            undone()
        assert isinstance(told.value.__cause__, ConnectionError)
    assert ask().from_cache


def test_an_answer_that_is_asked_for_before_a_clear_is_not_stored(provider):
    """It may be what the clear was about."""
    request = LLMRequest("mine", operation="search", payload={"q": 1})

    def call(_):
        cache.clear()
        return {"found": 1}

    assert fate(cache.with_cache(request, call)) == ("miss", "not_kept")


@pytest.mark.parametrize("temperature", [math.nan, math.inf, -math.inf], ids=repr)
@both_ways
def test_what_json_cannot_say_exactly_is_sent_and_not_cached(provider, events, call, temperature):
    answers = [call(temperature=temperature) for _ in range(2)]

    assert [fate(answer) for answer in answers] == [("bypass", "unencodable")] * 2
    assert events.names == ["error", "miss"] * 2
    assert events.of("error")[0]["operation"] == "key"
    assert "temperature" in events.of("error")[0]["error"]
    assert provider.calls == 2
    assert cache.stats().bypassed == {"unencodable": 2}


@pytest.mark.parametrize("stop", [{"a", "b"}, object()], ids=["set", "object"])
@both_ways
def test_what_json_cannot_say_at_all_is_an_error_that_names_the_field(provider, call, stop):
    with pytest.raises(ConfigurationError, match="stop="):
        call(stop=stop)

    assert provider.calls == 0


@pytest.mark.parametrize("value", [{"a"}, object(), math.nan, {1: 2}], ids=["set", "object", "nan", "number as name"])
def test_a_client_of_ones_own_gets_through_what_has_no_key(events, value):
    request = LLMRequest("mine", operation="search", payload={"value": value})

    answers = [cache.with_cache(request, lambda _: {"found": 1}) for _ in range(2)]

    assert [fate(answer) for answer in answers] == [("bypass", "unencodable")] * 2
    assert events.names == ["error", "miss"] * 2


def test_a_request_that_changes_under_way_is_not_stored(events):
    turns = [{"role": "user", "content": "Hi"}]
    request = LLMRequest("mine", operation="search", payload={"turns": turns})

    def call(_):
        turns.append({"role": "assistant", "content": "Hello"})
        return {"found": 1}

    assert fate(cache.with_cache(request, call)) == ("miss", "changed")
    assert cache.stats().entries == 0


def test_a_request_that_can_no_longer_be_encoded_is_not_stored(events):
    turns = [{"role": "user", "content": "Hi"}]
    request = LLMRequest("mine", operation="search", payload={"turns": turns})

    def call(_):
        turns.append(object())
        return {"found": 1}

    assert fate(cache.with_cache(request, call)) == ("miss", "error")
    assert events.names == ["miss", "error"]


def test_nothing_of_the_callers_is_changed():
    messages = [{"role": "user", "content": "Say hello in one word"}]

    ask(messages=messages)
    ask(messages=messages)

    assert messages == MESSAGES


@pytest.mark.parametrize("path", ["no.such.Backend", "tests.pipeline.deciders.by_user"])
def test_a_backend_that_is_none_is_an_error_that_names_the_setting(configure, provider, path):
    configure(BACKEND=path)

    with pytest.raises(ConfigurationError, match=r"settings\.LLMCACHE\['BACKEND'\]"):
        ask()
    assert provider.calls == 0


def test_a_setting_of_a_wrong_type_leaves_the_cache_as_it_was(configure, provider):
    stored = ask()
    configure(DEFAULT_TTL="soon")
    with pytest.raises(ConfigurationError, match="DEFAULT_TTL"):
        ask()

    configure()
    assert ask().cache.key == stored.cache.key
    assert backends.current().stats().entries == 1
