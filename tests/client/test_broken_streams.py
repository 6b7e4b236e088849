"""What a caller is told when a stream does not begin, breaks off, or is none."""

from __future__ import annotations

import pytest

from django_llmcache import stream
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.exceptions import (
    AuthenticationError,
    InvalidAnswerError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)
from tests.transports.loopback import Loopback, chunk, chunked_head

from .asking import HI, KEY, caught

WORDS = {"model": "gpt-4o-mini", "api_key": KEY}
STATUSES = {401: AuthenticationError, 429: RateLimitError, 500: ServerError}


@pytest.fixture
def base_url(provider) -> str:
    return f"{provider.url}/v1"


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_stream_that_does_not_begin_raises_the_same(provider, way, base_url, status):
    provider.script(Reply(status, b'{"error": {"message": "No."}}', {"x-request-id": "req_9"}))

    error = caught(way.stream, "openai", HI, **WORDS, base_url=base_url)

    assert type(error) is STATUSES[status]
    assert (error.status, error.body, error.request_id) == (status, b'{"error": {"message": "No."}}', "req_9")


def test_a_stream_that_stops_coming_is_a_time_out(way):
    def begin(connection):
        connection.sendall(chunked_head("text/event-stream") + chunk(b'data: {"choices": []}\n\n'))
        connection.recv(1)  # until the client goes

    with Loopback(begin) as server:
        error = caught(way.stream, "openai", HI, **WORDS, base_url=server.url, timeout=0.1)

    assert type(error) is ProviderTimeoutError


def test_a_stream_that_breaks_off_gives_its_events_first():
    event = b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'
    got = []

    with (
        Loopback(lambda connection: connection.sendall(chunked_head("text/event-stream") + chunk(event))) as server,
        stream("openai", HI, **WORDS, base_url=server.url) as events,
        pytest.raises(ProviderConnectionError),
    ):
        got.extend(event.text for event in events)

    assert got == ["half"]


def test_a_stream_that_breaks_off_is_a_broken_connection(way):
    event = b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'

    with Loopback(lambda connection: connection.sendall(chunked_head("text/event-stream") + chunk(event))) as server:
        error = caught(way.stream, "openai", HI, **WORDS, base_url=server.url)

    assert type(error) is ProviderConnectionError


def test_an_error_in_the_middle_of_a_stream_is_raised(provider, way, base_url):
    body = (
        b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'
        b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n'
    )
    provider.script(Reply(200, body, {"content-type": "text/event-stream"}))

    error = caught(way.stream, "openai", HI, **WORDS, base_url=base_url)

    assert (type(error), error.status) == (ServerError, 529)
    assert "Overloaded" in str(error)


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/x-ndjson", "application/json", "text/html"])
def test_a_stream_of_something_else_is_no_answer(provider, way, base_url, content_type):
    provider.script(Reply(200, b"data: <html>\n\n", {"content-type": content_type}))

    error = caught(way.stream, "openai", HI, **WORDS, base_url=base_url)

    assert type(error) is InvalidAnswerError
    assert "not JSON" in str(error)


def test_a_stream_that_is_read_twice_says_that_it_can_not(provider):
    events = stream("openai", HI, model="m", api_key=KEY, base_url=f"{provider.url}/v1")
    assert list(events)

    with pytest.raises(RuntimeError, match="read once"):
        list(events)
