"""What the words of a call, of a client and of the settings do, and which of them wins."""

from __future__ import annotations

import gzip
import traceback
from datetime import timedelta

import pytest
from django.test import override_settings

from django_llmcache import LLMClient, chat, policy
from django_llmcache.contrib.demo.standin import Reply, Stall, StandIn
from django_llmcache.exceptions import ProviderTimeoutError
from tests.transports.loopback import Loopback, whole

from .asking import HI, KEY, caught


@pytest.fixture
def in_force(provider):
    """Return what puts words for openai into the settings, beside the stand-in's address."""
    overrides = []

    def put(**words):
        words = {"BASE_URL": f"{provider.url}/v1", "API_KEY": KEY, "MODEL": "gpt-4o-mini"} | words
        overrides.append(override_settings(LLMCACHE={"PROVIDERS": {"openai": words}}))
        overrides[-1].enable()

    yield put
    for override in reversed(overrides):
        override.disable()


def test_a_call_needs_no_words_where_the_settings_have_them(provider, way, in_force):
    in_force()

    first, second = way.chat("openai", HI), way.chat("openai", HI)

    assert (first.from_cache, second.from_cache, provider.calls) == (False, True, 1)
    (sent,) = provider.requests
    assert (sent["path"], sent["body"]["model"]) == ("/v1/chat/completions", "gpt-4o-mini")
    assert sent["headers"]["authorization"] == f"Bearer {KEY}"


def test_the_main_job_of_the_readme(provider, in_force):
    in_force(MODEL=None)

    a = chat("openai", HI, model="gpt-4o-mini", cache=True)
    b = chat("openai", HI, model="gpt-4o-mini", cache=True)

    assert b.from_cache
    assert b.text == a.text
    assert b.cache.age >= 0
    assert not a.from_cache


def test_settings_hold_at_once(provider, in_force):
    client = LLMClient("openai", model="m")
    in_force(HEADERS={"x-team": "one"})
    client.chat(HI, cache=False)

    in_force(HEADERS={"x-team": "two"})
    client.chat(HI, cache=False)

    assert [sent["headers"]["x-team"] for sent in provider.requests] == ["one", "two"]


@pytest.mark.parametrize(
    ("of_call", "of_client", "of_settings", "held"),
    [
        ("call", "client", "settings", "call"),
        (None, "client", "settings", "client"),
        (None, None, "settings", "settings"),
    ],
)
def test_the_model_of_the_call_wins_then_the_clients_then_the_settings(
    provider, in_force, of_call, of_client, of_settings, held
):
    in_force(MODEL=of_settings)

    LLMClient("openai", model=of_client).chat(HI, model=of_call)

    assert provider.requests[0]["body"]["model"] == held


@pytest.mark.parametrize(("of_call", "of_client", "held"), [("a", "b", "a"), (None, "b", "b"), (None, None, "c")])
def test_the_key_of_the_call_wins_then_the_clients_then_the_settings_then_the_environment(
    provider, in_force, monkeypatch, of_call, of_client, held
):
    monkeypatch.setenv("OPENAI_API_KEY", "d")
    in_force(API_KEY="c")

    LLMClient("openai", api_key=of_client).chat(HI, **({"api_key": of_call} if of_call else {}))

    assert provider.requests[0]["headers"]["authorization"] == f"Bearer {held}"


