"""Which answers may be stored, and the reason against each other one."""

from __future__ import annotations

import json

import pytest

from django_llmcache.admission import FAILED, REFUSED, TRUNCATED, reason_against
from django_llmcache.messages import LLMRequest, LLMResponse
from django_llmcache.policies import ADMITTABLE
from tests.recordings import load, load_all

LIMIT = 4 * 1024 * 1024
CUT_SHORT = {
    "groq-chat_completions-json-1",
    "openai-chat_completions-json-2",
    "openai-completions-1",
    "openai-completions-2",
    "openai-completions-3",
}
NO_ANSWERS = {"gemini-models-json-1", "openai-code-execution-1", "openai-code-execution-3"}


def reason(body, *, operation="chat", status=200, admit=frozenset(), max_bytes=LIMIT):
    request = LLMRequest("openai", payload={"model": "m"}, operation=operation)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return reason_against(request, LLMResponse(raw, status=status), max_bytes=max_bytes, admit=frozenset(admit))


def recorded(name, **words):
    recording = load(name)
    operation = "embeddings" if "embeddings" in recording.url else "chat"
    return reason(recording.response_body, status=recording.status, operation=operation, **words)


def chat(finish_reason="stop", content="Hi", **message):
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": finish_reason}]}


def names_of(*kinds):
    return {recording.name for recording in load_all() if recording.kind in kinds}


@pytest.mark.parametrize("name", sorted(names_of("json") - CUT_SHORT - NO_ANSWERS))
def test_a_recorded_answer_that_is_whole_may_be_stored(name):
    assert recorded(name) is None


@pytest.mark.parametrize("name", sorted(CUT_SHORT))
def test_a_recorded_answer_that_was_cut_short_is_stored_only_when_admitted(name):
    assert recorded(name) == "truncated"
    assert recorded(name, admit={"truncated"}) is None


@pytest.mark.parametrize("name", sorted(names_of("error", "html_200", "sse", "ndjson")))
def test_a_recorded_error_page_or_stream_is_never_stored(name):
    assert recorded(name) == "error"
    assert recorded(name, admit=ADMITTABLE) == "error"


@pytest.mark.parametrize("name", sorted(NO_ANSWERS))
def test_a_recorded_body_of_another_kind_is_no_chat_answer(name):
    assert recorded(name) == "empty"
    assert reason(load(name).response_body, operation="models") is None


@pytest.mark.parametrize("status", [100, 199, 300, 301, 400, 404, 429, 500, 503])
def test_a_status_other_than_2xx_is_an_error(status):
    assert reason(chat(), status=status) == "error"


@pytest.mark.parametrize("status", [200, 201, 299])
def test_every_2xx_will_do(status):
    assert reason(chat(), status=status) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"error": {"message": "no"}}, id="object"),
        pytest.param({"error": "no"}, id="text"),
        pytest.param({**chat(), "error": {"code": 502}}, id="beside-an-answer"),
        pytest.param({"type": "error", "message": "no"}, id="anthropic"),
        pytest.param({"object": "error", "message": "no"}, id="vllm"),
        pytest.param({"choices": [{**chat()["choices"][0], "error": {"code": 502}}]}, id="openrouter-in-a-choice"),
        pytest.param([{"candidates": []}, {"error": {"code": 503}}], id="gemini-array"),
        pytest.param("Hello", id="json-text"),
        pytest.param(None, id="null"),
        pytest.param(7, id="number"),
        pytest.param(b"", id="no-body"),
        pytest.param(b"{", id="broken"),
        pytest.param(b"\xff\xfe", id="not-utf-8"),
        pytest.param(b'{"a": nan}', id="not-json"),
        pytest.param(b"<!DOCTYPE html><html></html>", id="html"),
    ],
)
def test_an_error_inside_a_200_and_what_is_no_json_are_errors(body):
    assert reason(body, admit=ADMITTABLE) == "error"


FAILURES = [
    {"status": "error"}, {"status": "FAILED"}, {"success": False}, {"errors": [{"message": "no"}]}, {"errors": "no"},
]  # fmt: skip


@pytest.mark.parametrize("said", FAILURES, ids=str)
def test_a_gateway_that_says_that_it_failed_has_no_answer_whatever_is_beside_that(said):
    assert reason({**said, "response": "backend down", "content": "no"}, admit=ADMITTABLE) == "error"
    assert reason({**said, "data": [{"embedding": [0.1]}]}, operation="embeddings") == "error"


@pytest.mark.parametrize("said", FAILURES, ids=str)
def test_but_a_function_may_return_that(said):
    assert reason({**said, "answer": "Hi"}, operation="function") is None


@pytest.mark.parametrize("said", [{"status": "completed"}, {"success": True, "errors": []}, {"errors": None}], ids=str)
def test_one_that_says_that_it_did_not_has_one(said):
    assert reason({**chat(), **said}) is None


