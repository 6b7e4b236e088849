"""Event hooks and authentication of ``httpx`` clients: what they change is never taken for what it was before."""

from __future__ import annotations

import asyncio
import json

import httpx
import httpx2
import pytest
from django.conf import settings
from django.test import override_settings

from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.transports import cached_async_client, cached_client, cached_session, wrap

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
LIBRARIES = {"httpx": httpx, "httpx2": httpx2}
by_library = pytest.mark.parametrize("library", LIBRARIES)


@pytest.fixture
def openai(provider):
    """Let the stand-in be OpenAI."""
    words = {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}
    with override_settings(LLMCACHE={"PROVIDERS": {"openai": words}}):
        yield provider


def systems(openai):
    """Return what each request has before the question."""
    return [request["body"]["messages"][0]["content"] for request in openai.requests]


def inserts(library, text):
    """Return a hook that puts a system message before the question."""

    def hook(request):
        body = json.loads(request.content)
        body["messages"].insert(0, {"role": "system", "content": text})
        raw = json.dumps(body).encode()
        request.stream, request._content = LIBRARIES[library].ByteStream(raw), raw
        request.headers["content-length"] = str(len(raw))

    return hook


def awaited(hook):
    async def call(message):
        hook(message)

    return call


def ask(library, openai, *hooks, times=1):
    """Return where the answers of one client came from."""
    with cached_client(library=library, event_hooks={"request": list(hooks)}) as client:
        return [_ask(client, openai) for _ in range(times)]


def _ask(client, openai):
    return client.post(f"{openai.url}/v1/chat/completions", json=BODY).headers.get("x-llmcache")


@by_library
def test_a_hook_that_changes_the_question_gets_no_answer_to_another(openai, library):
    asked = [ask(library, openai, inserts(library, text)) for text in ("You serve a", "You serve b", "You serve a")]

    assert asked == [[None]] * 3
    assert systems(openai) == ["You serve a", "You serve b", "You serve a"]


@by_library
def test_and_its_answer_is_nobody_elses(openai, library):
    ask(library, openai, inserts(library, "You serve a"))

    assert ask(library, openai, times=2) == [None, "hit"]


@by_library
def test_nor_is_one_that_was_stored_before_the_hook_was_there(openai, library):
    ask(library, openai)

    assert ask(library, openai, inserts(library, "You serve a")) == [None]
    assert systems(openai) == ["Hi", "You serve a"]


@by_library
def test_on_an_event_loop_too(openai, library):
    async def both():
        async with cached_async_client(library=library) as plain:
            await plain.post(f"{openai.url}/v1/chat/completions", json=BODY)
        hooks = {"request": [awaited(inserts(library, "You serve a"))]}
        async with cached_async_client(library=library, event_hooks=hooks) as client:
            return [await client.post(f"{openai.url}/v1/chat/completions", json=BODY) for _ in range(2)]

    assert [answer.headers.get("x-llmcache") for answer in asyncio.run(both())] == [None, None]
    assert systems(openai) == ["Hi", "You serve a", "You serve a"]


@by_library
def test_under_ordinary_clients_too(openai, library):
    with override_settings(LLMCACHE={**settings.LLMCACHE, "INSTRUMENT": True}):
        asked = []
        for text in ("You serve a", "You serve b"):
            with LIBRARIES[library].Client(event_hooks={"request": [inserts(library, text)]}) as client:
                asked.append(_ask(client, openai))

    assert asked == [None, None]
    assert systems(openai) == ["You serve a", "You serve b"]


@by_library
def test_a_header_that_counts_and_comes_of_authentication_keeps_answers_apart(openai, library):
    class Beta(LIBRARIES[library].Auth):
        def auth_flow(self, request):
            request.headers["openai-beta"] = "x"
            yield request

    with cached_client(library=library, auth=Beta()) as client:
        asked = [_ask(client, openai) for _ in range(2)]

    assert asked == [None, None]
    assert ask(library, openai) == [None]


@by_library
def test_a_host_that_a_hook_names_is_another_one(openai, library):
    def to_another(request):
        request.headers["host"] = "b.example"

    ask(library, openai)

    assert ask(library, openai, to_another, times=2) == [None, None]


def beta(request):
    request.headers["openai-beta"] = "x"
    return request


@by_library
def test_authentication_that_changes_what_counts_gets_no_answer_to_another_question(openai, library):
    ask(library, openai)

    with cached_client(library=library, auth=beta) as client:
        assert _ask(client, openai) is None
        assert client.post(f"{openai.url}/v1/chat/completions", json=BODY, auth=None).headers["x-llmcache"] == "hit"
    assert [request["headers"].get("openai-beta") for request in openai.requests] == [None, "x"]


@by_library
def test_nor_that_of_one_request_on_an_event_loop(openai, library):
    async def both():
        async with cached_async_client(library=library) as client:
            asked = [
                await client.post(f"{openai.url}/v1/chat/completions", json=BODY, auth=auth)
                for auth in (None, beta, None)
            ]
            return [answer.headers.get("x-llmcache") for answer in asked]

    assert asyncio.run(both()) == [None, None, "hit"]


