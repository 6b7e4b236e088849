"""Which library sends from an event loop."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from django_llmcache import achat, transports
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.providers import target
from django_llmcache.transports import over_threads
from tests.client.asking import HI, KEY


@pytest.fixture(autouse=True)
def _chosen_anew():
    choice = target.async_transport
    choice.cache_clear()
    yield
    choice.cache_clear()


def ask(provider, **words):
    return asyncio.run(achat("openai", HI, model="m", api_key=KEY, base_url=f"{provider.url}/v1", **words))


def test_httpx2_sends_where_it_is_installed(provider):
    ask(provider)

    assert provider.requests[0]["headers"]["user-agent"].startswith("python-httpx2/")


def test_requests_sends_from_threads_of_our_own_where_httpx2_is_not_installed(provider, monkeypatch):
    monkeypatch.delattr(transports, "over_httpx")
    monkeypatch.setitem(sys.modules, "django_llmcache.transports.over_httpx", None)

    assert ask(provider).text

    assert provider.requests[0]["headers"]["user-agent"].startswith("python-requests/")
    assert [thread for thread in threading.enumerate() if thread.name.startswith("llmcache_")]


def test_no_more_threads_run_than_the_settings_say(provider, monkeypatch, settings):
    monkeypatch.setattr(target, "async_transport", lambda: over_threads)
    settings.LLMCACHE = {"ASYNC_THREADS": 2}
    provider.script(*[Reply(200, b'{"choices": []}')] * 8)
    before = {thread for thread in threading.enumerate() if thread.name.startswith("llmcache_")}

    async def ask():
        calls = (
            achat("openai", HI, model="m", api_key=KEY, base_url=f"{provider.url}/v1", seed=number)
            for number in range(8)
        )
        await asyncio.gather(*calls)

    asyncio.run(ask())

    after = {thread for thread in threading.enumerate() if thread.name.startswith("llmcache_")}
    assert len(after - before) == 2
