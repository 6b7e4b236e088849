"""What a caller is told when the provider gives no usable answer, and that the cache is left as it was."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from django_llmcache import cache, chat
from django_llmcache.contrib.demo.standin import HangUp, Reply, Stall
from django_llmcache.exceptions import (
    AuthenticationError,
    BadRequestError,
    InvalidAnswerError,
    LLMCacheError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)
from tests.recordings import load, load_all
from tests.transports.loopback import Loopback, chunk, chunked_head, whole

from .asking import BASES, HI, KEY, asked, caught

WORDS = {"model": "gpt-4o-mini", "api_key": KEY}
STATUSES = {
    400: BadRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: BadRequestError,
    413: BadRequestError,
    422: BadRequestError,
    429: RateLimitError,
    500: ServerError,
    503: ServerError,
    529: ServerError,
}
ERRORS = {
    "anthropic-v1_messages-error-1": (AuthenticationError, 401, "Streaming error - status 401"),
    "azure-embeddings-3": (AuthenticationError, 401, "Access denied due to invalid subscription key"),
    "azure-embeddings-4": (AuthenticationError, 401, "Access denied due to invalid subscription key"),
    "groq-tool-use-failed-1": (BadRequestError, 400, "Tool call validation failed"),
    "lmstudio-v1_chat_completions-error-1": (InvalidAnswerError, 200, "Unexpected endpoint or method."),
    "openai-v1_chat_completions-error-1": (AuthenticationError, 401, "Streaming error - status 401"),
    "openrouter-error-1": (RateLimitError, 429, "Provider returned error"),
    "openrouter-error-2": (RateLimitError, 429, "Provider returned error"),
    "openrouter-error-3": (RateLimitError, 429, "Provider returned error"),
}


@pytest.fixture(autouse=True)
def _an_answer_in_the_cache(provider):
    """Store one answer before each test, and find it untouched behind it."""
    words = {**WORDS, "base_url": f"{provider.url}/kept/v1"}
    stored = chat("openai", HI, **words)
    provider.reset()
    yield
    assert cache.stats().entries == 1
    provider.reset()
    again = chat("openai", HI, **words)
    assert (again.from_cache, again.body, provider.calls) == (True, stored.body, 0)


@pytest.fixture
def base_url(provider) -> str:
    return f"{provider.url}/v1"


def test_every_recorded_error_is_expected_here():
    assert ERRORS.keys() == {recording.name for recording in load_all() if recording.kind == "error"}


@pytest.mark.parametrize("name", [name for name in ERRORS if "embeddings" not in name])
def test_a_recorded_error_is_raised_with_what_the_provider_said(provider, way, name):
    recording = load(name)
    kind, status, said = ERRORS[name]
    provider.script(Reply(recording.status, recording.response_body, {"x-request-id": "req_7"}))
    call = asked(recording)
    base_url = provider.url + BASES[call.provider]

    error = caught(
        way.chat, call.provider, call.messages, model=call.model, api_key=KEY, base_url=base_url, **call.options
    )

    assert type(error) is kind
    assert (error.provider, error.status, error.request_id) == (recording.provider, status, "req_7")
    assert error.body == recording.response_body
    assert said in str(error)


@pytest.mark.parametrize("name", [name for name in ERRORS if "embeddings" in name])
def test_a_recorded_error_of_embeddings_is_raised(provider, way, name):
    recording = load(name)
    provider.script(Reply(recording.status, recording.response_body))

    error = caught(way.embed, "openai", "Hi", **WORDS, base_url=provider.url + BASES["azure-openai"])

    assert (type(error), error.status, error.body) == (AuthenticationError, 401, recording.response_body)


@pytest.mark.parametrize("status", STATUSES)
def test_the_class_of_an_error_says_what_to_do(provider, way, base_url, status):
    body = json.dumps({"error": {"message": "No.", "type": "some_error"}}).encode()
    provider.script(Reply(status, body, {"request-id": "req_8", "retry-after": "7"}))

    error = caught(way.chat, "openai", HI, **WORDS, base_url=base_url)

    assert type(error) is STATUSES[status]
    assert isinstance(error, ProviderError)
    assert isinstance(error, LLMCacheError)
    assert (error.status, error.body, error.retry_after) == (status, body, 7.0)
    assert str(error).partition(" (")[0] == f"openai answered HTTP {status}: No."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "20", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after-ms": "-3"}, 0.0),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_spellings(provider, base_url, headers, seconds):
    provider.script(Reply(429, b"{}", headers))

    error = caught(chat, "openai", HI, **WORDS, base_url=base_url)

    assert error.retry_after == seconds


def test_retry_after_may_be_a_date(provider, base_url):
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    provider.script(Reply(503, b"{}", {"retry-after": date}))

    error = caught(chat, "openai", HI, **WORDS, base_url=base_url)

    assert 3500 < error.retry_after <= 3600


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"error": {"message": "slow down", "code": 429}}', RateLimitError, 429),
        (b'{"error": {"message": "overloaded", "type": "overloaded_error"}}', ServerError, 529),
        (b'{"error": {"message": "who?", "type": "authentication_error"}}', AuthenticationError, 401),
        (b'{"error": {"message": "no money", "code": "insufficient_quota"}}', RateLimitError, 429),
        (b'{"error": "model not found"}', InvalidAnswerError, 200),
        (b'{"error": {"message": "odd", "code": 7}}', InvalidAnswerError, 200),
    ],
)
def test_an_error_inside_a_success_is_an_error(provider, way, base_url, body, kind, status):
    provider.script(Reply(200, body))

    error = caught(way.chat, "openai", HI, **WORDS, base_url=base_url)

    assert (type(error), error.status, error.body) == (kind, status, body)


def test_a_key_that_looks_like_anything_garbles_no_status(provider, base_url):
    """Redacting one that is a digit leaves no JSON."""
    provider.script(Reply(200, b'{"error": {"message": "slow down", "code": 429}}'))

    error = caught(chat, "openai", HI, model="m", api_key="4", base_url=base_url)

    assert (type(error), error.status) == (RateLimitError, 429)


def test_a_web_page_is_no_answer(provider, way):
    """OpenRouter's own site, served as 200, is what a wrong BASE_URL gets."""
    recording = load("openrouter-models-html_200-1")
    provider.script(Reply(200, recording.response_body, {"content-type": recording.content_type}))

    error = caught(way.chat, "openrouter", HI, **WORDS, base_url=provider.url)

    assert (type(error), error.status, error.body) == (InvalidAnswerError, 200, recording.response_body)
    assert "<!DOCTYPE html>" in str(error)
    assert f"BASE_URL ({provider.url})" in str(error)
    assert len(str(error)) < 400


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00 garbage", b'{"choices": [', b"upstream connect error"])
def test_what_is_not_json_is_no_answer(provider, way, base_url, body):
    provider.script(Reply(200, body))

    error = caught(way.chat, "openai", HI, **WORDS, base_url=base_url)

    assert (type(error), error.status, error.body) == (InvalidAnswerError, 200, body)
    assert "not JSON" in str(error)


