"""Clients of each HTTP library on the cache: what is answered from it, what passes, what stays its own."""

from __future__ import annotations

import asyncio
import importlib
import json
import threading
import time

import httpx
import httpx2
import pytest
import requests
from django.conf import settings
from django.test import override_settings

from django_llmcache import LLMResponse, chat, control, policy
from django_llmcache.contrib.demo.standin import HangUp, Reply, Stall
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.signals import cache_hit, cache_miss
from django_llmcache.transports import cached_async_client, cached_client, cached_session, wrap
from tests.pipeline.layers import TOKENS

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
CACHE = "django_llmcache.middleware.cache.CacheMiddleware"
KINDS = ("requests", "httpx", "httpx2", "async httpx", "async httpx2")


class Seen:
    """What a client got, whatever its library."""

    def __init__(self, response):
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}
        self.body = response.content
        self.response = response

    @property
    def from_cache(self):
        return self.headers.get("x-llmcache") == "hit"


class Client:
    """One kind of client: posts, and says what came."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url

    def post(self, *bodies, path="/v1/chat/completions", headers=None, content=None, hooks=None):
        """Return what came of each body, sent one after the other by one client."""
        sent = [content if content is not None else json.dumps(body).encode() for body in bodies or (BODY,)]
        with_headers = {"content-type": "application/json", **(headers or {})}
        url = f"{self.url}{path}"
        if self.kind == "requests":
            with cached_session() as session:
                if hooks:
                    session.hooks["response"] = [hooks["response"]]
                return [Seen(session.post(url, data=body, headers=with_headers, timeout=5)) for body in sent]
        library = self.kind.removeprefix("async ")
        if self.kind.startswith("async"):
            return asyncio.run(self._apost(library, url, sent, with_headers, hooks))
        events = {name: [hook] for name, hook in (hooks or {}).items()}
        with cached_client(library=library, event_hooks=events) as client:
            return [Seen(client.post(url, content=body, headers=with_headers)) for body in sent]

    async def _apost(self, library, url, sent, headers, hooks):
        def awaited(hook):
            async def call(message):
                hook(message)

            return call

        events = {name: [awaited(hook)] for name, hook in (hooks or {}).items()}
        async with cached_async_client(library=library, event_hooks=events) as client:
            return [Seen(await client.post(url, content=body, headers=headers)) for body in sent]


@pytest.fixture
def openai(provider):
    """Let the stand-in be OpenAI."""
    with override_settings(
        LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}}}
    ):
        yield provider


@pytest.fixture(params=KINDS)
def client(request, openai):
    return Client(request.param, openai.url)


def test_the_second_answer_comes_from_the_cache(client, openai):
    live, again = client.post(BODY, BODY)

    assert openai.calls == 1
    assert not live.from_cache
    assert again.from_cache
    assert (again.status, again.body) == (200, live.body)
    assert again.headers["content-type"] == live.headers["content-type"]
    assert again.response.json() == live.response.json()


def test_elapsed_of_a_hit_is_the_time_the_hit_took(client, openai):
    openai.script(Stall(0.1))
    started = time.perf_counter()

    live, again = client.post(BODY, BODY)

    took = time.perf_counter() - started
    assert again.from_cache
    assert 0 < again.response.elapsed.total_seconds() <= took - live.response.elapsed.total_seconds()


def test_a_hit_says_how_old_it_is_and_nothing_that_was_true_back_then(client):
    live, again = client.post(BODY, BODY)

    assert int(again.headers["x-llmcache-age"]) >= 0
    assert len(again.headers["x-llmcache-id"]) == 16
    assert any(name.startswith("x-ratelimit") for name in live.headers)
    assert not any(name.startswith(("x-ratelimit", "x-request-id")) for name in again.headers)


def test_it_shares_answers_with_chat(client, openai):
    client.post(BODY)

    assert chat("openai", BODY["messages"], model="gpt-4o-mini").from_cache
    assert openai.calls == 1


def test_nobody_reads_what_another_told_the_provider_where_its_answer_repeats_it(client, openai):
    alice, bob = ({"model": "m", "input": "Hi", "metadata": {"name": name}} for name in ("alice", "bob"))
    said = {"status": "completed", "output": [{"content": [{"text": "Hi"}]}]}
    openai.script(*(Reply(200, json.dumps(said | {"metadata": who["metadata"]}).encode()) for who in (alice, bob)))

    seen = client.post(alice, bob, path="/v1/responses")

    assert [each.response.json()["metadata"] for each in seen] == [alice["metadata"], bob["metadata"]]


def test_hosts_at_one_address_are_kept_apart(client, openai):
    hosts = [client.post(BODY, headers={"host": name})[0] for name in ("a.example", "b.example", "a.example")]

    assert [seen.from_cache for seen in hosts] == [False, False, True]
    assert not client.post(BODY)[0].from_cache


def test_the_host_of_the_address_is_no_other_host(client, openai):
    client.post(BODY)

    assert client.post(BODY, headers={"host": openai.url.removeprefix("http://").upper()})[0].from_cache


def test_bytes_in_a_query_that_are_no_text_are_kept_apart(client, openai):
    asked = [client.post(BODY, path=f"/v1/chat/completions?deployment={name}")[0] for name in ("%ff", "%fe", "%c3%bf")]

    assert [seen.from_cache for seen in asked] == [False] * 3
    assert openai.calls == 3


def test_headers_that_the_settings_name_keep_answers_apart(client, openai):
    with override_settings(LLMCACHE={**settings.LLMCACHE, "KEY_HEADERS": ["X-Model-Route"]}):
        routes = [client.post(BODY, headers={"x-model-route": route})[0] for route in ("fast", "cheap", "fast")]
        words = {"model": "gpt-4o-mini", "extra_headers": {"X-MODEL-ROUTE": "cheap"}}

        assert [seen.from_cache for seen in routes] == [False, False, True]
        assert chat("openai", BODY["messages"], **words).from_cache
        assert openai.calls == 2


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_header_that_comes_twice_counts_with_both_values(openai, library):
    def ask(*betas):
        headers = [("content-type", "application/json"), *(("OpenAI-Beta", beta) for beta in betas)]
        return client.post(f"{openai.url}/v1/chat/completions", json=BODY, headers=headers).headers.get("x-llmcache")

    with cached_client(library=library) as client:
        asked = [ask("a", "b"), ask("b"), ask("c", "b"), ask("a", "b")]

    assert asked == [None, None, None, "hit"]


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("made", [cached_client, lambda library: wrap(importlib.import_module(library).Client())])
def test_a_client_that_is_closed_answers_nothing(openai, library, made):
    client = made(library=library)
    url = f"{openai.url}/v1/chat/completions"
    client.post(url, json=BODY)
    client.close()

    with pytest.raises(RuntimeError, match="closed"):
        client.post(url, json=BODY)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_an_async_client_that_is_closed_answers_nothing(openai, library):
    async def ask():
        client = cached_async_client(library=library)
        url = f"{openai.url}/v1/chat/completions"
        await client.post(url, json=BODY)
        await client.aclose()
        await client.post(url, json=BODY)

    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(ask())


@pytest.mark.parametrize("agent", ["applications/support", "agents/support/endpoint"])
def test_what_is_asked_of_an_agent_at_the_provider_passes_untouched(client, openai, agent):
    _, second = client.post(BODY, BODY, path=f"/api/projects/p/{agent}/protocols/openai/responses")

    assert openai.calls == 2
    assert "x-llmcache" not in second.headers


def test_what_is_no_llm_call_passes_untouched(client, openai):
    openai.script(*[Reply(body=b'{"id": "file-1"}')] * 2)

    first, second = client.post(BODY, BODY, path="/v1/files")

    assert openai.calls == 2
    assert first.body == second.body
    assert "x-llmcache" not in second.headers


@pytest.mark.parametrize(
    "content",
    [
        b"not json",
        b"[1]",
        b"",
        b'{"model": "m", "model": "n"}',
        b'{"model": "m", "x": NaN}',
        b'{"model": "m", "x": 1e999}',
        b"[" * 100_000,
    ],
    ids=["text", "list", "nothing", "a name twice", "NaN", "infinity", "deep"],
)
def test_a_body_that_is_no_plain_json_object_is_sent_as_it_is(client, openai, content):
    openai.script(*[Reply(body=b'{"ok": true}')] * 2)

    answers = client.post(BODY, BODY, content=content)

    assert openai.calls == 2
    assert [answer.body for answer in answers] == [b'{"ok": true}'] * 2


def test_whole_numbers_beyond_64_bits_are_not_mistaken_for_each_other(client, openai):
    client.post({**BODY, "seed": 2**64 + 1}, {**BODY, "seed": 2**64 + 2})

    assert openai.calls == 2


def test_an_error_is_the_providers_own_and_not_stored(client, openai):
    openai.script(Reply(429, b'{"error": {"message": "Slow"}}', {"retry-after": "7"}))

    failed, good = client.post(BODY, BODY)

    assert (failed.status, failed.headers["retry-after"]) == (429, "7")
    assert good.status == 200
    assert openai.calls == 2


def test_a_broken_connection_is_the_librarys_own_error(client, openai):
    openai.script(HangUp())

    with pytest.raises((requests.ConnectionError, httpx.TransportError, httpx2.TransportError)):
        client.post(BODY)


@pytest.mark.parametrize(
    ("words", "calls"), [("no-cache", 3), ("max-age=60, unheard-of", 1), ("max-age=0, max-age=60", 3)]
)
def test_the_control_header_is_heeded_and_never_sent(client, openai, words, calls):
    client.post(BODY)

    client.post(BODY, BODY, headers={"X-LLMCache-Control": words})

    assert openai.calls == calls
    assert not any("x-llmcache-control" in request["headers"] for request in openai.requests)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("no-cach", "'no-cach', which is ignored; did you mean 'no-cache'?"),
        ("private, no-store", "'private', which is ignored; there are no-cache, no-store and max-age=n."),
        ("max-age=soon", "'max-age=soon', which is ignored; did you mean 'max-age=60'?"),
    ],
)
def test_a_word_that_the_control_header_does_not_know_is_told_once(openai, caplog, monkeypatch, words, hint):
    monkeypatch.setattr(control, "_told", set())
    control.policy_of.cache_clear()

    Client("httpx2", openai.url).post(BODY, BODY, headers={"x-llmcache-control": words})
    Client("requests", openai.url).post(BODY, headers={"x-llmcache-control": f"{words}, max-age=60"})

    assert [message for message in caplog.messages if "x-llmcache-control" in message] == [
        f"x-llmcache-control has {hint}"
    ]


def test_no_store_reads_and_does_not_store(client, openai):
    client.post(BODY, headers={"x-llmcache-control": "no-store"})
    first, second = client.post(BODY, BODY, headers={"x-llmcache-control": "no-store"})

    assert openai.calls == 3
    assert not first.from_cache
    assert not second.from_cache


def test_the_control_header_goes_to_no_other_host_either(client, openai):
    openai.script(Reply(body=b"{}"))

    client.post(BODY, path="/v1/files", headers={"x-llmcache-control": "no-cache"})

    assert "x-llmcache-control" not in openai.requests[0]["headers"]


def test_a_policy_holds(client, openai):
    with policy(cache=False):
        client.post(BODY)
    with policy(scope="user:1"):
        client.post(BODY, BODY)
    with policy(scope="user:2"):
        client.post(BODY)

    assert openai.calls == 3


def test_hooks_see_a_stored_answer_as_a_live_one(client):
    seen = []

    client.post(BODY, BODY, hooks={"response": lambda response, **_: seen.append(response.status_code)})

    assert seen == [200, 200]


@pytest.mark.parametrize("way", ["post", "send"])
def test_hooks_of_requests_are_told_the_same_of_a_stored_answer_as_of_a_live_one(openai, way):
    told = []
    url = f"{openai.url}/v1/chat/completions"
    with cached_session() as session:
        session.hooks["response"] = [lambda response, **words: told.append(words)]
        for _ in range(2):
            if way == "post":
                session.post(url, json=BODY, timeout=5)
            else:
                session.send(session.prepare_request(requests.Request("POST", url, json=BODY)))

    live, again = told
    assert again == live
    assert openai.calls == 1


def test_a_request_that_is_not_prepared_is_told_by_requests_itself(openai):
    with cached_session() as session, pytest.raises(ValueError, match="PreparedRequest"):
        session.send(requests.Request("POST", f"{openai.url}/v1/chat/completions", json=BODY))

    assert openai.calls == 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "requests"])
def test_a_hit_says_how_many_bytes_it_has(openai, kind):
    live, again = Client(kind, openai.url).post(BODY, BODY)

    assert again.from_cache
    assert again.response.num_bytes_downloaded == len(live.body)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "requests"])
def test_hooks_that_go_in_pairs_stay_in_pairs(openai, kind):
    seen = []

    Client(kind, openai.url).post(
        BODY, BODY, hooks={"request": lambda _: seen.append("request"), "response": lambda _: seen.append("response")}
    )

    assert seen == ["request", "response"] * 2


@pytest.mark.parametrize("header", ["authorization", "x-gateway-key"])
@pytest.mark.parametrize("echo", ["sk/made/up/and/long", r"sk\/made\/up\/and\/long", r"sk/made/up/\u0061nd/long"])
def test_an_answer_that_has_the_key_in_it_is_not_stored(client, openai, header, echo):
    body = b'{"choices": [{"message": {"content": "You sent %s"}, "finish_reason": "stop"}]}' % echo.encode()
    openai.script(*[Reply(body=body)] * 2)

    client.post(BODY, BODY, headers={header: "Bearer sk/made/up/and/long"})

    assert openai.calls == 2


def test_one_call_is_one_event(client):
    told = []

    def receiver(sender, signal, **details):
        told.append((signal, details.get("reason")))

    cache_hit.connect(receiver)
    cache_miss.connect(receiver)
    try:
        client.post(BODY, BODY, {**BODY, "stream": True})
    finally:
        cache_hit.disconnect(receiver)
        cache_miss.disconnect(receiver)

    assert told == [(cache_miss, None), (cache_hit, None), (cache_miss, "streaming")]


class Politeness:
    """A middleware that changes what is sent."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request.replace(payload={**request.payload, "user": "polite", "temperature": 0}))


