"""Portable messages take each provider's shape; all others are passed on as they are."""

from __future__ import annotations

from enum import Enum
from uuid import UUID

import pytest

from django_llmcache import chat

SYSTEM = {"role": "system", "content": "Be brief."}
MORE = {"role": "system", "content": "Be kind."}
USER = {"role": "user", "content": "Hi"}
ASSISTANT = {"role": "assistant", "content": "Hello."}


class Kind(Enum):
    PLAIN = "plain"


@pytest.fixture
def sent(provider):
    """Return what asks, and gives back the body as the provider saw it."""

    def ask(name, messages, **options):
        chat(name, messages, model="m", api_key="made-up", base_url=provider.url, **options)
        return provider.requests[-1]["body"]

    return ask


@pytest.mark.parametrize("name", ["openai", "groq", "ollama"])
def test_openai_style_messages_go_as_they_are(sent, name):
    messages = [SYSTEM, USER, ASSISTANT, {"role": "user", "content": [{"type": "text", "text": "And?"}], "name": "x"}]

    assert sent(name, messages)["messages"] == messages


def test_anthropics_system_prompt_stands_beside_the_messages(sent):
    body = sent("anthropic", [SYSTEM, USER, ASSISTANT, MORE, USER])

    assert body["system"] == "Be brief.\n\nBe kind."
    assert body["messages"] == [USER, ASSISTANT, USER]


def test_anthropics_own_system_prompt_comes_first(sent):
    body = sent("anthropic", [MORE, USER], system="Be brief.")

    assert (body["system"], body["messages"]) == ("Be brief.\n\nBe kind.", [USER])


def test_anthropics_blocks_of_system_prompt_are_left_alone(sent):
    """Blocks have cache_control and more: what a caller builds by hand is theirs."""
    blocks = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]

    for messages in ([USER], [MORE, USER]):
        body = sent("anthropic", messages, system=blocks)
        assert (body["system"], body["messages"]) == (blocks, messages)


def test_anthropics_max_tokens_are_4096_unless_said(sent):
    assert sent("anthropic", [USER])["max_tokens"] == 4096
    assert sent("anthropic", [USER], max_tokens=10)["max_tokens"] == 10


def test_anthropics_own_messages_go_as_they_are(sent):
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "42"}]},
    ]

    assert sent("anthropic", messages)["messages"] == messages


def test_geminis_contents_and_system_instruction_are_made_of_portable_messages(sent):
    body = sent("gemini", [SYSTEM, USER, ASSISTANT, MORE, USER], generationConfig={"temperature": 0})

    assert body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello."}]},
            {"role": "user", "parts": [{"text": "Hi"}]},
        ],
        "generationConfig": {"temperature": 0},
    }


def test_geminis_own_contents_go_as_they_are(sent):
    contents = [
        {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        {"parts": [{"text": "no role"}]},
    ]

    assert sent("gemini", contents)["contents"] == contents


def test_the_callers_own_messages_are_not_changed(sent):
    messages = [dict(SYSTEM), dict(USER)]

    for name in ("anthropic", "gemini", "openai"):
        sent(name, messages)

    assert messages == [SYSTEM, USER]


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "ollama"])
def test_a_providers_own_keyword_goes_into_the_body_as_it_is(sent, name):
    value = {"type": "json_schema", "schema": {"minimum": 1.0, "título": None}}

    assert sent(name, [USER], something_new=value)["something_new"] == value


def test_a_number_that_json_has_no_word_for_is_left_to_the_provider(sent):
    """Python's own JSON writes NaN; what the provider says to it is the provider's business."""
    body = sent("openai", [USER], temperature=float("nan"))

    assert body["temperature"] != body["temperature"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")], ids=str)
def test_nor_is_it_changed_deeper_in_the_body(sent, number):
    schema = {"minimum": number, "default": None, "id": UUID(int=1), "kind": [Kind.PLAIN]}

    body = sent("openai", [USER], tools=[{"function": {"parameters": schema}}])

    deep = body["tools"][0]["function"]["parameters"]
    assert repr(deep) == repr({"minimum": number, "default": None, "id": str(UUID(int=1)), "kind": ["plain"]})


def test_an_integer_of_any_size_is_sent(sent):
    assert sent("openai", [USER], seed=2**70)["seed"] == 2**70


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini", "ollama"])
def test_a_role_that_is_no_text_is_left_for_the_provider_to_refuse(provider, name):
    odd = {"role": ["user"], "content": "Hi"}

    chat(name, [odd], model="m", api_key="made-up", base_url=provider.url, cache=False)

    (body,) = (request["body"] for request in provider.requests)
    assert odd in (body.get("messages") or body["contents"])
