"""Every recorded body, and every odd one, reads as what it says."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_llmcache import bodies
from django_llmcache.bodies import ToolCall, Usage
from django_llmcache.messages import LLMResponse
from tests.recordings import load, load_all


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Where a dialect keeps what callers ask for, read here by hand and not by the code under test."""

    text: str | None
    finish_reason: str
    input_tokens: str
    output_tokens: str
    model: str = "model"


CHAT = Paths(
    text="choices.0.message.content",
    finish_reason="choices.0.finish_reason",
    input_tokens="usage.prompt_tokens",
    output_tokens="usage.completion_tokens",
)
TOOL_CHAT = Paths(
    text=None,
    finish_reason="choices.0.finish_reason",
    input_tokens="usage.prompt_tokens",
    output_tokens="usage.completion_tokens",
)
COMPLETION = Paths(
    text="choices.0.text",
    finish_reason="choices.0.finish_reason",
    input_tokens="usage.prompt_tokens",
    output_tokens="usage.completion_tokens",
)
RESPONSES = Paths(
    text="output.2.content.0.text",
    finish_reason="status",
    input_tokens="usage.input_tokens",
    output_tokens="usage.output_tokens",
)
MESSAGES = Paths(
    text="content.0.text",
    finish_reason="stop_reason",
    input_tokens="usage.input_tokens",
    output_tokens="usage.output_tokens",
)
TOOL_MESSAGES = Paths(
    text=None,
    finish_reason="stop_reason",
    input_tokens="usage.input_tokens",
    output_tokens="usage.output_tokens",
)
OLLAMA = Paths(
    text="message.content",
    finish_reason="done_reason",
    input_tokens="prompt_eval_count",
    output_tokens="eval_count",
)

ANSWERS = {
    "anthropic-messages-json-2": MESSAGES,
    "anthropic-messages-json-3": MESSAGES,
    "anthropic-tool-use": TOOL_MESSAGES,
    "anthropic-v1_messages-json-1": MESSAGES,
    "groq-chat-1": CHAT,
    "groq-chat-2": CHAT,
    "groq-chat-3": CHAT,
    "groq-chat-4": CHAT,
    "groq-chat-5": CHAT,
    "groq-chat-6": CHAT,
    "groq-chat_completions-json-1": CHAT,
    "groq-tool-use-failed-2": TOOL_CHAT,
    "groq-tool-use-failed-3": CHAT,
    "mistral-v1_chat_completions-json-1": CHAT,
    "mistral-v1_chat_completions-json-2": CHAT,
    "ollama-api_chat-json-1": OLLAMA,
    "ollama-chat": OLLAMA,
    "openai-chat_completions-json-1": CHAT,
    "openai-chat_completions-json-2": CHAT,
    "openai-chat_completions-json-3": CHAT,
    "openai-chat_completions-json-4": CHAT,
    "openai-code-execution-2": RESPONSES,
    "openai-completions-1": COMPLETION,
    "openai-completions-2": COMPLETION,
    "openai-completions-3": COMPLETION,
    "openai-tool-chain-1": TOOL_CHAT,
    "openai-tool-chain-2": TOOL_CHAT,
    "openai-tool-chain-3": CHAT,
    "xai-v1_chat_completions-json-1": CHAT,
}
TOOL_CALLS = {
    "anthropic-tool-use": ("toolu_013CVavAKjSN7RZoE2ZN4xQJ", "get_time", {"timezone": "America/Los_Angeles"}),
    "gemini-sse-1": (None, "get_capital", {"country": "France"}),
    "gemini-sse-2": (None, "get_temperature", {"city": "Paris"}),
    "gemini-tools-json-array-1": (
        "whZntcQw",
        "add_person",
        {
            "age": 30,
            "name": "Alice",
            "address": {"street": "123 Main St", "city": "San Francisco", "zipcode": "94102"},
        },
    ),
    "groq-tool-use-failed-2": (
        "fc_311ba17b-89f9-48d3-8fd9-7e74a1264855",
        "get_something_by_name",
        {"name": "test"},
    ),
    "mistral-v1_chat_completions-json-1": ("1JsFYEokY", "get_weather", {"city": "Paris", "country": "France"}),
    "openai-tool-chain-1": ("call_TTY8UFNo7rNCaOBUNtlRSvMG", "lookup_population", {"country": "Crumpet"}),
    "openai-tool-chain-2": ("call_aq9UyiSFkzX6W8Ydc33DoI9Y", "can_have_dragons", {"population": 123124}),
}
GEMINI_ARRAYS = {
    "gemini-tools-json-array-1": ("", Usage(201, 51 + 183)),
    "gemini-tools-json-array-2": (
        "Alice (age 30) living at 123 Main St, San Francisco, CA 94102 has been successfully added to the database.",
        Usage(467, 34 + 13),
    ),
}
GEMINI_EVENTS = {
    "gemini-sse-1": ("", Usage(52, 5)),
    "gemini-sse-2": ("", Usage(64, 5)),
    "gemini-sse-3": ("The temperature in Paris is 30°C.\n", Usage(79, 12)),
}
NUMBERED_EMBEDDINGS = {"mistral-embeddings"}
ENCODED_EMBEDDINGS = {"azure-embeddings-1", "azure-embeddings-2"}
NO_ANSWERS = {"gemini-models-json-1", "openai-code-execution-1", "openai-code-execution-3"}


