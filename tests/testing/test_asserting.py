"""``assert_llm_calls`` counts what a block asks of providers, whoever answers in their place."""

from __future__ import annotations

import asyncio

import pytest

from django_llmcache import achat, chat
from django_llmcache.testing import assert_llm_calls
from tests.pipeline.world import configure  # noqa: F401 - a fixture

from .conftest import ON

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(autouse=True)
def no_answers_yet(configure):  # noqa: F811
    configure()


def test_a_call_is_one_and_a_hit_is_none():
    with assert_llm_calls(1, hits=1) as calls:
        chat("openai", HI)
        chat("openai", HI)

    assert [call["provider"] for call in calls.live] == ["openai"]


def test_on_the_event_loop_too():
    async def ask_twice():
        await achat("openai", HI)
        await achat("openai", HI)

    with assert_llm_calls(1, hits=1):
        asyncio.run(ask_twice())


def test_any_number_of_hits_will_do_where_none_is_said():
    chat("openai", HI)

    with assert_llm_calls(0):
        chat("openai", HI)


@pytest.mark.parametrize("words", [{"number": 2}, {"number": 1, "hits": 0}], ids=str)
def test_another_number_is_told_with_each_call(words):
    told = pytest.raises(AssertionError, match=r"there were 1 and 1:\n  live  openai .*\n  hit   openai")
    with told, assert_llm_calls(**words):
        chat("openai", HI)
        chat("openai", HI)


IN_A_TEST = """
    from django.test import SimpleTestCase
    from django_llmcache import achat, cached, chat
    from django_llmcache.testing import assert_llm_calls, live_api

    HI = [{"role": "user", "content": "Hi"}]


    @cached
    def greeting():
        return chat("openai", HI).text


    @cached
    async def agreeting():
        return (await achat("openai", HI)).text


    @live_api
    class Tests(SimpleTestCase):
        def test_one_inside_another_is_one(self):
            with assert_llm_calls(1):
                greeting()

        async def test_one_inside_another_is_one_on_the_loop(self):
            with assert_llm_calls(1):
                await agreeting()

        def test_calls(self):
            with assert_llm_calls(2, hits=0) as calls:
                chat("openai", HI)
                chat("openai", HI)
            self.assertEqual([call["reason"] for call in calls.live], ["test_cache"] * 2)

        async def test_calls_on_the_loop(self):
            with assert_llm_calls(1):
                await achat("openai", HI)

        def test_others(self):
            with self.assertRaises(AssertionError), assert_llm_calls(0):
                chat("openai", HI)
"""


def test_what_the_recorder_answers_is_a_call(project, provider):
    project.write("test_calls.py", IN_A_TEST)

    recorded = project.manage("test", **ON)
    replayed = project.manage("test", **ON, LLMCACHE_TEST_CACHE_MODE="replay")

    assert (recorded.code, replayed.code) == (0, 0), (recorded, replayed)
