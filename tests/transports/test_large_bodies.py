"""Requests with large bodies, which are told by their digest once they have been read."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from django.conf import settings
from django.test import override_settings

from django_llmcache import LLMRequest, cache, chat, policy
from django_llmcache.bodyrequest import BodyRequest
from django_llmcache.policies import NOTHING_SAID
from django_llmcache.providers.traffic import LARGE, request_of
from django_llmcache.transports import cached_session

TEXT = "A long document. " * (LARGE // 10)
SEEN: list[tuple] = []


class Looking:
    """Middleware that looks into each request."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        SEEN.append((request.model, request.payload["messages"][0]["content"] == TEXT))
        return self.get_response(request)


@pytest.fixture
def openai(provider):
    """Let the stand-in be OpenAI."""
    SEEN.clear()
    words = {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}
    with override_settings(LLMCACHE={"PROVIDERS": {"openai": words}}):
        yield provider


def body(text=TEXT, **fields):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


def post(openai, *contents, **headers):
    """Return what each body got, of JSON or of bytes: whether from the cache."""
    with cached_session() as session:
        return [
            session.post(
                f"{openai.url}/v1/chat/completions",
                data=content if isinstance(content, bytes) else json.dumps(content).encode(),
                headers={"content-type": "application/json", **headers}, timeout=10,
            ).headers.get("x-llmcache") == "hit"
            for content in contents
        ]  # fmt: skip


def test_the_same_bytes_are_answered_from_the_cache(openai):
    assert post(openai, body(), body(), body()) == [False, True, True]
    assert openai.calls == 1


def test_another_spelling_of_the_same_is_the_same(openai):
    spaced = json.dumps(body(), indent=1, sort_keys=True).encode()

    assert post(openai, body(), spaced, spaced, body()) == [False, True, True, True]


@pytest.mark.parametrize("fields", [{"temperature": 0.5}, {"model": "gpt-4o"}, {"text": TEXT + "!"}], ids=list)
def test_what_differs_is_apart(openai, fields):
    other = body(**fields)

    assert post(openai, body(), other, other, body()) == [False, False, True, True]


def test_null_and_large_numbers_count_as_they_are_written(openai):
    numbers = [body(seed=number) for number in (None, 2**63, 2**63 + 1, None, 2**63)]

    assert post(openai, *numbers) == [False, False, False, True, True]


def test_what_is_no_json_passes_each_time(openai):
    odd = json.dumps(body(temperature=float("nan"))).encode()

    assert post(openai, odd, odd) == [False, False]


def test_a_stream_is_a_stream_each_time(openai):
    assert post(openai, body(stream=True), body(stream=True)) == [False, False]
    assert cache.stats().bypassed == {"streaming": 2}


def test_scopes_versions_and_policies_hold(openai):
    def ask_as(**wishes):
        with policy(**wishes):
            return post(openai, body())[0]

    scopes = [ask_as(scope=scope) for scope in ("ann", "bob", "ann")]
    with override_settings(LLMCACHE={**settings.LLMCACHE, "KEY_VERSION": 2}):
        versions = [ask_as(scope="ann"), ask_as(scope="ann")]

    assert scopes == [False, False, True]
    assert versions == [False, True]
    assert ask_as(scope="ann", cache=False) is False


def test_fields_that_the_settings_ignore_do_not_count(openai):
    with override_settings(LLMCACHE={**settings.LLMCACHE, "IGNORE_FIELDS": ["trace"]}):
        assert post(openai, body(trace=1), body(trace=2), body(trace=2)) == [False, True, True]


def test_what_has_state_is_never_stored(openai):
    stateful = body(previous_response_id="r-1")

    assert post(openai, stateful, stateful) == [False, False]


def test_chat_finds_the_same_answer(openai):
    post(openai, body())

    assert chat("openai", body()["messages"], model="gpt-4o-mini").from_cache


def test_middleware_may_look_into_it_on_a_hit(openai):
    chosen = [f"{__name__}.Looking", "django_llmcache.middleware.cache.CacheMiddleware"]
    with override_settings(LLMCACHE={**settings.LLMCACHE, "MIDDLEWARE": chosen}):
        assert post(openai, body(), body()) == [False, True]

    assert SEEN == [("gpt-4o-mini", True)] * 2


@pytest.mark.parametrize("again", [copy.copy, lambda request: request.replace()], ids=["copy", "replace"])
def test_what_is_changed_through_a_shallow_copy_is_known_to_have_changed(openai, again):
    raw = json.dumps(body()).encode()
    url = f"{openai.url}/v1/chat/completions"
    known = request_of("POST", url, [], raw, policy=NOTHING_SAID, target=None)

    again(known).payload["messages"][0]["content"] = "something else"

    assert known.payload["messages"][0]["content"] == "something else"
    other = request_of("POST", url, [], raw, policy=NOTHING_SAID, target=None)
    assert cache.explain(known).key != cache.explain(other).key


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda request: pickle.loads(pickle.dumps(request)), lambda request: request.replace()],
    ids=["copy", "deepcopy", "pickle", "replace"],
)
def test_a_copy_says_the_same(openai, again):
    raw = json.dumps(body()).encode()

    def made():
        url = f"{openai.url}/v1/chat/completions"
        return request_of("POST", url, [], raw, policy=NOTHING_SAID, target=None)

    read, known = made(), made()  # the second by its digest alone
    other = again(known)

    assert (type(read), type(known), type(other)) == (BodyRequest, BodyRequest, LLMRequest)
    assert (other.payload, other.model, other.stream) == (read.payload, read.model, read.stream)
    assert cache.explain(other).key == cache.explain(known).key