def test_a_key_is_read_when_it_is_sent(provider, in_force, monkeypatch):
    """A rotated key holds without a restart."""
    in_force(API_KEY=None)
    for key in ("old", "new"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        chat("openai", HI, cache=False)

    assert [sent["headers"]["authorization"] for sent in provider.requests] == ["Bearer old", "Bearer new"]


def test_a_key_with_white_space_around_it_is_sent_without(provider, in_force):
    in_force(API_KEY=f" {KEY}\n")

    chat("openai", HI)

    assert provider.requests[0]["headers"]["authorization"] == f"Bearer {KEY}"


def test_the_address_of_the_call_wins(provider, in_force):
    in_force(BASE_URL="http://127.0.0.1:1/v1")

    chat("openai", HI, base_url=f"{provider.url}/mine/v1/")

    assert provider.requests[0]["path"] == "/mine/v1/chat/completions"


def test_headers_of_the_call_are_sent_beside_those_of_the_settings(provider, way, in_force):
    in_force(HEADERS={"X-Team": "one", "X-Project": "p"})

    way.chat("openai", HI, extra_headers={"x-team": "two", "X-Number": 5})

    sent = provider.requests[0]["headers"]
    assert (sent["x-team"], sent["x-project"], sent["x-number"]) == ("two", "p", "5")


def test_only_a_header_that_changes_an_answer_is_in_the_key(provider, in_force):
    in_force()
    plain = chat("openai", HI).cache.key

    assert chat("openai", HI, extra_headers={"x-team": "two"}).cache.key == plain
    assert chat("openai", HI, extra_headers={"OpenAI-Beta": "new"}).cache.key != plain


def test_the_header_that_is_sent_is_the_one_in_the_key(provider):
    """Every source may spell its name in a case of its own."""
    words = {"API_KEY": KEY, "BASE_URL": f"{provider.url}/v1", "HEADERS": {"Anthropic-Version": "2023-06-01"}}
    with override_settings(LLMCACHE={"PROVIDERS": {"anthropic": words}}):
        answers = [
            chat("anthropic", HI, model="claude-haiku-4-5", extra_headers={"anthropic-version": version})
            for version in ("2023-06-01", "2031-01-01")
        ]

    assert [request["headers"]["anthropic-version"] for request in provider.requests] == ["2023-06-01", "2031-01-01"]
    assert answers[0].cache.key != answers[1].cache.key


def test_two_addresses_share_no_answer(provider, in_force):
    in_force()
    chat("openai", HI)

    assert not chat("openai", HI, base_url=f"{provider.url}/other/v1").from_cache


@pytest.mark.parametrize("value", [0.05, timedelta(milliseconds=50)])
def test_the_time_out_of_the_settings_holds(provider, way, in_force, value):
    in_force(TIMEOUT=value)
    provider.script(*[Stall(5)] * 2)

    error = caught(way.chat, "openai", HI)

    assert type(error) is ProviderTimeoutError
    assert "within 0.05 s" in str(error)


def test_the_time_out_of_the_call_wins(provider, way, in_force):
    in_force(TIMEOUT=0.001)
    provider.script(Stall(0.05))

    assert way.chat("openai", HI, timeout=30).status == 200


def test_a_call_without_a_time_out_has_one_all_the_same(in_force):
    """Nothing is waited for without end."""
    in_force(BASE_URL="http://127.0.0.1:1/v1")

    error = caught(chat, "openai", HI)

    frames = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert {found["wire"].timeout for found in frames if "wire" in found} == {60}


def test_of_the_answers_headers_those_that_help_are_kept(provider, way, in_force):
    in_force()
    helpful = {"X-Request-Id": "req_1", "x-ratelimit-remaining-requests": "9", "openai-version": "2020"}
    headers = {**helpful, "set-cookie": "s=1", "server": "s"}
    provider.script(Reply(200, b'{"choices": [{"message": {"content": "Hi"}}]}', headers))

    live, stored = way.chat("openai", HI), way.chat("openai", HI)

    assert (live.headers["x-request-id"], live.headers["x-ratelimit-remaining-requests"]) == ("req_1", "9")
    assert set(live.headers) == {"content-type", *(name.lower() for name in helpful)}
    assert set(stored.headers) == {"content-type", "openai-version"}


def test_the_bytes_of_a_body_are_kept_whatever_their_form(provider, way, in_force):
    in_force()
    body = b'{ "choices" : [ {"message": {"content": "\\u00e9\xc3\xa9"}} ],\r\n\t"x": 1.0, "x": 1e2 }\n'
    provider.script(Reply(200, body))

    live, stored = way.chat("openai", HI), way.chat("openai", HI)

    assert live.body == stored.body == body
    assert live.text == stored.text == "éé"
    assert stored.from_cache


def test_a_compressed_answer_is_kept_uncompressed(in_force, way):
    body = b'{"choices": [{"message": {"content": "Hi"}}]}'
    answer = whole(gzip.compress(body), headers=["content-type: application/json", "content-encoding: gzip"])
    with Loopback(answer) as server:
        live = way.chat("openai", HI, model="m", api_key=KEY, base_url=server.url)

    assert live.body == body


def test_a_client_asks_its_own_provider_with_its_own_words():
    with StandIn(latency=0) as one, StandIn(latency=0) as two:
        clients = [LLMClient("openai", model="m", base_url=f"{server.url}/v1", api_key=KEY) for server in (one, two)]
        for client in clients:
            client.chat(HI)
            list(client.stream(HI))
            client.embed("Hi")

        assert (one.calls, two.calls) == (3, 3)
    assert repr(clients[0]) == "<LLMClient openai m>"


class TestControlHeader:
    """``x-llmcache-control`` among the headers of a call or a client; it is never sent."""

    def test_no_cache_asks_anew(self, in_force, provider):
        in_force()
        chat("openai", HI)

        chat("openai", HI, extra_headers={"X-LLMCache-Control": "no-cache"})

        assert provider.calls == 2
        assert not any("x-llmcache-control" in request["headers"] for request in provider.requests)

    def test_a_client_may_have_it(self, in_force, provider):
        in_force()
        client = LLMClient("openai", extra_headers={"x-llmcache-control": "no-store"})

        client.chat(HI)
        client.chat(HI)

        assert provider.calls == 2

    def test_the_calls_own_word_goes_before_it_and_it_before_a_policy(self, in_force, provider):
        in_force()
        headers = {"x-llmcache-control": "no-cache"}
        chat("openai", HI)

        assert chat("openai", HI, refresh=False, extra_headers=headers).from_cache
        with policy(refresh=False):
            assert not chat("openai", HI, extra_headers=headers).from_cache
