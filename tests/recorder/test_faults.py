"""What each fault makes of a recording, and the words of an error."""

from __future__ import annotations

import json

import pytest

from django_llmcache.exceptions import ConfigurationError
from django_llmcache.recorder.errors import error_answer
from django_llmcache.recorder.exchange import Incoming
from django_llmcache.recorder.faults import Fault
from tests.recordings import load_all

from .made import EVENTS, JSON, answered

NDJSON = (("content-type", "application/x-ndjson"),)
SSE = [b'data: {"n": "%d", "text": "p\xc3\xa2t\xc3\xa9"}\n\n' % number for number in range(4)] + [b"data: [DONE]\n\n"]
NAMED = [b'event: delta\ndata: {"n": %d}\n\n' % number for number in range(4)]
LINES = [b'{"n": %d, "done": false}\n' % number for number in range(4)]


def made(fault: str, recorded: Incoming | None = None, *, provider: str = "openai", timeout: float | None = None):
    return Fault.parse(fault).replay(provider, recorded, timeout=timeout)


class TestParse:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("429", Fault("status", status=429)),
            ("500x2", Fault("status", status=500, times=2)),
            ("429x3(retry_after=2)", Fault("status", status=429, times=3, retry_after=2)),
            ("timeoutx1", Fault("timeout", times=1)),
            ("refused", Fault("refused")),
            ("cut@3", Fault("cut", at=3)),
            ("garble@1", Fault("garble", at=1)),
            ("slow(ttft=2)", Fault("slow", ttft=2.0)),
            ("slow(ttft=0.5, wait=true)", Fault("slow", ttft=0.5, wait=True)),
        ],
    )
    def test_its_forms(self, text, fault):
        assert Fault.parse(text) == fault

    @pytest.mark.parametrize("text", ["", "200", "42", "cut@0", "garble", "slow", "slow(ttft=-1)", "429 x2", "429x0"])
    def test_anything_else_is_an_error_that_shows_them(self, text):
        with pytest.raises(ConfigurationError, match=r'give one such as "429"'):
            Fault.parse(text)


class TestGarble:
    @pytest.mark.parametrize("at", [1, 2, 3, 4])
    @pytest.mark.parametrize(
        ("headers", "pieces", "prefix"),
        [(EVENTS, SSE, b"data: "), (EVENTS, NAMED, b"event: delta\ndata: "), (NDJSON, LINES, b"")],
        ids=["events", "named events", "lines"],
    )
    def test_a_client_meets_what_is_no_json_in_an_event_that_is_whole(self, headers, pieces, prefix, at):
        chunks = [chunk.data for chunk in made(f"garble@{at}", answered(*pieces, headers=headers)).response.chunks]

        damaged = chunks.pop(at - 1)
        assert chunks == [*pieces[: at - 1], *pieces[at:]]
        assert damaged.startswith(prefix)
        assert damaged.endswith(pieces[at - 1][-2:])
        with pytest.raises(json.JSONDecodeError):
            json.loads(damaged.decode().removeprefix(prefix.decode()))

    @pytest.mark.parametrize("size", [1, 3, 7, 20, 1000])
    def test_it_does_so_wherever_the_chunks_begin_and_end(self, size):
        body = b"".join(SSE)
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        lines = (
            made("garble@2", answered(*pieces, headers=EVENTS)).response.body.decode("utf-8", "replace").split("\n\n")
        )

        assert len(lines) == len(SSE) + 1
        assert all(line.startswith("data: ") for line in lines[:-1])
        assert sum(not is_json(line.removeprefix("data: ")) for line in lines[: len(SSE) - 1]) == 1

    def test_where_the_chunk_bears_no_json_the_last_that_does_is_damaged(self):
        chunks = made("garble@5", answered(*SSE, headers=EVENTS)).response.chunks

        assert [chunk.data == piece for chunk, piece in zip(chunks, SSE, strict=True)] == [
            True,
            True,
            True,
            False,
            True,
        ]

    @pytest.mark.parametrize("at", [1, 2, 3])
    def test_one_json_body_is_no_json_any_more(self, at):
        answer = answered(b'{"choices": [{"message": {"content": "Paris"}}]}')

        with pytest.raises(json.JSONDecodeError):
            json.loads(made(f"garble@{at}", answer).response.body)

    def test_what_is_no_json_is_another_and_as_long(self):
        answer = answered(bytes(range(20)), bytes(range(20, 40)), headers=(("content-type", "audio/mpeg"),))
        first, second = made("garble@1", answer).response.chunks

        assert (first.data, second.data) == (bytes(range(20))[::-1], bytes(range(20, 40)))

    @pytest.mark.parametrize("recording", [one for one in load_all() if one.kind in ("sse", "ndjson", "json")],
                             ids=lambda recording: recording.name)  # fmt: skip
    def test_every_recorded_answer_can_be_damaged_so_that_it_shows(self, recording):
        whole = answered(recording.response_body, headers=(("content-type", recording.content_type),))
        damaged = made("garble@1", whole).response.body

        assert len(damaged) == len(recording.response_body)
        assert json_texts(damaged) == json_texts(recording.response_body) - 1