def names_of(*kinds):
    return [recording.name for recording in load_all() if recording.kind in kinds]


def calls_in(name) -> tuple[Any, ...]:
    return (TOOL_CALLS[name],) if name in TOOL_CALLS else ()


def body_of(name) -> Any:
    return json.loads(load(name).response_body)


def at(value, path):
    return reduce(lambda found, step: found[int(step) if step.isdigit() else step], path.split("."), value)


def events_of(name) -> list[Any]:
    lines = load(name).response_body.decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


def test_every_recorded_json_answer_has_its_expectation_here():
    expected = {*ANSWERS, *GEMINI_ARRAYS, *NUMBERED_EMBEDDINGS, *ENCODED_EMBEDDINGS, *NO_ANSWERS}

    assert expected == set(names_of("json"))


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_reads_as_its_body_says(name):
    body, paths = body_of(name), ANSWERS[name]
    answer = LLMResponse(load(name).response_body)

    expected = at(body, paths.text) if paths.text else ""
    assert expected == answer.text
    assert (at(body, paths.input_tokens), at(body, paths.output_tokens)) == answer.usage
    assert at(body, paths.finish_reason) == answer.finish_reason
    assert at(body, paths.model) == answer.model
    assert calls_in(name) == answer.tool_calls
    assert not answer.refused
    assert answer.embeddings == ()


@pytest.mark.parametrize("name", GEMINI_ARRAYS)
def test_a_json_array_of_gemini_reads_as_one_answer(name):
    text, usage = GEMINI_ARRAYS[name]
    answer = LLMResponse(load(name).response_body)

    assert text == answer.text
    assert usage == answer.usage
    assert at(body_of(name), "0.usageMetadata.promptTokenCount") <= answer.usage.input_tokens
    assert answer.usage.total_tokens == body_of(name)[-1]["usageMetadata"]["totalTokenCount"]
    assert answer.finish_reason == "STOP"
    assert answer.model == "gemini-3.6-flash"
    assert calls_in(name) == answer.tool_calls


@pytest.mark.parametrize("name", GEMINI_EVENTS)
def test_the_events_of_gemini_read_as_one_answer(name):
    text, usage = GEMINI_EVENTS[name]
    events = events_of(name)

    assert text == bodies.text_of(events)
    assert usage == bodies.usage_of(events)
    assert bodies.finish_reason_of(events) == "STOP"
    assert bodies.model_of(events) == "gemini-2.0-flash"
    assert calls_in(name) == bodies.tool_calls_of(events)


