"""On event loops: any number of them, many calls at a time, and hits that wait for nothing."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from django_llmcache import achat, aembed, astream, cache, chat, embed
from django_llmcache.contrib.demo.standin import Reply, StandIn
from django_llmcache.providers import target
from django_llmcache.transports import over_httpx, over_threads
from tests.client.asking import HI, KEY
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

ANSWER = whole(b'{"choices": [{"message": {"content": "Hi"}}]}')
MIDDLEWARE = ["logging.LoggingMiddleware", "cache.CacheMiddleware", "retry.RetryMiddleware"]


def words(server, **more):
    return {"model": "m", "api_key": KEY, "base_url": f"{server.url}/v1", **more}


def test_a_hit_awaits_nothing(provider):
    """Driven by hand, without any loop, it is done at the first step."""
    stored = chat("openai", HI, **words(provider))

    with pytest.raises(StopIteration) as done:
        achat("openai", HI, **words(provider)).send(None)

    assert done.value.value.from_cache
    assert done.value.value.body == stored.body


@override_settings(LLMCACHE={"MIDDLEWARE": [f"django_llmcache.middleware.{name}" for name in MIDDLEWARE]})
def test_a_hit_awaits_nothing_behind_any_middleware_of_ours(provider):
    chat("openai", HI, **words(provider))

    with pytest.raises(StopIteration) as done:
        achat("openai", HI, **words(provider)).send(None)

    assert done.value.value.from_cache


def test_a_hit_on_embeddings_awaits_nothing(provider):
    embed("openai", "Hi", **words(provider))

    with pytest.raises(StopIteration) as done:
        aembed("openai", "Hi", **words(provider)).send(None)

    assert done.value.value.from_cache


def test_a_live_call_over_threads_needs_no_thread_of_the_loops_own(monkeypatch, provider):
    """The loop's executor is full of somebody else's work, and stays so until all calls are answered."""
    monkeypatch.setattr(target, "async_transport", lambda: over_threads)

    async def ask():
        loop, free = asyncio.get_running_loop(), threading.Event()
        executor = ThreadPoolExecutor(1)
        loop.set_default_executor(executor)
        busy = loop.run_in_executor(None, free.wait, LONG)
        answer = await achat("openai", HI, **words(provider))
        free.set()
        assert await busy
        return answer

    assert asyncio.run(ask()).text


def test_sixty_slow_calls_take_about_as_long_as_one(on_loop):
    latency = 0.5

    async def ask(provider):
        calls = (achat("openai", HI, **words(provider, seed=number)) for number in range(60))
        return await asyncio.gather(*calls)

    with StandIn(latency=latency) as provider:
        began = perf_counter()
        answers = asyncio.run(ask(provider))
        took = perf_counter() - began

        assert provider.calls == 60
    assert len({answer.cache.key for answer in answers}) == 60
    # Two at a time would take thirty times the latency; a busy machine takes its time, too.
    assert latency <= took < 8 * latency


def test_one_loop_after_another_is_served(on_loop):
    with Loopback(ANSWER) as server:
        for _ in range(4):
            assert asyncio.run(achat("openai", HI, **words(server, cache=False))).text == "Hi"

        assert len(server.requests) == 4


def test_loops_in_threads_are_served_at_the_same_time(on_loop, provider):
    async def ask(number):
        calls = [achat("openai", HI, **words(provider, seed=(number, step))) for step in range(5)]
        return [answer.text for answer in await asyncio.gather(*calls)]

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda number: asyncio.run(ask(number)), range(8)))

    assert provider.calls == 40
    assert all(text for found in texts for text in found)


def test_a_call_from_djangos_bridge_is_served(on_loop, provider):
    first = async_to_sync(achat)("openai", HI, **words(provider))
    second = async_to_sync(achat)("openai", HI, **words(provider))

    assert (first.from_cache, second.from_cache) == (False, True)


def test_a_loop_takes_its_connections_with_it():
    with Loopback(ANSWER) as server:
        asyncio.run(achat("openai", HI, **words(server)))

        assert server.gone.acquire(timeout=LONG)
    assert not [loop for loop in over_httpx._clients if loop.is_closed()]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_loop_that_was_closed_without_a_word_is_forgotten(provider):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(achat("openai", HI, **words(provider)))
    loop.close()

    assert asyncio.run(achat("openai", HI, **words(provider, cache=False))).text
    assert loop not in over_httpx._clients
    gc.collect()  # its socket complains of not being closed: here, and not in another test


def test_a_stream_read_to_its_end_gives_its_connection_back(on_loop):
    events = chunked_head("text/event-stream") + chunk(b'data: {"choices": []}\n\n') * 3 + b"0\r\n\r\n"

    async def ask(server):
        return [[event async for event in astream("openai", HI, **words(server))] for _ in range(3)]

    with Loopback(events) as server:
        found = asyncio.run(ask(server))

        assert [len(events) for events in found] == [3, 3, 3]
        assert server.connections == 1


def test_a_failing_call_leaves_others_alone(on_loop, provider):
    provider.script(Reply(500, b"{}"))

    async def ask():
        calls = (achat("openai", HI, **words(provider, seed=number)) for number in range(5))
        return await asyncio.gather(*calls, return_exceptions=True)

    failed = [answer for answer in asyncio.run(ask()) if isinstance(answer, Exception)]

    assert len(failed) == 1
    assert cache.stats().entries == 4
