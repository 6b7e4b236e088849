"""What is asked inside a call is part of it, and what its tasks and threads ask afterwards is not."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django_llmcache import LLMRequest, cache
from django_llmcache.upstream import Upstream, under_way
from tests.pipeline.world import fate

ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}


def request(name):
    return LLMRequest("mine", payload={"messages": [{"role": "user", "content": name}]})


def answer(request):
    return ANSWER


async def aanswer(request):
    return ANSWER


def test_a_task_that_outlives_the_call_is_answered_from_the_cache():
    async def main():
        over = asyncio.Event()
        fates = []

        async def ask_later():
            fates.append(fate(await cache.awith_cache(request("inner"), aanswer)))
            await over.wait()
            fates.extend([fate(await cache.awith_cache(request("inner"), aanswer)) for _ in range(2)])

        async def call(_):
            tasks.append(asyncio.create_task(ask_later()))
            await asyncio.sleep(0)
            return ANSWER

        tasks = []
        await cache.awith_cache(request("outer"), call)
        over.set()
        await tasks[0]
        return fates

    assert asyncio.run(main()) == [("bypass", None), ("miss", None), ("hit", None)]


def test_so_is_a_thread_with_a_copy_of_the_context():
    contexts = []

    def call(_):
        contexts.append(contextvars.copy_context())
        return ANSWER

    cache.with_cache(request("outer"), call)
    with ThreadPoolExecutor(1) as pool:
        asked = [pool.submit(contexts[0].run, cache.with_cache, request("inner"), answer).result() for _ in range(2)]

    assert [fate(response) for response in asked] == [("miss", None), ("hit", None)]


def test_a_call_that_failed_is_over_as_well():
    contexts = []

    def call(_):
        contexts.append(contextvars.copy_context())
        raise LookupError

    with suppress(LookupError):
        cache.with_cache(request("outer"), call)

    assert fate(contexts[0].run(cache.with_cache, request("inner"), answer)) == ("miss", None)


def test_what_began_in_an_inner_call_is_inside_while_the_outer_one_lasts():
    """Else it could wait for the call that waits for it."""
    with Upstream():
        with Upstream():
            context = contextvars.copy_context()
        assert context.run(under_way.get)
    assert not context.run(under_way.get)
