"""What middleware above the cache changes is in the key, and so it is sent: whoever asks that gets its own answer."""

from __future__ import annotations

import asyncio
import json

import pytest
from django.test import override_settings

from django_llmcache import achat, chat
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.providers.traffic import LARGE
from django_llmcache.transports import cached_async_client, cached_client, cached_session

CACHE = "django_llmcache.middleware.cache.CacheMiddleware"
MESSAGES = [{"role": "user", "content": "Hi"}]
BETA = {"openai-beta": "long"}
LIBRARIES = ("requests", "httpx", "httpx2", "async httpx", "async httpx2")

change = []
"""What the middleware does to a request, where it does anything."""


class Changing:
    """Middleware that passes on another request."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(change[0](request) if change else request)


def by_client(kind):
    """Return what asks by an HTTP client, and returns whether the answer was stored."""

    def ask(openai, *, messages=MESSAGES, headers=None, query=""):
        body = json.dumps({"model": "gpt-4o-mini", "messages": messages}).encode()
        words = {"headers": {"content-type": "application/json", **(headers or {})}}
        url = f"{openai.url}/v1/chat/completions{query}"
        if kind == "requests":
            with cached_session() as session:
                return session.post(url, data=body, timeout=5, **words).headers.get("x-llmcache") == "hit"
        if kind.startswith("async"):
            return asyncio.run(awaited(url, content=body, **words))
        with cached_client(library=kind) as client:
            return client.post(url, content=body, **words).headers.get("x-llmcache") == "hit"

    async def awaited(url, **words):
        async with cached_async_client(library=kind.removeprefix("async ")) as client:
            return (await client.post(url, **words)).headers.get("x-llmcache") == "hit"

    return ask


def by_chat(openai, *, messages=MESSAGES, headers=None):
    return chat("openai", messages, model="gpt-4o-mini", extra_headers=headers).from_cache


def by_achat(openai, *, messages=MESSAGES, headers=None):
    return asyncio.run(achat("openai", messages, model="gpt-4o-mini", extra_headers=headers)).from_cache


CLIENTS = {kind: by_client(kind) for kind in LIBRARIES}
WAYS = {"chat": by_chat, "achat": by_achat, **CLIENTS}


@pytest.fixture
def openai(provider):
    """Let the stand-in be OpenAI, behind the middleware."""
    words = {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}
    with override_settings(LLMCACHE={"MIDDLEWARE": [f"{__name__}.Changing", CACHE], "PROVIDERS": {"openai": words}}):
        yield provider
    change.clear()


@pytest.fixture(params=WAYS)
def ask(request):
    return WAYS[request.param]


@pytest.fixture(params=CLIENTS)
def post(request):
    return CLIENTS[request.param]


def with_beta(request):
    return request.replace(headers=(*request.headers, *BETA.items()))


def test_a_header_that_counts_is_sent(openai, ask):
    change[:] = [with_beta]
    ask(openai)
    change.clear()

    assert ask(openai, headers=BETA)
    assert openai.requests[0]["headers"]["openai-beta"] == "long"


def test_one_that_comes_twice_is_sent_with_both_values(openai, ask):
    change[:] = [with_beta]

    ask(openai, headers={"OpenAI-Beta": "wide"})

    assert openai.requests[0]["headers"]["openai-beta"] == "long, wide"


def test_one_that_is_taken_out_is_not_sent(openai, ask):
    change[:] = [lambda request: request.replace(headers=())]
    ask(openai, headers=BETA)
    change.clear()

    assert ask(openai)
    assert "openai-beta" not in openai.requests[0]["headers"]


def test_credentials_and_what_does_not_count_are_sent_as_they_were(openai, ask):
    change[:] = [lambda request: request.replace(headers=())]

    ask(openai, headers={"authorization": "Bearer sk-one", "x-trace": "seven"})

    sent = openai.requests[0]["headers"]
    assert (sent["authorization"], sent["x-trace"]) == ("Bearer sk-one", "seven")
    assert sent["content-type"] == "application/json"


@pytest.mark.parametrize("call", [by_chat, by_achat])
def test_a_header_that_cannot_be_sent_is_told_before_it_is(openai, call):
    change[:] = [lambda request: request.replace(headers=[("openai-beta", "two\nlines")])]

    with pytest.raises(ConfigurationError, match="openai-beta"):
        call(openai)
    assert openai.calls == 0


def test_a_query_is_sent_beside_the_credential_in_it(openai, post):
    change[:] = [lambda request: request.replace(query=[("beta", "yes & no")])]
    post(openai, query="?api_key=sk-one&alt=json")
    change.clear()

    assert post(openai, query="?beta=yes+%26+no")
    assert openai.requests[0]["path"] == "/v1/chat/completions?api_key=sk-one&beta=yes+%26+no"


def test_another_address_has_its_own_host(openai, post):
    other = openai.url.replace("127.0.0.1", "localhost")
    change[:] = [lambda request: request.replace(base_url=f"{other}/v1")]

    post(openai)

    assert openai.requests[0]["headers"]["host"] == other.removeprefix("http://")


def insert(request):
    """Put a turn before the others, where they lie."""
    request.payload["messages"].insert(0, {"role": "system", "content": "You are a pirate"})
    return request


@pytest.mark.parametrize("text", ["Hi", "Hi" * LARGE], ids=["small", "large"])
def test_a_conversation_that_is_changed_in_place_is_sent(openai, ask, text):
    asked = [{"role": "user", "content": text}]
    change[:] = [insert]
    ask(openai, messages=list(asked))
    change.clear()

    assert not ask(openai, messages=list(asked))
    assert ask(openai, messages=[{"role": "system", "content": "You are a pirate"}, *asked])
    assert [len(request["body"]["messages"]) for request in openai.requests] == [2, 1]


def test_and_so_is_one_that_was_asked_before_it_was_changed(openai, ask):
    asked = [{"role": "user", "content": "Hi" * LARGE}]
    ask(openai, messages=list(asked))
    change[:] = [insert]

    assert not ask(openai, messages=list(asked))
    assert [len(request["body"]["messages"]) for request in openai.requests] == [1, 2]


def test_what_is_equal_in_python_and_another_in_json_is_sent(openai, post):
    change[:] = [lambda request: request.replace(payload={**request.payload, "messages": [{"n": True}]})]

    post(openai, messages=[{"n": 1}])

    assert openai.requests[0]["body"]["messages"] == [{"n": True}]
    assert openai.requests[0]["body"]["messages"][0]["n"] is True


def test_what_is_only_looked_at_is_sent_as_it_is_spelled(openai):
    change[:] = [lambda request: request.replace(payload=dict(request.payload))]
    content = b'{ "model": "gpt-4o-mini", "messages": [{"role": "user", "content": "\\u00e9 1.0"}], "n": 1.0 }'
    seen = []

    with cached_client(event_hooks={"request": [lambda request: seen.append(request.content)]}) as client:
        client.post(f"{openai.url}/v1/chat/completions", content=content)

    assert seen == [content]
