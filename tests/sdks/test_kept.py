"""What an SDK on a cached client keeps: retries, time-outs, proxies, TLS, hooks, raw answers, streams, arguments."""

from __future__ import annotations

import asyncio
import gc
import json
import ssl

import pytest
from django.test import override_settings

from django_llmcache import policy
from django_llmcache.contrib.demo.standin import Reply, Stall
from django_llmcache.transports import cached_async_client, cached_client, wrap
from tests.recordings import load
from tests.transports.loopback import LONG, Loopback, self_signed, whole

from .asking import HI

openai = pytest.importorskip("openai", reason="openai is not installed: pip install openai")
anthropic = pytest.importorskip("anthropic", reason="anthropic is not installed: pip install anthropic")
groq = pytest.importorskip("groq", reason="groq is not installed: pip install groq")

# What the SDKs themselves warn of is none of our business.
pytestmark = pytest.mark.filterwarnings("ignore")

ASK = {"model": "gpt-4o-mini", "messages": HI}
SOON = {"retry-after-ms": "1", "content-type": "application/json"}
BUSY = Reply(429, b'{"error": {"message": "made up"}}', SOON)
ANSWER = load("openai-chat_completions-json-1").response_body


@pytest.fixture
def standin(provider):
    """Let the stand-in be each of these providers."""
    paths = {"openai": "/v1", "anthropic": "/v1", "groq": "/openai/v1"}
    providers = {name: {"BASE_URL": f"{provider.url}{path}"} for name, path in paths.items()}
    with override_settings(LLMCACHE={"PROVIDERS": providers}):
        yield provider


def made(standin, **words):
    """Return a client of OpenAI's SDK on a cached client of its own."""
    words = {"base_url": f"{standin.url}/v1", "api_key": "made-up", "max_retries": 0} | words
    return openai.OpenAI(**{"http_client": cached_client()} | words)


def wrapped(standin, **words):
    """Return the same, wrapped as it exists."""
    words = {"base_url": f"{standin.url}/v1", "api_key": "made-up", "max_retries": 0} | words
    return wrap(openai.OpenAI(**words))


both_ways = pytest.mark.parametrize("make", [made, wrapped])


@both_ways
def test_retries_are_the_sdks_and_an_answer_is_stored_once(standin, make):
    standin.script(BUSY, BUSY)
    with make(standin, max_retries=2) as client:
        live, again = (client.chat.completions.create(**ASK) for _ in range(2))

    assert standin.calls == 3
    assert again == live


@both_ways
def test_an_error_is_the_sdks_own_and_not_stored(standin, make):
    standin.script(BUSY)
    with make(standin) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)

    assert caught.value.status_code == 429
    assert standin.calls == 2


@both_ways
def test_a_time_out_of_one_call_holds(standin, make):
    standin.script(Stall(LONG))
    with make(standin) as client:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(timeout=0.1, **ASK)

        assert client.chat.completions.create(**ASK).choices


@both_ways
def test_a_broken_connection_is_the_sdks_own_error(make):
    with Loopback(lambda connection: None) as server:
        providers = {"openai": {"BASE_URL": f"{server.url}/v1"}}
        with (
            override_settings(LLMCACHE={"PROVIDERS": providers}),
            make(server) as client,
            pytest.raises(openai.APIConnectionError),
        ):
            client.chat.completions.create(**ASK)


@both_ways
def test_every_argument_is_passed_on(standin, make):
    with make(standin, default_headers={"x-team": "7"}, default_query={"tenant": "a"}) as client:
        client.chat.completions.create(
            temperature=0.5, extra_headers={"x-trace": "t-1"}, extra_query={"part": "b"}, extra_body={"own": [1]}, **ASK
        )

    (request,) = standin.requests
    assert request["path"] == "/v1/chat/completions?tenant=a&part=b"
    assert (request["headers"]["x-team"], request["headers"]["x-trace"]) == ("7", "t-1")
    assert request["headers"]["authorization"] == "Bearer made-up"
    assert request["body"] == {**ASK, "temperature": 0.5, "own": [1]}


