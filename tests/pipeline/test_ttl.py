"""How long an answer lives, and who says so."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from django_llmcache import cache, policy
from django_llmcache.exceptions import ConfigurationError
from tests.pipeline.deciders import OwnClock
from tests.pipeline.world import ask, fate


@pytest.fixture
def clock(configure):
    """Return what moves the backend's clock on."""
    OwnClock.now[0] = 0.0
    configure(BACKEND="tests.pipeline.deciders.OwnClock", DEFAULT_TTL=100)

    def advance(seconds):
        OwnClock.now[0] += seconds

    return advance


def test_without_a_word_an_answer_lives_for_fifteen_minutes():
    assert ask().cache.ttl == 900


@pytest.mark.parametrize(
    ("llmcache", "ttl"),
    [
        ({"DEFAULT_TTL": 60}, 60),
        ({"DEFAULT_TTL": None}, None),
        ({"DEFAULT_TTL": timedelta(minutes=2)}, 120),
        ({"DEFAULT_TTL": 60, "OPENAI": {"TTL": 50}}, 50),
        ({"DEFAULT_TTL": 60, "OPENAI": {"TTL": None}}, None),
        ({"OPENAI": {"TTL": 50}, "TTL_RULES": [{"TTL": 40}]}, 50),
        ({"TTL_RULES": [{"MODEL": "gpt-5*", "TTL": 1}, {"MODEL": "gpt-4*", "TTL": 2}, {"TTL": 3}]}, 2),
        ({"TTL_RULES": [{"PROVIDER": "gemini", "TTL": 1}, {"OPERATION": "embeddings", "TTL": 2}]}, 900),
        ({"TTL_RULES": [{"PROVIDER": "openai", "OPERATION": "chat", "TTL": timedelta(hours=1)}]}, 3600),
        ({"TTL_RULES": [{"MODEL": "gpt-4*", "TTL": None}]}, None),
    ],
    ids=str,
)
def test_the_first_rule_that_matches_holds_then_the_provider_then_the_default(configure, llmcache, ttl):
    configure(**llmcache)

    info = ask().cache

    assert (info.reason, info.ttl) == (None, ttl)


def test_a_policy_holds_over_the_rules_and_the_calls_own_word_over_the_policy(configure):
    configure(TTL_RULES=[{"TTL": 40}], OPENAI={"TTL": 50})

    with policy(ttl=30):
        ttls = [ask(refresh=True).cache.ttl, ask(refresh=True, ttl=20).cache.ttl]
        with policy(ttl=10):
            ttls.append(ask(refresh=True).cache.ttl)

    assert ttls == [30, 20, 10]


def test_none_said_by_the_caller_is_for_ever(configure):
    configure(DEFAULT_TTL=1)

    assert fate(ask(ttl=None)) == ("miss", None)
    assert ask().cache.ttl is None


@pytest.mark.parametrize("setting", [{"DEFAULT_TTL": 0}, {"TTL_RULES": [{"TTL": 0}]}, {"OPENAI": {"TTL": 0}}], ids=str)
def test_a_time_of_zero_in_the_settings_stores_nothing(configure, setting):
    configure(**setting)

    assert [fate(ask()), fate(ask())] == [("miss", "disabled")] * 2


def test_a_time_of_zero_stores_nothing_but_reads_what_is_there(provider):
    assert fate(ask(ttl=0)) == ("miss", "disabled")
    ask()

    assert fate(ask(ttl=0)) == ("hit", None)
    assert (provider.calls, cache.stats().not_stored) == (2, {"disabled": 1})


@pytest.mark.parametrize("ttl", [-1, "soon", True, float("nan"), timedelta(seconds=-1)], ids=repr)
def test_a_time_that_cannot_be_one_is_an_error_before_anything_is_sent(provider, ttl):
    with pytest.raises(ConfigurationError, match="ttl is"):
        ask(ttl=ttl)

    assert provider.calls == 0


def test_an_answer_lives_as_long_as_was_said_when_it_was_stored_however_often_it_is_read(clock, provider):
    ask()
    clock(60)
    assert ask(ttl=1).from_cache
    clock(39)
    assert ask().from_cache
    clock(1)

    assert not ask().from_cache
    assert provider.calls == 2


def test_max_age_takes_only_what_is_young_enough(provider, monkeypatch):
    first = ask()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 50)

    with policy(max_age=timedelta(seconds=60)):
        assert ask().from_cache
    with policy(max_age=40):
        anew = ask()
    with policy(max_age=10):
        assert ask().from_cache

    assert (anew.cache.status, anew.cache.key) == ("miss", first.cache.key)
    assert provider.calls == 2


def test_max_age_none_takes_any_age_within_a_policy_that_does_not():
    ask()

    with policy(max_age=0), policy(max_age=None):
        assert ask().from_cache


def test_store_false_reads_and_does_not_store(provider):
    with policy(store=False):
        assert fate(ask()) == ("miss", "disabled")
        ask()
    ask()

    with policy(store=False):
        assert fate(ask()) == ("hit", None)
    assert provider.calls == 3
