"""SDKs that try again after a fault, as often as they do where nobody says: they get over it, and wait for nothing."""

from __future__ import annotations

import asyncio

import pytest

from django_llmcache.testing import live_api, override_llmcache

from .asking import HI
from .test_sdks import VARIABLES

pytestmark = pytest.mark.filterwarnings("ignore")

MESSAGES = {"model": "gpt-4o-mini", "messages": HI}


@pytest.fixture
def recorder(slept, tmp_path, provider, monkeypatch):
    """Turn the recorder on, with the stand-in for every provider, when sleeping is noted already."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "made-up")
    host = provider.url.removeprefix("http://")
    with override_llmcache(TEST_CACHE={"ENABLED": True, "DIR": tmp_path / "fixtures", "HOSTS": [host]}):
        yield provider


def by_openai(url):
    import openai

    return openai.OpenAI(base_url=f"{url}/v1").chat.completions.create(**MESSAGES).choices


def by_openai_on_a_loop(url):
    import openai

    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{url}/v1") as client:
            return (await client.chat.completions.create(**MESSAGES)).choices

    return asyncio.run(ask())


def by_anthropic(url):
    import anthropic

    return anthropic.Anthropic(base_url=url).messages.create(model="claude-3-opus", max_tokens=99, messages=HI).content


def by_groq(url):
    import groq

    return groq.Groq(base_url=url).chat.completions.create(**MESSAGES).choices


def gemini(url):
    from google import genai
    from google.genai import types

    retries = types.HttpRetryOptions(attempts=4)
    return genai.Client(http_options=types.HttpOptions(base_url=url, retry_options=retries))


def by_google_genai(url):
    client = gemini(url)
    return client.models.generate_content(model="gemini-2.0-flash", contents="Hi").candidates


def by_google_genai_on_a_loop(url):
    async def ask():
        client = gemini(url)
        return (await client.aio.models.generate_content(model="gemini-2.0-flash", contents="Hi")).candidates

    return asyncio.run(ask())


def mistral(url):
    from mistralai.client import Mistral
    from mistralai.client.utils import BackoffStrategy, RetryConfig

    retries = RetryConfig("backoff", BackoffStrategy(500, 60_000, 1.5, 30_000), retry_connection_errors=True)
    return Mistral(api_key="made-up", server_url=url, retry_config=retries)


def by_mistralai(url):
    return mistral(url).chat.complete(model="mistral-tiny", messages=HI).choices


def by_mistralai_on_a_loop(url):
    async def ask():
        async with mistral(url) as client:  # else pytest tells of its sockets as it ends, and fails
            return (await client.chat.complete_async(model="mistral-tiny", messages=HI)).choices

    return asyncio.run(ask())


def by_langchain_openai(url):
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="gpt-4o-mini", base_url=f"{url}/v1").invoke("Hi").content


def by_langchains_own_retries(url):
    from langchain_core.runnables import RunnablePassthrough
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="gpt-4o-mini", base_url=f"{url}/v1", max_retries=0)
    return (RunnablePassthrough() | model).with_retry().invoke("Hi").content


WAYS = {
    by_openai: "openai", by_openai_on_a_loop: "openai", by_anthropic: "anthropic", by_groq: "groq",
    by_google_genai: "google.genai", by_google_genai_on_a_loop: "google.genai", by_mistralai: "mistralai.client",
    by_mistralai_on_a_loop: "mistralai.client", by_langchain_openai: "langchain_openai",
    by_langchains_own_retries: "langchain_openai",
}  # fmt: skip


CASES = [
    pytest.param(ask, fault, id=f"{ask.__name__.replace('_', ' ')} {fault}")
    for ask in WAYS
    for fault in ("429x2", "503x2", "timeoutx2", "refusedx2")
    if (ask, fault) != (by_google_genai_on_a_loop, "timeoutx2")  # over aiohttp it takes a time-out for the end
]


@pytest.mark.parametrize(("ask", "fault"), CASES)
def test_a_fault_is_got_over_without_waiting(slept, recorder, ask, fault):
    pytest.importorskip(WAYS[ask], reason=f"{WAYS[ask]} is not installed")
    with live_api(mode="once"):
        live = ask(recorder.url)

    with live_api(mode="replay", fault=fault):
        assert ask(recorder.url) == live
    assert max(slept) < 0.01
    assert recorder.calls == 1
