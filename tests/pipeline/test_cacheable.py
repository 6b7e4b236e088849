"""CACHEABLE, a project's own word on what is cached; and what both deciders of the settings may not be."""

from __future__ import annotations

import asyncio

import pytest

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