@both_ways
def test_a_raw_response_says_where_it_came_from_and_parses_to_the_same(standin, make):
    with make(standin) as client:
        live, again = (client.chat.completions.with_raw_response.create(**ASK) for _ in range(2))

    assert (live.headers.get("x-llmcache"), again.headers.get("x-llmcache")) == (None, "hit")
    assert again.parse() == live.parse()
    assert again.text == live.text
    assert standin.calls == 1


@both_ways
@pytest.mark.parametrize("way", ["read", "text", "json", "parse", "iter_lines", "iter_bytes"])
def test_a_streaming_response_is_read_in_every_way(standin, make, way):
    found = []
    with make(standin) as client:
        for _ in range(2):
            with client.chat.completions.with_streaming_response.create(**ASK) as response:
                value = getattr(response, way)()
                found.append(list(value) if way.startswith("iter") else value)

    assert standin.calls == 1
    assert found[0] == found[1]
    assert found[0]


@both_ways
def test_the_helper_for_streams_gathers_each_anew(standin, make):
    texts = []
    with make(standin) as client:
        for _ in range(2):
            with client.chat.completions.stream(**ASK) as stream:
                texts.append("".join(event.delta for event in stream if event.type == "content.delta"))

    assert standin.calls == 2
    assert texts[0] == texts[1] != ""


def test_hooks_of_the_client_see_live_answers_and_stored_ones(standin):
    seen = []
    hooks = {"response": [lambda response: seen.append((response.status_code, response.headers.get("x-llmcache")))]}
    with made(standin, http_client=cached_client(event_hooks=hooks)) as client:
        for _ in range(2):
            client.chat.completions.create(**ASK)

    assert seen == [(200, None), (200, "hit")]


def test_a_proxy_of_the_client_is_asked(standin):
    with Loopback(whole(ANSWER)) as proxy, made(standin, http_client=cached_client(proxy=proxy.url)) as client:
        live, again = (client.chat.completions.create(**ASK) for _ in range(2))

    assert proxy.requests[0].startswith(f"POST {standin.url}/v1/chat/completions ".encode())
    assert (len(proxy.requests), standin.calls) == (1, 0)
    assert again == live


def test_the_clients_own_trust_holds(tmp_path):
    """A certificate that nobody else knows."""
    certificate = self_signed(tmp_path)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    with Loopback(whole(ANSWER), tls=own) as server:
        base = f"https://{server.address}/v1"
        words = {"base_url": base, "api_key": "made-up", "max_retries": 0}
        trusting = cached_client(verify=ssl.create_default_context(cafile=certificate))
        with (
            override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": base}}}),
            openai.OpenAI(http_client=cached_client(), **words) as stranger,
            openai.OpenAI(http_client=trusting, **words) as client,
        ):
            with pytest.raises(openai.APIConnectionError):
                stranger.chat.completions.create(**ASK)
            live, again = (client.chat.completions.create(**ASK) for _ in range(2))

    assert again == live
    assert len(server.requests) == 1


@both_ways
@pytest.mark.parametrize(
    ("recorded", "ask"),
    [
        ("openai-code-execution-2", lambda client: client.responses.create(model="gpt-4o", input="Hi")),
        ("azure-embeddings-1", lambda client: client.embeddings.create(model="e", input=["Hi"])),
        ("openai-completions-1", lambda client: client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hi")),
    ],
    ids=["responses", "embeddings", "completions"],
)
def test_other_calls_are_cached_too(standin, make, recorded, ask):
    standin.script(Reply(200, load(recorded).response_body))
    with make(standin) as client, policy(admit=["truncated"]):  # as the recorded completion was
        live, again = ask(client), ask(client)

    assert standin.calls == 1
    assert again == live


def test_azure_is_cached(provider):
    base = f"{provider.url}/openai/deployments/gpt-4o-mini"
    words = {"azure_endpoint": provider.url, "api_key": "made-up", "api_version": "2024-02-01", "max_retries": 0}
    with (
        override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": base}}}),
        openai.AzureOpenAI(http_client=cached_client(), **words) as client,
    ):
        live, again = (client.chat.completions.create(**ASK) for _ in range(2))

    assert provider.requests[0]["path"].endswith("/gpt-4o-mini/chat/completions?api-version=2024-02-01")
    assert provider.calls == 1
    assert again == live


def openai_async(url):
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="made-up", http_client=cached_async_client())