class Offline:
    """A middleware that answers by itself."""

    def __init__(self, get_response):
        pass

    def __call__(self, request):
        return LLMResponse(b'{"offline": true}', status=503)


@pytest.mark.parametrize("below", [True, False])
def test_a_middleware_may_change_what_is_sent(client, openai, below):
    paths = [CACHE, f"{__name__}.Politeness"] if below else [f"{__name__}.Politeness", CACHE]
    providers = {"openai": {"BASE_URL": f"{openai.url}/v1"}}
    with override_settings(LLMCACHE={"MIDDLEWARE": paths, "PROVIDERS": providers}):
        _, again = client.post(BODY, BODY)

    assert openai.requests[0]["body"] == {**BODY, "user": "polite", "temperature": 0}
    assert again.from_cache


@pytest.mark.parametrize("status", [200, 503])
def test_a_page_of_html_is_the_callers_own_though_a_middleware_counts_its_tokens(client, openai, status):
    openai.script(Reply(status, b"<html>Bad gateway</html>", {"content-type": "text/html"}))
    providers = {"openai": {"BASE_URL": f"{openai.url}/v1"}}
    with override_settings(LLMCACHE={"MIDDLEWARE": [CACHE, TOKENS], "PROVIDERS": providers}):
        page, good = client.post(BODY, BODY)

    assert (page.status, page.body) == (status, b"<html>Bad gateway</html>")
    assert (good.status, good.from_cache) == (200, False)


