"""Answers that are JSON and yet unusual: kept where they are answers, refused where they can be none."""

from __future__ import annotations

import asyncio

import pytest

from django_llmcache import achat, chat, stream
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.exceptions import (
    BadRequestError,
    InvalidAnswerError,
    ProviderConnectionError,
    RateLimitError,
    ServerError,
)
from tests.recordings import load_all
from tests.transports.loopback import Loopback, whole

from .asking import HI, KEY, caught

SSE = {"content-type": "text/event-stream"}


@pytest.fixture
def words(provider):
    return {"model": "gpt-4o-mini", "api_key": KEY, "base_url": f"{provider.url}/v1"}


@pytest.mark.parametrize(
    ("value", "said"), [(r'"ok \ud83d"', "ok \ud83d"), ("123456789012345678901", 123456789012345678901)], ids=ascii
)
def test_an_answer_that_orjson_refuses_or_changes_is_kept_whole(provider, way, words, value, said):
    provider.script(Reply(200, b'{"choices": [{"message": {"content": "Hi"}}], "x": %s}' % value.encode()))

    live, stored = (way.chat("openai", HI, **words) for _ in range(2))

    assert (live.data["x"], stored.data["x"], stored.from_cache) == (said, said, True)


def test_half_an_emoji_in_a_piece_of_a_stream_is_passed_on(provider, way, words):
    pieces = [rf'data: {{"choices": [{{"delta": {{"content": "{half}"}}}}]}}' for half in (r"\ud83d", r"\ude00")]
    provider.script(Reply(200, "\n\n".join([*pieces, ""]).encode(), {"content-type": "text/event-stream"}))

    assert "".join(event.text for event in way.stream("openai", HI, **words)) == "\ud83d\ude00"


def test_half_an_emoji_in_the_arguments_of_a_tool_is_passed_on(provider, way, words):
    call = rb'{"id": "1", "function": {"name": "f", "arguments": "{\"a\": \"\\ud83d\", \"id\": 36893488147419103232}"}}'
    provider.script(Reply(200, b'{"choices": [{"message": {"tool_calls": [%s]}}]}' % call))

    (called,) = way.chat("openai", HI, **words).tool_calls

    assert called.arguments == {"a": "\ud83d", "id": 2**65}


@pytest.mark.parametrize("body", [b"null", b"42", b"[]", b"{}", b'"Hi"', b"true", b"[1]", b"[[]]"])
def test_json_that_can_be_no_answer_is_none(provider, way, words, body):
    for ask, what in ((way.chat, HI), (way.embed, "Hi")):
        provider.script(Reply(200, body))

        error = caught(ask, "openai", what, **words)

        assert type(error) is InvalidAnswerError
        assert f"answered HTTP 200 with JSON that is no answer, beginning {body.decode()!r}" in str(error)
        assert "BASE_URL" in str(error)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"object": "error", "message": "No.", "code": 400}', BadRequestError),
        (b'{"type": "error", "message": "No.", "code": "rate_limit_exceeded"}', RateLimitError),
        (b'[{"error": {"code": 503, "message": "No."}}]', ServerError),
        (rb'{"error": {"type": "overloaded_error", "message": "No. \ud83d"}}', ServerError),
    ],
)
def test_an_error_inside_a_success_is_one_however_it_is_said(provider, way, words, body, kind):
    provider.script(Reply(200, body))

    error = caught(way.chat, "openai", HI, **words)

    assert type(error) is kind
    assert "No." in str(error)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b'event: error\ndata: {"message": "No.", "code": 529}\n\n', ServerError),
        (b'event: error\ndata: "No."\n\n', InvalidAnswerError),
        (b'data: {"type": "error", "code": "rate_limit_exceeded", "message": "No."}\n\n', RateLimitError),
        (b'data: {"object": "error", "message": "No.", "code": 400}\n\n', BadRequestError),
    ],
)
def test_an_event_that_tells_of_an_error_is_raised(provider, way, words, event, kind):
    provider.script(Reply(200, b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n' + event, SSE))

    error = caught(way.stream, "openai", HI, **words)

    assert type(error) is kind
    assert "No." in str(error)


STREAMS = [recording for recording in load_all() if recording.kind in ("sse", "ndjson") and recording.status == 200]
MARKED = [recording for recording in STREAMS if recording.name.startswith(("anthropic", "ollama"))]


@pytest.mark.parametrize("recording", MARKED, ids=lambda recording: recording.name)
def test_a_stream_whose_dialect_ends_with_a_mark_is_broken_without_it(provider, way, words, recording):
    """Every recorded stream of Anthropic and Ollama has one; Gemini's have none, and OpenAI's look-alikes need not."""
    between = b"\n\n" if recording.kind == "sse" else b"\n"
    cut = recording.response_body.rstrip().rpartition(between)[0] + between
    provider.script(Reply(200, cut, {"content-type": recording.content_type}))

    error = caught(way.stream, "openai", HI, **words)

    assert type(error) is ProviderConnectionError
    assert "before its end mark" in str(error)


@pytest.mark.parametrize("recording", STREAMS, ids=lambda recording: recording.name)
def test_every_recorded_stream_is_whole(provider, way, words, recording):
    provider.script(Reply(200, recording.response_body, {"content-type": recording.content_type}))

    assert way.stream("openai", HI, **words)


@pytest.fixture(params=["102 Processing", "103 Early Hints"])
def interim(request):
    """Serve an interim answer, and the answer behind it; return the words that ask for it."""
    good = whole(b'{"choices": [{"message": {"content": "Hi"}}]}')
    with Loopback(f"HTTP/1.1 {request.param}\r\nlink: </a>\r\n\r\n".encode() + good) as server:
        yield {"model": "m", "api_key": KEY, "base_url": server.url}


@pytest.mark.parametrize("ask", [chat, lambda *args, **words: list(stream(*args, **words))], ids=["chat", "stream"])
def test_an_interim_answer_that_requests_takes_for_the_whole_is_told(interim, ask):
    error = caught(ask, "openai", HI, **interim)

    assert type(error) is InvalidAnswerError
    assert "(an interim answer, which requests takes for the whole)" in str(error)


def test_behind_an_interim_answer_httpx2_finds_the_answer(interim):
    assert asyncio.run(achat("openai", HI, **interim)).text == "Hi"