@pytest.mark.parametrize("name", ["gemini-sse-1", "gemini-sse-2"])
def test_one_body_of_gemini_reads_like_an_array_of_one(name):
    event = events_of(name)[0]

    assert bodies.tool_calls_of(event) == bodies.tool_calls_of([event]) == (TOOL_CALLS[name],)
    assert bodies.usage_of(event) == GEMINI_EVENTS[name][1]
    assert bodies.finish_reason_of(event) == "STOP"


@pytest.mark.parametrize("name", sorted(NUMBERED_EMBEDDINGS))
def test_recorded_embeddings_read_as_numbers(name):
    body = body_of(name)
    answer = LLMResponse(load(name).response_body)

    assert [row["embedding"] for row in body["data"]] == list(answer.embeddings)
    assert Usage(body["usage"]["prompt_tokens"], 0) == answer.usage
    assert body["model"] == answer.model
    assert answer.text == ""


@pytest.mark.parametrize("name", sorted(ENCODED_EMBEDDINGS))
def test_recorded_base64_embeddings_read_as_numbers(name):
    """encoding_format=base64 is what OpenAI's own SDK asks for: little-endian float32."""
    body = body_of(name)
    encoded = body["data"][0]["embedding"]
    answer = LLMResponse(load(name).response_body)

    (vector,) = answer.embeddings
    assert b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() == encoded
    assert len(vector) == 3072  # what text-embedding-3-large has
    assert Usage(8, 0) == answer.usage


@pytest.mark.parametrize("name", [*sorted(NO_ANSWERS), *names_of("error")])
def test_a_body_that_is_no_answer_reads_as_empty(name):
    answer = LLMResponse(load(name).response_body)

    assert (answer.text, answer.tool_calls, answer.embeddings) == ("", (), ())
    assert answer.usage == Usage(0, 0)
    assert answer.finish_reason is None
    assert answer.model is None


def test_reasoning_is_no_part_of_the_text():
    anthropic = {"content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "4"}]}
    gemini = {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}, {"text": "4"}]}}]}
    mistral = {
        "choices": [
            {
                "message": {
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                        {"type": "text", "text": "4"},
                    ]
                }
            }
        ]
    }
    deepseek = {"choices": [{"message": {"content": "4", "reasoning_content": "hm"}}]}
    responses = {
        "output": [
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm"}], "summary": []},
            {"type": "message", "content": [{"type": "output_text", "text": "4"}]},
        ]
    }
    ollama = {"message": {"content": "4", "thinking": "hm"}, "done": True}

    assert [bodies.text_of(body) for body in (anthropic, gemini, mistral, deepseek, responses, ollama)] == ["4"] * 6


def test_of_several_answers_the_first_is_read():
    body = {
        "choices": [
            {"message": {"content": "one"}, "finish_reason": "stop"},
            {"message": {"content": "two"}, "finish_reason": "length"},
        ]
    }

    assert bodies.text_of(body) == "one"
    assert bodies.finish_reason_of(body) == "stop"
    assert bodies.finish_reasons_of(body) == ("stop", "length")


def test_blocks_of_text_are_joined():
    assert bodies.text_of({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}) == "ab"


