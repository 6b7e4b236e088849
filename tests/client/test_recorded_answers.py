"""The main job, on every recorded answer: ask, read what it says, and get it a second time from the cache."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from django_llmcache.contrib.demo.standin import Reply
from tests.recordings import Recording, load, load_all

from .asking import BASES, KEY, asked
from .told import events_of, told_by

CHATS = re.compile(r"/chat/completions$|/messages$|/api/chat$|:streamGenerateContent$")
WHOLE = [r.name for r in load_all() if r.kind == "json" and CHATS.search(urlsplit(r.url).path)]
ONE_EVENT = ["gemini-sse-1", "gemini-sse-2"]
CUT_SHORT = {"length", "max_tokens"}


def test_every_provider_with_a_recorded_answer_takes_part():
    taking_part = {load(name).provider for name in [*WHOLE, *ONE_EVENT]}

    assert taking_part == {"anthropic", "gemini", "groq", "mistral", "ollama", "openai", "xai"}
    assert len(WHOLE) == 27


@pytest.mark.parametrize("name", WHOLE)
def test_a_recorded_answer_is_read_kept_and_served_again(provider, way, name):
    recording = load(name)

    first, second = ask_twice(way, provider, recording)

    told = told_by(recording)
    for answer in (first, second):
        assert recording.response_body == answer.body
        assert told.text == answer.text
        assert told.finish_reason == answer.finish_reason
        assert told.usage == answer.usage
        assert told.model == answer.model
        assert told.tool_calls == [tuple(call) for call in answer.tool_calls]
        assert (answer.status, answer.headers["content-type"]) == (200, recording.content_type)
    if told.finish_reason in CUT_SHORT:
        assert (provider.calls, second.from_cache, second.cache.reason) == (2, False, "truncated")
    else:
        assert (provider.calls, second.from_cache, second.cache.status) == (1, True, "hit")


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_sent_is_the_recorded_request(provider, way, name):
    recording = load(name)

    ask_twice(way, provider, recording)

    sent = provider.requests[0]
    # How a stream is asked for is the client's word: recorded requests have it anywhere or not at all.
    recorded = {**recording.request_body, "stream": False}
    path = urlsplit(recording.url).path.replace(":streamGenerateContent", ":generateContent")
    assert (sent["method"], sent["path"]) == ("POST", path)
    assert {**sent["body"], "stream": False} == recorded


def test_some_recorded_answers_are_cut_short_and_not_stored():
    cut = {name for name in WHOLE if told_by(load(name)).finish_reason in CUT_SHORT}

    assert cut == {"groq-chat_completions-json-1", "openai-chat_completions-json-2"}


@pytest.mark.parametrize("name", ONE_EVENT)
def test_a_recorded_event_of_gemini_is_a_whole_answer(provider, way, name):
    """generateContent answers with one object of the shape that each event of the recorded stream has."""
    recording = load(name)
    body = recording.response_body.removeprefix(b"data: ").strip()
    provider.script(Reply(200, body))

    call = asked(recording)
    words = {"base_url": provider.url + BASES["gemini"], "api_key": KEY, **call.options}
    answers = [way.chat(call.provider, call.messages, model=call.model, **words) for _ in range(2)]

    (event,) = events_of(recording)
    (part,) = event["candidates"][0]["content"]["parts"]
    for answer in answers:
        assert body == answer.body
        assert answer.tool_calls == ((None, part["functionCall"]["name"], part["functionCall"]["args"]),)
        assert event["usageMetadata"]["totalTokenCount"] == answer.usage.total_tokens
        assert (answer.finish_reason, answer.model) == ("STOP", event["modelVersion"])
    assert [answer.from_cache for answer in answers] == [False, True]


def ask_twice(way, provider, recording: Recording):
    """Have the recording served, and return what two equal calls get."""
    reply = Reply(recording.status, recording.response_body, {"content-type": recording.content_type})
    provider.script(reply, reply)
    call = asked(recording)
    words = {"base_url": provider.url + BASES[call.provider], "api_key": KEY, **call.options}
    return [way.chat(call.provider, call.messages, model=call.model, **words) for _ in range(2)]
