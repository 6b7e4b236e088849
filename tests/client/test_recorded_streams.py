"""Every recorded stream, as it arrives: its events, its text, and no trace of it in the cache."""

from __future__ import annotations

import pytest

from django_llmcache import cache, stream
from django_llmcache.contrib.demo.standin import Reply
from tests.recordings import Recording, load, load_all
from tests.transports.loopback import Loopback, chunked

from .asking import BASES, HI, KEY, Way, asked
from .told import events_of, piece_of

CHATS = [
    recording.name
    for recording in load_all()
    if recording.kind in ("sse", "ndjson")
    and recording.name not in ("azure-chat-sse", "cohere-chat-sse", "ollama-generate-ndjson", "openai-responses-sse")
]
ARRAYS = ["gemini-tools-json-array-1", "gemini-tools-json-array-2"]
OTHERS = ["azure-chat-sse", "ollama-generate-ndjson", "openai-responses-sse"]
"""Streams of calls that ``stream()`` does not make, such as Azure's, in dialects that it reads all the same."""


SYNC = Way("requests", None)


def test_every_provider_with_a_recorded_stream_takes_part():
    taking_part = {load(name).provider for name in CHATS}

    assert taking_part == {"anthropic", "gemini", "mistral", "ollama", "openai"}
    assert len(CHATS) == 15


@pytest.mark.parametrize("name", [*CHATS, *ARRAYS])
def test_a_recorded_stream_yields_its_events(provider, way, name):
    recording = load(name)

    got = ask(way, provider, recording)

    events = events_of(recording)
    assert events == [event.data for event in got]
    assert "".join(map(piece_of, events)) == "".join(event.text for event in got)


@pytest.mark.parametrize("name", CHATS)
def test_a_stream_is_asked_for_as_it_was_recorded(provider, name):
    recording = load(name)

    ask(SYNC, provider, recording)

    sent = provider.requests[0]
    assert sent["path"] == "/" + recording.url.split("/", 3)[3]
    # Ollama streams where nothing is said; the client says it.
    recorded = recording.request_body | ({"stream": True} if recording.provider == "ollama" else {})
    assert sent["body"] == recorded


@pytest.mark.parametrize("name", OTHERS)
def test_other_dialects_read_the_same(provider, way, name):
    recording = load(name)
    provider.script(reply(recording))

    got = way.stream("openai", HI, model="m", base_url=provider.url, api_key=KEY)

    events = events_of(recording)
    assert events == [event.data for event in got]
    assert "".join(map(piece_of, events)) == "".join(event.text for event in got) != ""


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("name", ["gemini-sse-3", "ollama-api_chat-ndjson-1", "gemini-tools-json-array-1"])
def test_it_makes_no_difference_where_the_network_cuts_a_stream(name, size):
    """Chunks end within events, escapes and characters of several bytes."""
    recording = load(name)

    with Loopback(chunked(recording.response_body, recording.content_type, size=size)) as server:
        got = list(stream("openai", HI, model="m", base_url=server.url, api_key=KEY))

    assert events_of(recording) == [event.data for event in got]


def test_the_names_of_anthropics_events_are_kept(provider):
    recording = load("anthropic-tools-sse-1")

    got = ask(SYNC, provider, recording)

    names = [
        line.removeprefix("event: ") for line in recording.response_body.decode().splitlines() if "event: " in line
    ]
    assert names == [event.name for event in got]


def test_a_stream_is_neither_stored_nor_read_from_the_cache(provider, way):
    recording = load("openai-v1_chat_completions-sse-2")

    first, second = (ask(way, provider, recording, cache=True) for _ in range(2))

    assert [event.data for event in first] == [event.data for event in second]
    assert provider.calls == 2
    assert cache.stats().entries == 0


def test_a_whole_answer_in_the_cache_is_no_answer_to_a_stream(provider, way):
    words = {"model": "gpt-4o-mini", "base_url": f"{provider.url}/v1", "api_key": KEY}
    way.chat("openai", HI, **words)

    events = way.stream("openai", HI, **words)

    assert provider.calls == 2
    assert len(events) > 1


def test_a_stream_says_why_the_cache_had_no_part_in_it(provider):
    with stream("openai", HI, model="gpt-4o-mini", base_url=f"{provider.url}/v1", api_key=KEY) as answer:
        assert (answer.cache.status, answer.cache.reason) == ("bypass", "streaming")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")


def reply(recording: Recording) -> Reply:
    return Reply(recording.status, recording.response_body, {"content-type": recording.content_type})


def ask(way, provider, recording: Recording, **words):
    """Have the recording served, and return the events that its own request gets."""
    provider.script(reply(recording))
    call = asked(recording)
    words |= {"base_url": provider.url + BASES[call.provider], "api_key": KEY, "model": call.model, **call.options}
    return (
        way.stream(call.provider, call.messages, **words)
        if way
        else list(stream(call.provider, call.messages, **words))
    )
