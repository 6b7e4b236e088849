"""A whole answer that its caller reads piece by piece, raw or decoded: live and from the cache."""

from __future__ import annotations

import asyncio
import gzip
import json

import httpx
import httpx2
import pytest
import requests
from django.test import override_settings

from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.transports import cached_async_client, cached_client, cached_session

BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}).encode()
ANSWER = json.dumps({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}).encode()
LIBRARIES = ("httpx", "httpx2")
DECODING_ERRORS = {"httpx": httpx.DecodingError, "httpx2": httpx2.DecodingError}


ZIPPED = {"content-type": "application/json", "content-encoding": "gzip"}


@pytest.fixture
def openai(provider):
    """Let the stand-in be OpenAI, which answers once, compressed."""
    provider.script(Reply(body=gzip.compress(ANSWER), headers=ZIPPED))
    with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1"}}}):
        yield provider


def decoded(raw, headers):
    return gzip.decompress(raw) if headers.get("content-encoding") == "gzip" else raw


def read(library, url, way):
    """Return what two streamed answers to one question are, read in one way."""
    found = []
    with cached_client(library=library) as client:
        for _ in range(2):
            with client.stream("POST", f"{url}/v1/chat/completions", content=BODY) as response:
                pieces = b"".join(getattr(response, way)())
                found.append(decoded(pieces, response.headers) if way == "iter_raw" else pieces)
    return found


async def aread(library, url, way):
    found = []
    async with cached_async_client(library=library) as client:
        for _ in range(2):
            async with client.stream("POST", f"{url}/v1/chat/completions", content=BODY) as response:
                pieces = b"".join([piece async for piece in getattr(response, way)()])
                found.append(decoded(pieces, response.headers) if way == "aiter_raw" else pieces)
    return found


@pytest.mark.parametrize("way", ["iter_raw", "iter_bytes"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_of_httpx(openai, library, way):
    assert read(library, openai.url, way) == [ANSWER, ANSWER]
    assert openai.calls == 1


@pytest.mark.parametrize("way", ["aiter_raw", "aiter_bytes"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_of_httpx_on_an_event_loop(openai, library, way):
    assert asyncio.run(aread(library, openai.url, way)) == [ANSWER, ANSWER]
    assert openai.calls == 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_says_how_long_it_took(openai, library):
    with cached_client(library=library) as client:
        for _ in range(2):
            with client.stream("POST", f"{openai.url}/v1/chat/completions", content=BODY) as response:
                response.read()

            assert response.elapsed.total_seconds() > 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_says_how_long_it_took_on_an_event_loop(openai, library):
    async def ask():
        async with cached_async_client(library=library) as client:
            for _ in range(2):
                async with client.stream("POST", f"{openai.url}/v1/chat/completions", content=BODY) as response:
                    await response.aread()
                yield response.elapsed.total_seconds()

    async def both():
        return [seconds async for seconds in ask()]

    assert min(asyncio.run(both())) > 0


@pytest.mark.parametrize(
    "way",
    [
        lambda response: decoded(response.raw.read(), response.raw.headers),
        lambda response: response.raw.read(decode_content=True),
        lambda response: b"".join(response.iter_content(7)),
        lambda response: response.content,
    ],
    ids=["raw", "raw decoded", "iter_content", "content"],
)
def test_of_requests(openai, way):
    with cached_session() as session:
        asked = [session.post(f"{openai.url}/v1/chat/completions", data=BODY, stream=True, timeout=5) for _ in range(2)]

        assert [way(response) for response in asked] == [ANSWER, ANSWER]
    assert openai.calls == 1


def test_of_a_session_that_streams_whatever_it_sends(openai):
    with cached_session() as session:
        session.stream = True
        request = session.prepare_request(requests.Request("POST", f"{openai.url}/v1/chat/completions", data=BODY))
        asked = [session.send(request) for _ in range(2)]

        assert [decoded(response.raw.read(), response.raw.headers) for response in asked] == [ANSWER, ANSWER]
    assert openai.calls == 1


@pytest.mark.parametrize("stream", [True, False])
def test_of_requests_says_the_version_of_http(openai, stream):
    with cached_session() as session:
        url = f"{openai.url}/v1/chat/completions"
        asked = [session.post(url, data=BODY, stream=stream, timeout=5) for _ in range(2)]

    assert [response.raw.version for response in asked] == [11, 11]


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_answer_that_can_not_be_decoded_is_told_with_its_request(provider, library):
    provider.script(Reply(body=b"no gzip", headers=ZIPPED))
    words = {"PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1"}}}
    with override_settings(LLMCACHE=words), pytest.raises(DECODING_ERRORS[library]) as caught:
        read(library, provider.url, "iter_bytes")

    assert caught.value.request.url.path == "/v1/chat/completions"
