"""Streams read event by event: every framing, every recorded stream, cut anywhere."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from itertools import pairwise

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_llmcache import bodies
from django_llmcache.events import (
    Framing,
    JSONObjects,
    ServerSentEvents,
    StreamEvent,
    delta_of,
    error_of,
    framing_for,
)
from tests.recordings import load, load_all

STREAMS = [recording.name for recording in load_all() if recording.kind in ("sse", "ndjson")]
ARRAYS = ["gemini-tools-json-array-1", "gemini-tools-json-array-2"]
FRAMINGS = [Framing, JSONObjects, ServerSentEvents]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    | st.sampled_from(['"', "\\", '\\"', "{", "}", "[{", "}\n{", "data: ", "é", "𝄞"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", '"{', "\\"]), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.sampled_from(["a", "b", '"}', "\\"]), JSON, max_size=3), max_size=4)


def read(framing, chunks):
    events = [event for chunk in chunks for event in framing.feed(chunk)]
    return [*events, *framing.flush()]


def cut(raw, places):
    marks = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[start:end] for start, end in pairwise(marks)]


def as_lines(objects, end):
    return b"".join(json.dumps(value, ensure_ascii=False).encode() + end for value in objects)


def as_sse(objects, end):
    events = (b"event: e" + end + b"data: " + json.dumps(value).encode() + end + end for value in objects)
    return b": a comment" + end + end + b"".join(events)


def as_array(objects, end, indent):
    return json.dumps(objects, ensure_ascii=False, indent=indent).replace("\n", end.decode()).encode()


ENDS = st.sampled_from([b"\n", b"\r\n"])
PLACES = st.lists(st.integers(0, 10_000), max_size=12)


class TestAnyCut:
    @given(st.lists(JSON, max_size=4), ENDS, PLACES)
    def test_lines_are_read_the_same_wherever_the_bytes_are_cut(self, values, end, places):
        events = read(Framing(), cut(as_lines(values, end), places))

        assert events == [StreamEvent("message", value) for value in values]

    @given(st.lists(JSON, max_size=4), ENDS | st.just(b"\r"), st.sampled_from([b"", BOM_UTF8]), PLACES)
    def test_server_sent_events_are_read_the_same_wherever_the_bytes_are_cut(self, values, end, mark, places):
        events = read(ServerSentEvents(), cut(mark + as_sse(values, end), places))

        assert events == [StreamEvent("e", value) for value in values]

    @given(OBJECTS, ENDS, st.sampled_from([None, 0, 2]), PLACES)
    @example([{"a": '\\"}{'}], b"\n", None, range(40))
    def test_an_array_of_objects_is_read_the_same_wherever_the_bytes_are_cut(self, objects, end, indent, places):
        events = read(JSONObjects(), cut(as_array(objects, end, indent), places))

        assert events == [StreamEvent("message", value) for value in objects]

    @given(OBJECTS, ENDS, PLACES)
    def test_objects_without_an_array_are_read_too(self, objects, end, places):
        events = read(JSONObjects(), cut(as_lines(objects, end), places))

        assert events == [StreamEvent("message", value) for value in objects]

    @pytest.mark.parametrize("name", STREAMS + ARRAYS)
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
    def test_a_recorded_stream_is_read_the_same_in_pieces_of_any_size(self, name, size):
        recording = load(name)
        raw = recording.response_body
        pieces = [raw[start : start + size] for start in range(0, len(raw), size)]

        whole = read(framing_for(recording.content_type), [raw])
        assert whole
        assert read(framing_for(recording.content_type), pieces) == whole

    @pytest.mark.parametrize("framing", FRAMINGS)
    def test_an_event_is_given_as_soon_as_it_is_whole(self, framing):
        raw = {
            Framing: as_lines([{"a": 1}], b"\n"),
            JSONObjects: b'[{"a": 1}',
            ServerSentEvents: b'data: {"a": 1}\n\n',
        }[framing]
        reader = framing()

        assert list(reader.feed(raw[:-1])) == []
        assert list(reader.feed(raw[-1:])) == [StreamEvent("message", {"a": 1})]
        assert list(reader.flush()) == []

    @pytest.mark.parametrize("framing", FRAMINGS)
    def test_nothing_received_is_no_event(self, framing):
        assert read(framing(), []) == read(framing(), [b""]) == []


class TestServerSentEvents:
    def test_lines_of_data_are_joined_and_one_space_is_dropped(self):
        assert read(ServerSentEvents(), [b'data: {"a":\ndata:1}\n\n']) == [StreamEvent("message", {"a": 1})]

    def test_a_name_holds_for_one_event(self):
        events = read(ServerSentEvents(), [b"event: ping\ndata: 1\n\ndata: 2\n\n"])

        assert events == [StreamEvent("ping", 1), StreamEvent("message", 2)]

    def test_comments_ids_and_unknown_fields_are_skipped(self):
        raw = b": keep-alive\n\nid: 7\nretry: 10\ncolour: red\ndata: 1\n\n: bye\n\n"

        assert read(ServerSentEvents(), [raw]) == [StreamEvent("message", 1)]

    def test_an_event_without_data_is_none(self):
        assert read(ServerSentEvents(), [b"event: ping\n\nevent: ping\ndata:\n\n"]) == []

    def test_openais_last_word_is_no_event(self):
        assert read(ServerSentEvents(), [b"data: 1\n\ndata: [DONE]\n\n"]) == [StreamEvent("message", 1)]

    @pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
    def test_the_last_event_needs_no_empty_line_behind_it(self, end):
        assert read(ServerSentEvents(), [b"data: 1" + end]) == [StreamEvent("message", 1)]


class TestGarbage:
    @pytest.mark.parametrize(
        ("framing", "raw"),
        [
            (Framing, b"<html>\n"),
            (Framing, b'{"a": 1'),
            (ServerSentEvents, b"data: <html>\n\n"),
            (JSONObjects, b"<html></html>"),
            (JSONObjects, b'[{"a": 1}, {"a": '),
            (JSONObjects, b"}"),
        ],
    )
    def test_what_is_no_json_is_told(self, framing, raw):
        with pytest.raises(orjson.JSONDecodeError):
            read(framing(), [raw])

    @pytest.mark.parametrize("framing", FRAMINGS)
    @given(raw=st.binary(max_size=60), places=PLACES)
    def test_no_bytes_raise_anything_else(self, framing, raw, places):
        try:
            events = read(framing(), cut(raw, places))
        except orjson.JSONDecodeError:
            return
        assert all(isinstance(event, StreamEvent) for event in events)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/event-stream", ServerSentEvents),
        ("text/event-stream; charset=utf-8", ServerSentEvents),
        ("Text/Event-Stream ;charset=utf-8", ServerSentEvents),
        ("application/json; charset=UTF-8", JSONObjects),
        ("application/x-ndjson", Framing),
        ("", Framing),
    ],
)
def test_the_content_type_tells_the_framing(content_type, expected):
    assert type(framing_for(content_type)) is expected


def said_in(name, data):
    """Return the piece of text in one event, read here by hand."""
    if name.startswith("anthropic"):
        return data["delta"].get("text", "") if data["type"] == "content_block_delta" else ""
    if name.startswith("gemini"):
        parts = data["candidates"][0]["content"]["parts"]
        return "".join(part.get("text", "") for part in parts if not part.get("thought"))
    if name.startswith("ollama"):
        return data["message"]["content"] if "message" in data else data["response"]
    if name == "openai-responses-sse":
        return data["delta"] if data["type"] == "response.output_text.delta" else ""
    return (data["choices"][0]["delta"].get("content") or "") if data["choices"] else ""


@pytest.mark.parametrize("name", [name for name in STREAMS + ARRAYS if not name.startswith("cohere")])
def test_the_text_of_a_recorded_stream_is_what_its_events_say(name):
    recording = load(name)
    events = read(framing_for(recording.content_type), [recording.response_body])
    expected = [said_in(name, event.data) for event in events]

    assert [event.text for event in events] == expected
    assert "tool" in name or name in ("gemini-sse-1", "gemini-sse-2") or "".join(expected)


def test_the_text_of_a_stream_is_the_text_of_the_whole_answer():
    """OpenAI's Responses API repeats the whole answer in its last event."""
    recording = load("openai-responses-sse")
    events = read(framing_for(recording.content_type), [recording.response_body])

    assert "".join(event.text for event in events) == bodies.text_of(events[-1].data["response"])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"choices": [{"text": "Hi"}]}, "Hi"),
        ({"choices": [{"delta": {"content": None}}]}, ""),
        ({"choices": [{"delta": {"tool_calls": []}}]}, ""),
        ({"choices": []}, ""),
        ({"choices": ["odd"]}, ""),
        ({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{"}}, ""),
        ({"type": "content_block_delta", "delta": "odd"}, ""),
        ({"type": "message_start", "message": {"content": [{"type": "text", "text": "again"}]}}, ""),
        ({"type": "response.reasoning_text.delta", "delta": "hm"}, ""),
        ([], ""),
        (None, ""),
        ("Hi", ""),
    ],
)
def test_an_event_without_text_has_an_empty_one(data, expected):
    assert delta_of(data) == expected


def test_an_error_in_the_middle_is_what_the_provider_says():
    assert error_of({"type": "error", "error": {"type": "overloaded_error"}}) == {"type": "overloaded_error"}
    assert error_of({"choices": []}) is None
    assert error_of([]) is None