def test_a_middleware_may_answer(client, openai):
    providers = {"openai": {"BASE_URL": f"{openai.url}/v1"}}
    with override_settings(LLMCACHE={"MIDDLEWARE": [f"{__name__}.Offline"], "PROVIDERS": providers}):
        (answer,) = client.post(BODY)

    assert (answer.status, answer.body) == (503, b'{"offline": true}')
    assert "x-llmcache" not in answer.headers
    assert openai.calls == 0


def test_threads_that_ask_at_once_share_one_call(client, openai):
    openai.latency = 0.3
    answers = []
    threads = [threading.Thread(target=lambda: answers.extend(client.post(BODY))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert openai.calls == 1
    assert len({answer.body for answer in answers}) == 1
    assert len(answers) == 8


class TestStreams:
    """Events pass one by one; asking with ``stream=False`` is an ordinary request."""

    def test_of_requests_arrive_as_they_are_sent(self, openai):
        openai.event_delay = 0.05
        with cached_session() as session:
            url = f"{openai.url}/v1/chat/completions"
            with session.post(url, json={**BODY, "stream": True}, stream=True, timeout=5) as response:
                pieces = list(response.iter_content(None))

        assert len(pieces) > 2

    @pytest.mark.parametrize("library", ["httpx", "httpx2"])
    def test_of_httpx_arrive_as_they_are_sent(self, openai, library):
        openai.event_delay = 0.05
        with (
            cached_client(library=library) as client,
            client.stream("POST", f"{openai.url}/v1/chat/completions", json={**BODY, "stream": True}) as response,
        ):
            assert not response.is_stream_consumed
            pieces = list(response.iter_raw())

        assert len(pieces) > 2

    @pytest.mark.parametrize("library", ["httpx", "httpx2"])
    def test_a_stored_answer_may_be_read_in_pieces_too(self, openai, library):
        bodies = []
        with cached_client(library=library) as client:
            for _ in range(2):
                with client.stream("POST", f"{openai.url}/v1/chat/completions", json=BODY) as response:
                    bodies.append(b"".join(response.iter_raw() if bodies else response.iter_bytes()))

        assert openai.calls == 1
        assert bodies[0] == bodies[1]

    def test_stream_false_is_an_ordinary_request(self, client, openai):
        client.post({**BODY, "stream": False}, {**BODY, "stream": False})

        assert openai.calls == 1


class TestTheLibrary:
    def test_is_httpx2_and_never_silently_another(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "httpx2", None)

        with pytest.raises(ImportError, match=r"pip install 'django-llmcache\[httpx\]'.*library='httpx'"):
            cached_client()

    def test_is_one_that_we_know(self):
        with pytest.raises(ConfigurationError, match="library is 'aiohttp'; give one of 'httpx2', 'httpx'"):
            cached_async_client(library="aiohttp")

    @pytest.mark.parametrize("library", [httpx, httpx2])
    def test_gets_every_option(self, library):
        with cached_client(library=library.__name__, timeout=7, headers={"x": "y"}, follow_redirects=False) as client:
            assert isinstance(client, library.Client)
            assert client.timeout == library.Timeout(7)
            assert client.headers["x"] == "y"
            assert not client.follow_redirects

    @pytest.mark.parametrize("library", ["httpx", "httpx2"])
    def test_heeds_the_proxies_of_the_environment(self, openai, provider, monkeypatch, library):
        monkeypatch.setenv("HTTP_PROXY", provider.url)
        with cached_client(library=library) as client:
            client.post("http://llm.example.com/v1/files", json=BODY)

        assert provider.requests[0]["headers"]["host"] == "llm.example.com"
