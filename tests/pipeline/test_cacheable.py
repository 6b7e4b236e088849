"""CACHEABLE, a project's own word on what is cached; and what both deciders of the settings may not be."""

from __future__ import annotations

import asyncio
import os

import pytest

from django_llmcache import LLMRequest, cache, workers
from django_llmcache.exceptions import ConfigurationError
from tests.pipeline.world import aask, ask, fate

DECIDERS = "tests.pipeline.deciders"
both_ways = pytest.mark.parametrize("call", [ask, lambda **words: asyncio.run(aask(**words))], ids=["chat", "achat"])


@pytest.mark.parametrize(
    ("decider", "words", "expected"),
    [
        ("always", {}, ("miss", None)),
        ("never", {}, ("bypass", "disabled")),
        ("nobody", {}, ("bypass", "disabled")),
        ("only_cold", {"temperature": 0}, ("miss", None)),
        ("only_cold", {"temperature": 0.7}, ("bypass", "too hot")),
        ("never", {"cache": True}, ("miss", None)),
        ("always", {"cache": False}, ("bypass", "disabled")),
    ],
)
def test_cacheable_decides_for_a_call_that_says_nothing(configure, decider, words, expected):
    configure(CACHEABLE=f"{DECIDERS}.{decider}")

    assert fate(ask(**words)) == expected


def test_cacheable_is_asked_about_each_request(configure):
    configure(CACHEABLE=f"{DECIDERS}.only_cold")

    fates = [fate(ask(temperature=number)) for number in (0, 1, 0, 1)]

    assert fates == [("miss", None), ("bypass", "too hot"), ("hit", None), ("bypass", "too hot")]


def refuse(reason):
    """Ask what CACHEABLE refuses for this reason; nothing is sent."""
    request = LLMRequest("openai", payload={"messages": [{"role": "user", "content": reason}]})
    return cache.with_cache(request, lambda _: b"{}")


def test_a_reason_made_up_for_each_call_is_counted_within_bounds(configure):
    """The counters would grow without end, and no shell could read them any more, nor see that this worker clears."""
    configure(CACHEABLE=f"{DECIDERS}.says")

    for number in range(3000):
        refuse(f"not for user {number}")

    stats = cache.stats()
    assert len(stats.bypassed) < 150
    assert sum(stats.bypassed.values()) == 3000
    assert (stats.misses, stats.bypassed["not for user 0"]) == (0, 1)
    workers.current().look(publish=True)
    assert [worker.pid for worker in workers.published()] == [os.getpid()]


@pytest.mark.parametrize("reason", ["long" * 30_000, "half of an emoji: \ud83d", "two\nlines"])
def test_a_reason_that_cannot_be_published_is_counted_among_the_others(configure, reason):
    configure(CACHEABLE=f"{DECIDERS}.says")

    answer = refuse(reason)

    assert fate(answer) == ("bypass", reason)
    assert cache.stats().bypassed == {"other": 1}


@both_ways
@pytest.mark.parametrize("decider", ["raises", "number"])
def test_a_cacheable_that_fails_costs_the_caching_and_not_the_call(configure, provider, events, call, decider):
    configure(CACHEABLE=f"{DECIDERS}.{decider}")

    assert fate(call()) == ("bypass", "error")
    assert fate(call()) == ("bypass", "error")
    assert (provider.calls, events.names) == (2, ["error", "miss", "error", "miss"])


def test_an_async_cacheable_is_not_taken_for_a_yes(configure, events, recwarn):
    configure(CACHEABLE=f"{DECIDERS}.awaits")

    assert fate(ask()) == ("bypass", "error")
    assert "coroutine" in events.of("error")[0]["error"]
    recwarn.clear()


@pytest.mark.parametrize("name", ["CACHEABLE", "SCOPE"])
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("no.such.module", "does not import"),
        (f"{DECIDERS}.missing", "does not import"),
        (".relative", "does not import"),
        (f"{DECIDERS}.NOT_CALLABLE", "cannot be called"),
    ],
)
def test_a_decider_that_cannot_be_had_is_an_error_that_names_the_setting(configure, provider, name, path, says):
    configure(**{name: path})

    with pytest.raises(ConfigurationError) as caught:
        ask()

    assert f"settings.LLMCACHE[{name!r}] is {path!r}" in str(caught.value)
    assert says in str(caught.value)
    assert provider.calls == 0