@pytest.mark.parametrize("body", [b"<html>no</html>", b"", b'["what"]', b"7", b'{"error": null, "message": "no"}'])
def test_an_error_without_the_usual_shape_is_raised_all_the_same(provider, base_url, body):
    provider.script(Reply(500, body))

    error = caught(chat, "openai", HI, **WORDS, base_url=base_url)

    assert (type(error), error.body) == (ServerError, body)
    assert str(error).startswith("openai answered HTTP 500: ")


def test_a_redirect_is_not_followed(provider, way, base_url):
    """It would carry the key to another host."""
    provider.script(Reply(307, b"", {"location": f"{provider.url}/elsewhere"}))

    error = caught(way.chat, "openai", HI, **WORDS, base_url=base_url)

    assert (type(error), error.status, provider.calls) == (BadRequestError, 307, 1)
    assert f"{provider.url}/elsewhere: set BASE_URL" in str(error)


def test_a_hang_up_is_a_broken_connection(provider, way, base_url):
    # A pooled connection that died is tried once more by some libraries: every try hangs up.
    provider.script(*[HangUp()] * 5)

    error = caught(way.chat, "openai", HI, **WORDS, base_url=base_url)

    assert (type(error), error.status, error.body) == (ProviderConnectionError, None, b"")
    assert base_url in str(error)


@pytest.mark.parametrize("call", ["chat", "embed", "stream"])
def test_nobody_at_the_address_is_a_broken_connection(way, call):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    asked = "Hi" if call == "embed" else HI
    error = caught(getattr(way, call), "openai", asked, **WORDS, base_url=f"http://127.0.0.1:{port}/v1")

    assert type(error) is ProviderConnectionError
    assert f"openai at http://127.0.0.1:{port}/v1/" in str(error)
    assert "BASE_URL" in str(error)


def test_an_answer_that_takes_too_long_is_a_time_out(provider, way, base_url):
    provider.script(*[Stall(5)] * 2)

    error = caught(way.chat, "openai", HI, **WORDS, base_url=base_url, timeout=0.1)

    assert (type(error), isinstance(error, ProviderConnectionError)) == (ProviderTimeoutError, True)
    assert "within 0.1 s" in str(error)
    assert "timeout=" in str(error)
    assert "LLMCACHE['PROVIDERS']['openai']['TIMEOUT']" in str(error)


BROKEN = {
    "chunks": chunked_head("application/json") + chunk(b'{"choices": ['),
    "length": whole(b'{"choices": []}')[:-5],
    "words": b"What do you want?\r\n\r\n",
    "gzip": whole(b"not gzip", headers=["content-type: application/json", "content-encoding: gzip"]),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_answer_that_breaks_off_is_a_broken_connection(way, how):
    with Loopback(lambda connection: connection.sendall(BROKEN[how])) as server:
        error = caught(way.chat, "openai", HI, **WORDS, base_url=server.url)

    assert type(error) is ProviderConnectionError


def test_the_next_call_finds_all_as_usual(provider, way, base_url):
    provider.script(Reply(500, b"{}"))
    caught(way.chat, "openai", HI, **WORDS, base_url=base_url)

    answer = way.chat("openai", HI, **WORDS, base_url=base_url, cache=False)

    assert (answer.status, answer.text != "") == (200, True)


def test_a_connection_that_fails_is_told_to_the_end_of_the_reason():
    said = str(caught(chat, "openai", HI, model="m", api_key=KEY, base_url="http://127.0.0.1:1"))

    assert "Max retries" not in said
    assert said.endswith("). Check the network and BASE_URL.")
    assert "[Errno" in said


def test_an_address_or_a_model_that_is_not_there_is_asked_after(provider, way):
    provider.script(Reply(404, b'{"error": {"message": "Invalid URL"}}'))

    error = caught(way.chat, "openai", HI, **WORDS, base_url=f"{provider.url}/v2")

    hint = f"(BASE_URL is {provider.url}/v2: is it right, and the model's name?)"
    assert str(error) == f"openai answered HTTP 404: Invalid URL {hint}"