def token_auth(library, openai):
    """Return an authentication that fetches a token first, and keeps it."""

    class TokenAuth(LIBRARIES[library].Auth):
        token = None

        def auth_flow(self, request):
            if self.token is None:
                answer = yield LIBRARIES[library].Request("POST", f"{openai.url}/token", json={})
                self.token = f"token-{answer.status_code}"
            request.headers["authorization"] = f"Bearer {self.token}"
            yield request

    return TokenAuth()


def paths(openai):
    return [request["path"] for request in openai.requests]


@by_library
def test_an_answer_that_authentication_asked_a_token_for_is_stored(openai, library):
    with cached_client(library=library, auth=token_auth(library, openai)) as client:
        asked = [_ask(client, openai) for _ in range(3)]

    assert asked == [None, "hit", "hit"]
    assert paths(openai) == ["/token", "/v1/chat/completions"]


@by_library
def test_a_stored_answer_is_found_by_who_needs_a_token_first(openai, library):
    ask(library, openai)

    async def asked():
        async with cached_async_client(library=library, auth=token_auth(library, openai)) as client:
            return (await client.post(f"{openai.url}/v1/chat/completions", json=BODY)).headers.get("x-llmcache")

    with cached_client(library=library, auth=token_auth(library, openai)) as client:
        assert _ask(client, openai) == "hit"
    assert asyncio.run(asked()) == "hit"
    assert paths(openai) == ["/v1/chat/completions", "/token", "/token"]


@by_library
def test_the_answer_to_what_authentication_asks_in_place_of_a_refused_question_is_not_stored(openai, library):
    class Fallback(LIBRARIES[library].Auth):
        def auth_flow(self, request):
            answer = yield request
            if answer.status_code == 401:
                yield LIBRARIES[library].Request("POST", request.url, json=BODY | {"model": "another"})

    openai.script(Reply(401, b"{}"))
    with cached_client(library=library, auth=Fallback()) as client:
        assert _ask(client, openai) is None

    assert ask(library, openai, times=2) == [None, "hit"]


def test_what_a_hook_of_requests_asks_in_place_of_it_is_not_stored(openai):
    def fall_back(response, **options):
        if response.status_code != 401:
            return None
        other = response.request.copy()
        other.prepare_body(None, None, json=BODY | {"model": "another"})
        answer = response.connection.send(other, **options)
        answer.history.append(response)
        return answer

    openai.script(Reply(401, b"{}"))
    with cached_session() as session:
        url = f"{openai.url}/v1/chat/completions"
        assert session.post(url, json=BODY, hooks={"response": fall_back}).ok

        assert [session.post(url, json=BODY).headers.get("x-llmcache") for _ in range(2)] == [None, "hit"]


@by_library
def test_a_hook_that_adds_what_does_not_count_is_called_once_for_each_answer(openai, library):
    def trace(request):
        request.headers["x-trace"] = f"t-{len(traced)}"
        traced.append(request)

    traced: list = []

    assert ask(library, openai, trace, times=3) == [None, "hit", "hit"]
    assert len(traced) == 3


@by_library
@pytest.mark.parametrize("way", ["read", "iter_bytes", "iter_lines"])
def test_a_hook_that_reads_the_answer_leaves_it_to_who_streams_it(openai, library, way):
    hooks = {"response": [lambda response: response.read()]}
    with cached_client(library=library, event_hooks=hooks) as client:
        for _ in range(2):
            with client.stream("POST", f"{openai.url}/v1/chat/completions", json=BODY) as response:
                assert getattr(response, way)()
                assert response.json()["choices"]

    assert openai.calls == 1


def says_no_cache(request):
    request.headers["x-llmcache-control"] = "no-cache"


def control_headers(openai):
    return [request["headers"].get("x-llmcache-control") for request in openai.requests]


@by_library
@pytest.mark.parametrize("make", [cached_client, lambda library, **words: wrap(LIBRARIES[library].Client(**words))])
def test_the_control_header_of_a_hook_comes_too_late_and_is_not_sent(openai, library, make):
    with make(library=library, event_hooks={"request": [says_no_cache]}) as client:
        asked = [_ask(client, openai) for _ in range(2)]

    assert asked == [None, "hit"]
    assert control_headers(openai) == [None]


@by_library
def test_the_control_header_of_authentication_is_not_sent_on_an_event_loop(openai, library):
    class Saying(LIBRARIES[library].Auth):
        def auth_flow(self, request):
            says_no_cache(request)
            yield request

    async def ask():
        async with cached_async_client(library=library, auth=Saying()) as client:
            await client.post(f"{openai.url}/v1/chat/completions", json=BODY)

    asyncio.run(ask())

    assert control_headers(openai) == [None]


@by_library
def test_the_request_can_be_read_where_the_control_header_was_taken_out(openai, library):
    seen = []
    hooks = {"request": [lambda request: seen.append(json.loads(request.content))]}
    with cached_client(library=library, event_hooks=hooks) as client:
        headers = {"x-llmcache-control": "max-age=60"}
        answer = client.post(f"{openai.url}/v1/chat/completions", json=BODY, headers=headers)

    assert seen == [BODY]
    assert json.loads(answer.request.content) == BODY
