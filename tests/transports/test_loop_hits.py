"""A hit on the event loop waits for nothing: neither a thread, nor whatever else the loop has to do."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager

import httpx
import httpx2
import pytest
from asgiref.sync import sync_to_async
from django.test import override_settings

from django_llmcache import LLMRequest, achat, aembed, cache
from django_llmcache.transports import cached_async_client

HI = [{"role": "user", "content": "Hi"}]
BODY = {"model": "gpt-4o-mini", "messages": HI}
MIDDLEWARE = [
    "django_llmcache.middleware.logging.LoggingMiddleware",
    "django_llmcache.middleware.cache.CacheMiddleware",
    "django_llmcache.middleware.retry.RetryMiddleware",
]


@pytest.fixture
def openai(provider):
    words = {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}
    with override_settings(LLMCACHE={"PROVIDERS": {"openai": words}, "MIDDLEWARE": MIDDLEWARE}):
        yield provider


async def _ask_provider(request):
    return {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}


@asynccontextmanager
async def by_achat(url):
    yield lambda: achat("openai", HI, model="gpt-4o-mini")


@asynccontextmanager
async def by_aembed(url):
    yield lambda: aembed("openai", ["Hi"], model="text-embedding-3-small")


@asynccontextmanager
async def by_awith_cache(url):
    yield lambda: cache.awith_cache(LLMRequest("openai", payload=BODY), _ask_provider)


@asynccontextmanager
async def by_httpx2(url):
    async with cached_async_client() as client:
        yield lambda: client.post(f"{url}/v1/chat/completions", json=BODY)


@asynccontextmanager
async def by_httpx(url):
    async with cached_async_client(library="httpx") as client:
        yield lambda: client.post(f"{url}/v1/chat/completions", json=BODY)


WAYS = [by_achat, by_aembed, by_awith_cache, by_httpx2, by_httpx]


def finished_at_once(coroutine):
    """Run a coroutine without a loop; return its result, which it must have before it waits for anything."""
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    return ended.value.value


@pytest.mark.parametrize("way", WAYS)
def test_it_ends_without_having_waited_once(openai, way):
    async def both():
        async with way(openai.url) as ask:
            live = await ask()
            return live, finished_at_once(ask())

    live, again = asyncio.run(both())

    assert openai.calls == (0 if way is by_awith_cache else 1)
    assert again.text == live.text
    assert isinstance(again, httpx.Response | httpx2.Response) or again.from_cache


def test_a_job_in_djangos_one_thread_holds_up_no_hit(openai):
    busy, done = threading.Event(), threading.Event()

    def job():
        busy.set()
        assert done.wait(20)

    async def both():
        await achat("openai", HI, model="gpt-4o-mini")
        running = asyncio.create_task(sync_to_async(job)())
        await asyncio.to_thread(busy.wait, 20)
        again = await achat("openai", HI, model="gpt-4o-mini")
        was_running = not running.done()
        done.set()
        await running
        return again, was_running

    again, was_running = asyncio.run(both())

    assert again.from_cache
    assert was_running
