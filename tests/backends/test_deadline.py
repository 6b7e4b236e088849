"""How long a store may take on an event loop that has other work as well."""

from __future__ import annotations

import asyncio
import time

import pytest

from django_llmcache.backends.stores.deadline import within


def test_a_store_that_does_not_answer_is_given_up():
    async def work():
        async with within(0.05):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(work(), 60))


def test_what_the_loop_computes_meanwhile_does_not_count(monkeypatch):
    monkeypatch.setattr(time, "thread_time", time.monotonic)  # as of a loop that computes all the time

    async def work():
        answer = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.12, answer.set_result, None)
        async with within(0.05):
            await answer
        return "answered"

    assert asyncio.run(work()) == "answered"


def test_a_loop_that_is_held_up_does_not_count():
    async def work():
        answer = asyncio.get_running_loop().create_future()
        async with within(0.05):
            asyncio.get_running_loop().call_soon(hold_up, answer)
            await answer
        return "answered"

    def hold_up(answer):
        asyncio.get_running_loop().call_soon(answer.set_result, None)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass

    assert asyncio.run(work()) == "answered"


def test_a_loop_that_is_always_busy_ends_too():
    async def work():
        with pytest.raises(TimeoutError):
            async with within(0.005):
                while True:  # noqa: ASYNC110
                    await asyncio.sleep(0)

    asyncio.run(work())