def test_ollamas_generate_reads_as_text():
    body = {
        "model": "m",
        "response": "Hi",
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 1,
        "eval_count": 2,
    }

    assert bodies.text_of(body) == "Hi"
    assert bodies.usage_of(body) == Usage(1, 2)
    assert bodies.finish_reason_of(body) == "stop"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(
            {"input_tokens": 3, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 40, "output_tokens": 7},
            Usage(543, 7),
            id="anthropic-leaves-cached-tokens-out",
        ),
        pytest.param(
            {"prompt_tokens": 540, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 500}},
            Usage(540, 7),
            id="openai-counts-cached-tokens-in",
        ),
        pytest.param(
            {"input_tokens": 540, "output_tokens": 7, "input_tokens_details": {"cached_tokens": 500}},
            Usage(540, 7),
            id="responses-counts-cached-tokens-in",
        ),
        pytest.param(
            {
                "prompt_tokens": 20,
                "completion_tokens": 5,
                "total_tokens": 225,
                "completion_tokens_details": {"reasoning_tokens": 200},
            },
            Usage(20, 205),
            id="xai-leaves-reasoning-out-of-completion-tokens",
        ),
        pytest.param({"total_tokens": 10}, Usage(0, 0), id="a-total-alone-is-neither"),
        pytest.param({"prompt_tokens": 5, "completion_tokens": None}, Usage(5, 0), id="null"),
        pytest.param({"prompt_tokens": True, "completion_tokens": "9"}, Usage(0, 0), id="not-numbers"),
        pytest.param({"prompt_tokens": -1, "completion_tokens": 1.5}, Usage(0, 0), id="not-counts"),
    ],
)
def test_usage_means_the_same_for_every_provider(usage, expected):
    assert bodies.usage_of({"usage": usage}) == expected


def test_usage_of_gemini_counts_tool_results_and_thoughts():
    body = {
        "usageMetadata": {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 60,
            "toolUsePromptTokenCount": 30,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 15,
            "totalTokenCount": 150,
        }
    }

    assert bodies.usage_of(body) == Usage(130, 20)
    assert bodies.usage_of(body).total_tokens == 150


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "max_output_tokens",
        ),
        ({"output": [], "status": "completed", "incomplete_details": None}, "completed"),
        ({"output": [], "status": "failed"}, "failed"),
        ({"status": "processed"}, None),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "SAFETY"),
        ({"content": [], "stop_reason": None}, None),
        ({"message": {"content": []}, "finish_reason": "COMPLETE"}, "COMPLETE"),
        ({"choices": [{"finish_reason": ""}, {"finish_reason": 3}, {"finish_reason": "stop"}]}, "stop"),
    ],
)
def test_the_finish_reason_is_the_providers_own_word(body, expected):
    assert bodies.finish_reason_of(body) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(
            {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
            ToolCall("c", "f", {"a": 1}),
            id="function",
        ),
        pytest.param(
            {"id": "c", "type": "custom", "custom": {"name": "f", "input": "SELECT 1"}},
            ToolCall("c", "f", "SELECT 1"),
            id="custom",
        ),
        pytest.param({"function": {"name": "f", "arguments": {"a": 1}}}, ToolCall(None, "f", {"a": 1}), id="ollama"),
        pytest.param({"function": {"name": "f", "arguments": ""}}, ToolCall(None, "f", {}), id="empty-arguments"),
        pytest.param({"function": {"name": "f", "arguments": None}}, ToolCall(None, "f", {}), id="null-arguments"),
        pytest.param({"function": {"name": "f", "arguments": '{"a'}}, ToolCall(None, "f", '{"a'), id="broken-json"),
        pytest.param({"id": 7, "function": {"name": None}}, ToolCall(None, "", {}), id="odd-types"),
    ],
)
def test_tool_calls_of_chat_completions(call, expected):
    assert bodies.tool_calls_of({"choices": [{"message": {"tool_calls": [call]}}]}) == (expected,)


