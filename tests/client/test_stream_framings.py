"""The ways to send events one after another, and their odd corners."""

from __future__ import annotations

import json

import pytest

from django_llmcache import stream
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.events import framing_for
from django_llmcache.exceptions import InvalidAnswerError
from tests.transports.loopback import Loopback, chunked

from .asking import HI, KEY

ODD = [
    {"candidates": [{"content": {"parts": [{"text": 'a "quoted" } and { and \\ and \\" '}]}}]},
    {"candidates": [{"content": {"parts": [{"text": "back\\"}]}}], "é": {"{": ["}", "[", "]", ","]}},
    {},
]
EVENTS = [{"choices": [{"delta": {"content": text}}]} for text in ("one", "two")]
ONE, TWO = (json.dumps(event).encode() for event in EVENTS)

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
BODIES = {
    "sse": (SSE, b"data: %b\n\ndata: %b\n\n" % (ONE, TWO)),
    "sse-crlf": (SSE, b"data: %b\r\n\r\ndata: %b\r\n\r\n" % (ONE, TWO)),
    "sse-cr": (SSE, b"data: %b\r\rdata: %b\r\r" % (ONE, TWO)),
    "sse-bom": (SSE, b"\xef\xbb\xbfdata: %b\n\ndata: %b\n\n" % (ONE, TWO)),
    "sse-no-space": (SSE, b"data:%b\n\ndata:%b\n\n" % (ONE, TWO)),
    "sse-no-end": (SSE, b"data: %b\n\ndata: %b" % (ONE, TWO)),
    "sse-done": (SSE, b"data: %b\n\ndata: %b\n\ndata: [DONE]\n\n" % (ONE, TWO)),
    "sse-comments": (SSE, b": OPENROUTER PROCESSING\n\nretry: 5\nid: 7\ndata: %b\n\n:\n\ndata: %b\n\n" % (ONE, TWO)),
    "sse-several-lines": (SSE, b"data: %b\n\ndata: {\ndata: %b\n\n" % (ONE, TWO[1:])),
    "sse-empty-data": (SSE, b"data:\n\ndata: %b\n\nevent: ping\n\ndata: %b\n\n" % (ONE, TWO)),
    "sse-upper-case": ("Text/Event-Stream; charset=UTF-8", b"data: %b\n\ndata: %b\n\n" % (ONE, TWO)),
    "ndjson": (NDJSON, b"%b\n%b\n" % (ONE, TWO)),
    "ndjson-no-end": (NDJSON, b"%b\r\n%b" % (ONE, TWO)),
    "ndjson-blank-lines": (NDJSON, b"\n%b\n\n \n%b\n" % (ONE, TWO)),
    "array": ("application/json", b"[%b,\r\n%b]" % (ONE, TWO)),
    "array-on-lines": ("application/json; charset=UTF-8", json.dumps(EVENTS, indent=2).encode()),
    "objects": ("application/json", b"%b\n%b\n" % (ONE, TWO)),
}


def events(server, **words):
    return list(stream("openai", HI, model="m", api_key=KEY, base_url=server.url, **words))


@pytest.mark.parametrize("form", BODIES)
def test_two_events_are_read_in_every_form(provider, form):
    content_type, body = BODIES[form]
    provider.script(Reply(200, body, {"content-type": content_type}))

    got = events(provider)

    assert [event.data for event in got] == EVENTS
    assert [event.text for event in got] == ["one", "two"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 4096])
@pytest.mark.parametrize("indent", [None, 2])
def test_braces_and_quotes_in_a_text_end_no_object(size, indent):
    body = json.dumps(ODD, indent=indent, ensure_ascii=False).encode()

    with Loopback(chunked(body, "application/json", size=size)) as server:
        got = events(server)

    assert [event.data for event in got] == ODD


@pytest.mark.parametrize("form", BODIES)
def test_a_stream_may_be_cut_anywhere(form):
    content_type, body = BODIES[form]

    for cut in range(len(body) + 1):
        framing = framing_for(content_type)
        pieces = (body[:cut], body[cut:])
        got = [event.data for piece in pieces for event in framing.feed(piece)]
        assert got + [event.data for event in framing.flush()] == EVENTS


def test_an_array_may_be_cut_anywhere():
    body = json.dumps(ODD * 2, ensure_ascii=False).encode()

    for cut in range(len(body) + 1):
        framing = framing_for("application/json")
        got = [event.data for piece in (body[:cut], body[cut:]) for event in framing.feed(piece)]
        assert got + [event.data for event in framing.flush()] == ODD * 2


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (SSE, b""),
        (NDJSON, b""),
        ("application/json", b""),
        ("application/json", b" [\r\n] "),
        (SSE, b"data: [DONE]\n\n"),
        (SSE, b": waiting\n\n"),
    ],
)
def test_a_stream_without_events_is_no_answer(provider, content_type, body):
    provider.script(Reply(200, body, {"content-type": content_type}))

    with pytest.raises(InvalidAnswerError, match="a stream without any event"):
        events(provider)


def test_nor_is_one_of_which_there_is_no_content(provider):
    provider.script(Reply(204, b"", {}))

    with pytest.raises(InvalidAnswerError, match="HTTP 204 with a stream without any event"):
        events(provider)


@pytest.mark.parametrize(
    "data", [b"7", b"null", b'["a"]', b'"text"', b'{"choices": [7]}', b'{"choices": [{"delta": 5}]}']
)
def test_an_event_of_another_shape_has_no_text(provider, data):
    provider.script(Reply(200, b"data: %b\n\n" % data, {"content-type": SSE}))

    (event,) = events(provider)

    assert (event.data, event.text) == (json.loads(data), "")


@pytest.mark.parametrize("name", ["text", "usage", "data", "finish_reason", "tool_calls", "model"])
def test_what_only_a_whole_answer_has_is_a_mistake_that_names_the_events(provider, name):
    with stream("openai", HI, model="m", api_key=KEY, base_url=provider.url) as answer:
        with pytest.raises(TypeError, match="iterate over its events"):
            getattr(answer, name)
        assert repr(answer) == "<LLMStream 200 bypass>"