@pytest.mark.parametrize("said", [None, "", {}, []])
def test_an_error_field_without_an_error_is_none(said):
    assert reason({**chat(), "error": said}) is None


def test_a_body_is_too_large_from_one_byte_over_the_limit():
    size = len(json.dumps(chat()))

    assert reason(chat(), max_bytes=size) is None
    assert reason(chat(), max_bytes=size - 1) == "too_large"
    assert reason(chat(), max_bytes=size - 1, admit=ADMITTABLE) == "too_large"


@pytest.mark.parametrize("word", sorted(TRUNCATED))
def test_every_word_for_cut_short_counts_in_any_case(word):
    assert reason(chat(word)) == reason(chat(word.upper())) == "truncated"


@pytest.mark.parametrize("word", sorted(REFUSED))
def test_every_word_for_refused_counts_and_can_be_admitted(word):
    assert reason(chat(word)) == reason(chat(word.upper())) == "refused"
    assert reason(chat(word), admit={"refused"}) is None


@pytest.mark.parametrize("word", sorted(FAILED))
def test_every_word_for_failed_is_an_error_that_none_can_admit(word):
    assert reason(chat(word), admit=ADMITTABLE) == "error"


def test_no_word_means_two_things():
    assert not TRUNCATED & REFUSED
    assert not FAILED & (TRUNCATED | REFUSED)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"content": [{"type": "text", "text": "Hi"}], "stop_reason": "max_tokens"}, "truncated"),
        ({"content": [{"type": "text", "text": "Hi"}], "stop_reason": "pause_turn"}, "truncated"),
        ({"content": [{"type": "text", "text": "Hi"}], "stop_reason": "refusal"}, "refused"),
        ({"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "MAX_TOKENS"}]}, "truncated"),
        ({"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "SAFETY"}]}, "refused"),
        ({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "refused"),
        ({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}, "error"),
        ({"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "truncated"),
        ({"output": [], "status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "truncated"),
        ({"output": [], "status": "failed"}, "error"),
        ({"output": [], "status": "queued"}, "error"),
        ({"output": [{"content": [{"type": "refusal", "refusal": "No."}]}], "status": "completed"}, "refused"),
        ({"message": {"content": "Hi"}, "done": False}, "truncated"),
        (chat(None), "truncated"),
        ({"choices": [*chat()["choices"], *chat(None)["choices"]]}, "truncated"),
        ({"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": None}, "truncated"),
        ({"message": {"content": "Hi"}, "done": True, "done_reason": "length"}, "truncated"),
        (chat(refusal="I cannot."), "refused"),
    ],
)
def test_each_dialect_says_it_its_own_way(body, expected):
    assert reason(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"message": {"content": "Hi"}}]},
        {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop", "stop_reason": None}]},
        {"content": [{"type": "text", "text": "Hi"}]},
    ],
    ids=["openai", "vllm", "anthropic"],
)
def test_one_that_does_not_say_why_it_ended_is_whole(body):
    assert reason(body) is None


def test_one_of_several_answers_that_was_cut_short_counts():
    body = {"choices": [*chat()["choices"], *chat("length")["choices"]]}

    assert reason(body) == "truncated"


def test_an_answer_with_two_faults_needs_both_admitted():
    body = chat("length", content="")

    assert reason(body) == "truncated"
    assert reason(body, admit={"truncated"}) == "empty"
    assert reason(body, admit={"truncated", "empty"}) is None


@pytest.mark.parametrize(
    "body",
    [
        chat(content=""),
        chat(content=None),
        {"choices": []},
        {},
        [],
        {"content": [], "stop_reason": "end_turn"},
        {"candidates": [{"finishReason": "STOP"}]},
        {"message": {"content": ""}, "done": True},
    ],
)
def test_an_answer_without_text_or_tool_call_is_empty(body):
    assert reason(body) == "empty"
    assert reason(body, admit={"empty"}) is None


@pytest.mark.parametrize(
    "body",
    [
        chat("tool_calls", content=None, tool_calls=[{"id": "c", "function": {"name": "f", "arguments": "{}"}}]),
        {"content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "stop_reason": "tool_use"},
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]},
        {"output": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}], "status": "completed"},
    ],
)
def test_a_tool_call_is_never_empty(body):
    assert reason(body) is None


def test_embeddings_are_empty_without_a_vector_and_not_without_text():
    assert reason({"data": [{"embedding": [0.1]}]}, operation="embeddings") is None
    assert reason({"data": []}, operation="embeddings") == "empty"
    assert reason(chat(), operation="embeddings") == "empty"


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"answer": "Hi"}, None), ({"answer": ""}, "empty"), ({"answer": None}, "empty"), ({}, "empty")],
)
def test_what_a_function_returned_is_empty_without_a_value(value, expected):
    assert reason(value, operation="function") == expected