def test_streams_on_the_event_loop_pass_untouched(standin):
    async def read():
        async with openai_async(standin.url) as client:
            for _ in range(2):
                stream = await client.chat.completions.create(stream=True, **ASK)
                yield [chunk.choices[0].delta.content async for chunk in stream if chunk.choices]

    async def both():
        return [pieces async for pieces in read()]

    first, second = asyncio.run(both())

    assert standin.calls == 2
    assert len(first) > 1
    assert second == first


def test_a_stream_left_early_gives_its_connection_back(standin):
    async def leave():
        async with openai_async(standin.url) as client:
            stream = await client.chat.completions.create(stream=True, **ASK)
            async for _ in stream:
                break
            await stream.close()
            return await client.chat.completions.create(**ASK)

    assert asyncio.run(leave()).choices
    assert standin.calls == 2


WRAPPED = {
    "openai": (
        lambda url: openai.OpenAI(base_url=f"{url}/v1", api_key="made-up"),
        lambda url: openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="made-up"),
        lambda client: client.chat.completions.create(**ASK),
    ),
    "anthropic": (
        lambda url: anthropic.Anthropic(base_url=url, api_key="made-up"),
        lambda url: anthropic.AsyncAnthropic(base_url=url, api_key="made-up"),
        lambda client: client.messages.create(model="claude-3-opus", max_tokens=100, messages=HI),
    ),
    "groq": (
        lambda url: groq.Groq(base_url=url, api_key="made-up"),
        lambda url: groq.AsyncGroq(base_url=url, api_key="made-up"),
        lambda client: client.chat.completions.create(model="llama3-8b-8192", messages=HI),
    ),
}


@pytest.mark.parametrize("name", WRAPPED)
class TestWrap:
    def test_a_client_that_exists(self, standin, name):
        make, _, ask = WRAPPED[name]
        original = make(standin.url)
        with wrap(original) as client:
            live, again = ask(client), ask(client)

        assert standin.calls == 1
        assert again == live
        assert type(client) is type(original)

    def test_a_copy_that_is_collected_leaves_the_original_open(self, standin, name):
        make, _, ask = WRAPPED[name]
        with make(standin.url) as original:
            ask(wrap(original))
            gc.collect()

            assert ask(original)

    def test_closing_the_original_closes_the_copy(self, standin, name):
        make, _, _ = WRAPPED[name]
        original = make(standin.url)
        client = wrap(original)

        original.close()

        assert client.is_closed()

    def test_an_async_client_that_exists(self, standin, name):
        _, make, ask = WRAPPED[name]

        async def both():
            async with wrap(make(standin.url)) as client:
                return [await ask(client), await ask(client)]

        live, again = asyncio.run(both())

        assert standin.calls == 1
        assert again == live

    def test_an_async_copy_that_is_collected_leaves_the_original_open(self, standin, name):
        _, make, ask = WRAPPED[name]

        async def both():
            async with make(standin.url) as original:
                await ask(wrap(original))
                gc.collect()
                await asyncio.sleep(0)
                return await ask(original)

        assert asyncio.run(both())


def test_the_control_header_is_heeded_and_not_sent(standin):
    with made(standin) as client:
        for _ in range(2):
            client.chat.completions.create(extra_headers={"x-llmcache-control": "no-cache"}, **ASK)

    assert standin.calls == 2
    assert not any("x-llmcache-control" in request["headers"] for request in standin.requests)


def test_what_is_no_llm_call_passes_untouched(standin):
    standin.script(*[Reply(200, json.dumps({"data": [], "object": "list"}).encode())] * 2)
    with made(standin) as client:
        for _ in range(2):
            client.models.list()

    assert standin.calls == 2