class TestOthers:
    def test_cut_ends_after_its_chunk(self):
        response = made("cut@2", answered(*SSE, headers=EVENTS)).response

        assert [chunk.data for chunk in response.chunks] == SSE[:2]
        assert response.truncated

    @pytest.mark.parametrize(("headers", "pieces"), [(EVENTS, NAMED), (NDJSON, LINES)], ids=["events", "lines"])
    def test_a_stream_that_is_kept_as_one_piece_is_cut_between_its_events(self, headers, pieces):
        response = made("cut@2", answered(b"".join(pieces), headers=headers)).response

        assert [chunk.data for chunk in response.chunks] == pieces[:2]

    def test_one_body_is_cut_where_so_many_of_its_pieces_have_come(self):
        response = made("cut@3", answered(b"0123456789ab")).response

        assert response.body == b"012345678"
        assert response.truncated

    def test_slow_is_a_time_out_for_whoever_waits_less(self):
        assert made("slow(ttft=2)", answered(b"{}"), timeout=1).failure == "timeout"
        assert made("slow(ttft=2)", answered(b"{}"), timeout=3).failure is None
        assert [wait for wait, _ in made("slow(ttft=2)", answered(b"{}")).pieces()] == [0.0]
        assert [wait for wait, _ in made("slow(ttft=2, wait=true)", answered(b"{}")).pieces()] == [2.0]

    def test_what_was_left_unread_breaks_no_fault(self):
        replay = made("garble@1", answered(*SSE, headers=EVENTS, unread=True))

        assert len(list(replay.pieces())) == len(SSE)


class TestErrors:
    @pytest.mark.parametrize(
        ("provider", "shape"),
        [
            ("openai", {"error": {"message": str, "type": "rate_limit_error", "param": None, "code": None}}),
            ("groq", {"error": {"message": str, "type": "rate_limit_error", "param": None, "code": None}}),
            ("anthropic", {"type": "error", "error": {"type": "rate_limit_error", "message": str}, "request_id": str}),
            ("gemini", {"error": {"code": 429, "message": str, "status": "RESOURCE_EXHAUSTED"}}),
            ("vertex", {"error": {"code": 429, "message": str, "status": "RESOURCE_EXHAUSTED"}}),
            ("bedrock", {"message": str}),
            ("cohere", {"id": str, "message": str}),
            ("ollama", {"error": str}),
            ("lmstudio", {"error": str}),
            ("azure", {"error": {"code": "429", "message": str}}),
            ("openrouter", {"error": {"code": 429, "message": str}}),
            (
                "mistral",
                {
                    "object": "error", "message": str, "type": "rate_limited", "param": None, "code": None,
                    "raw_status_code": 429,
                },
            ),
        ],
    )  # fmt: skip
    def test_each_provider_has_its_own_words(self, provider, shape):
        assert _shape(json.loads(error_answer(provider, 429).body), shape) == shape

    def test_mistral_tells_of_a_wrong_request_as_its_framework_does(self):
        (detail,) = json.loads(error_answer("mistral", 422).body)["detail"]

        assert set(detail) == {"type", "loc", "msg", "input"}

    @pytest.mark.parametrize(
        ("status", "name"),
        [(400, "ValidationException"), (429, "ThrottlingException"), (599, "InternalServerException")],
    )
    def test_bedrock_names_its_error_in_a_header(self, status, name):
        assert ("x-amzn-errortype", name) in error_answer("bedrock", status).headers
        assert "x-amzn-errortype" not in dict(error_answer("openai", status).headers)

    @pytest.mark.parametrize(
        ("status", "after", "headers"),
        [
            (429, 0, {"retry-after": "0", "retry-after-ms": "1"}),
            (503, 7, {"retry-after": "7"}),
            (500, 7, {}),
            (500, 0, {"retry-after-ms": "1"}),
            (408, 0, {"retry-after-ms": "1"}),
            (400, 0, {}),
        ],
    )
    def test_only_an_error_that_passes_says_when_to_come_again(self, status, after, headers):
        found = dict(error_answer("openai", status, retry_after=after).headers)

        assert {name: value for name, value in found.items() if name.startswith("retry")} == headers

    def test_an_error_is_one_object_of_json(self):
        answer = error_answer("openai", 418)

        assert (answer.status, answer.content_type) == (418, dict(JSON)["content-type"])
        assert "418" in json.loads(answer.body)["error"]["message"]


def is_json(text: str | bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def json_texts(body: bytes) -> int:
    """Return of how many lines what they bear is JSON; of how many bodies, where it is one."""
    if is_json(body):
        return 1
    lines = [line.removeprefix("data:").strip() for line in body.decode("utf-8", "replace").split("\n")]
    return sum(line[:1] in ("{", "[") and is_json(line) for line in lines)


def _shape(value, shape):
    """Return a value with a type in place of each text of which the shape asks for no more."""
    if isinstance(shape, dict) and isinstance(value, dict):
        return {name: _shape(inner, shape.get(name)) for name, inner in value.items()}
    return type(value) if shape is str else value