def test_tool_calls_of_ollama_stand_in_its_message():
    body = {"message": {"content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}}

    assert bodies.tool_calls_of(body) == (ToolCall(None, "f", {"a": 1}),)


def test_a_function_call_of_the_first_openai_functions_api_is_a_tool_call():
    body = {"choices": [{"message": {"content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}}}]}

    assert bodies.tool_calls_of(body) == (ToolCall(None, "f", {"a": 1}),)


def test_tool_calls_of_responses():
    body = {
        "output": [
            {"type": "reasoning"},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "id": "ct_1", "call_id": "c2", "name": "g", "input": "x"},
        ]
    }

    assert bodies.tool_calls_of(body) == (ToolCall("c1", "f", {}), ToolCall("c2", "g", "x"))


def test_only_a_refusal_in_so_many_words_is_one():
    assert bodies.refusal_of({"choices": [{"message": {"content": None, "refusal": "I cannot."}}]})
    assert bodies.refusal_of({"choices": [{"message": {}}, {"message": {"refusal": "I cannot."}}]})
    assert bodies.refusal_of({"output": [{"content": [{"type": "refusal", "refusal": "I cannot."}]}]})
    assert not bodies.refusal_of({"choices": [{"message": {"content": "I cannot.", "refusal": None}}]})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"data": [{"embedding": [2.0, 0], "index": 1}, {"embedding": [1.0, 0], "index": 0}]}, id="openai"),
        pytest.param({"data": [{"embedding": [1.0, 0]}, {"embedding": [2.0, 0]}]}, id="without-index"),
        pytest.param({"embeddings": [{"values": [1.0, 0]}, {"values": [2.0, 0]}]}, id="gemini-batch"),
        pytest.param({"embeddings": [[1.0, 0], [2.0, 0]]}, id="ollama"),
    ],
)
def test_vectors_come_in_the_order_of_the_inputs(body):
    assert bodies.embeddings_of(body) == ([1.0, 0], [2.0, 0])


@pytest.mark.parametrize("body", [{"embedding": {"values": [1.0, 0]}}, {"embedding": [1.0, 0]}])
def test_a_single_vector_is_a_list_of_one(body):
    assert bodies.embeddings_of(body) == ([1.0, 0],)


@pytest.mark.parametrize("odd", ["not base64!", "AAA=", "é", ["1"], [None], {"values": "AAAAAA=="[:3]}, 5, None, []])
def test_what_is_no_vector_is_left_out(odd):
    assert bodies.embeddings_of({"data": [{"embedding": odd}]}) == ()


def test_vectors_read_the_same_on_a_big_endian_machine(monkeypatch):
    monkeypatch.setattr(bodies, "byteorder", "big")
    encoded = b64encode(struct.pack(">2f", 1.0, 0.5)).decode()

    assert bodies.embeddings_of({"data": [{"embedding": encoded}]}) == ([1.0, 0.5],)


NAMES = st.sampled_from([
    "args", "arguments", "blockReason", "call_id", "candidates", "candidatesTokenCount", "choices", "content", "custom",
    "data", "done", "done_reason", "embedding", "embeddings", "error", "finishReason", "finish_reason", "function",
    "functionCall", "function_call", "id", "incomplete_details", "index", "input", "message", "model", "modelVersion",
    "name", "object", "output", "parts", "promptFeedback", "prompt_tokens", "reason", "refusal", "response", "status",
    "stop_reason", "text", "thought", "tool_calls", "total_tokens", "type", "usage", "usageMetadata", "values",
])  # fmt: skip
WORDS = st.sampled_from(["error", "function_call", "message", "refusal", "text", "tool_use", "custom_tool_call", "{}"])
ODD_BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


@given(ODD_BODIES)
def test_no_json_value_is_too_odd_to_read(data):
    text, usage, calls = bodies.text_of(data), bodies.usage_of(data), bodies.tool_calls_of(data)
    vectors = bodies.embeddings_of(data)

    assert isinstance(text, str)
    assert all(isinstance(count, int) and count >= 0 for count in usage)
    assert all(isinstance(call.name, str) and isinstance(call.id, str | None) for call in calls)
    assert all(isinstance(number, int | float) for vector in vectors for number in vector)
    assert isinstance(bodies.finish_reason_of(data), str | None)
    assert isinstance(bodies.model_of(data), str | None)
    assert bodies.refusal_of(data) in (True, False)
