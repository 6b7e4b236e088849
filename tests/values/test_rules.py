"""Which requests depend on more than they say: the tables of rules, over every dialect."""

from __future__ import annotations

import copy
import pickle
from types import MappingProxyType

import pytest

from django_llmcache.providers.anthropic import RULES as ANTHROPIC
from django_llmcache.providers.gemini import RULES as GEMINI
from django_llmcache.providers.ollama import RULES as OLLAMA
from django_llmcache.providers.openai import RULES as OPENAI
from django_llmcache.rules import DEFAULT_RULES, REFERENCES, STATEFUL, RequestRules, stream_by_value
from tests.recordings import load, load_all

ALL = {"anthropic": ANTHROPIC, "default": DEFAULT_RULES, "gemini": GEMINI, "ollama": OLLAMA, "openai": OPENAI}
HI = {"role": "user", "content": "Hi"}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

HOSTED = [
    {"type": "web_search"},
    {"type": "web_search_2025_08_26"},
    {"type": "web_search_preview"},
    {"type": "web_search_preview_2025_03_11"},
    {"type": "web_search_20250305", "name": "web_search"},
    {"type": "web_fetch_20250910", "name": "web_fetch"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "code_execution_20250522", "name": "code_execution"},
    {"type": "computer_use_preview"},
    {"type": "computer_20250124", "name": "computer"},
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {"type": "memory_20250818", "name": "memory"},
    {"type": "mcp", "server_label": "docs", "server_url": "https://example.com"},
    {"type": "mcp_toolset", "mcp_server_name": "docs"},
    {"type": "image_generation"},
    {"type": "local_shell"},
    {"type": "browser_search"},
    {"type": "live_search", "sources": []},
    {"type": "x_search"},
    {"type": "collections_search"},
    {"type": "openrouter:web_search"},
    {"type": "a_tool_that_nobody_listed"},
    {"google_search": {}},
    {"googleSearch": {}},
    {"google_search_retrieval": {}},
    {"googleSearchRetrieval": {"dynamicRetrievalConfig": {}}},
    {"codeExecution": {}},
    {"code_execution": {}},
    {"urlContext": {}},
    {"url_context": {}},
    {"googleMaps": {}},
    {"fileSearch": {}},
    {"retrieval": {"vertexAiSearch": {}}},
    {"enterpriseWebSearch": {}},
    {"computerUse": {}},
    {"functionDeclarations": [{"name": "f"}], "googleSearch": {}},
    "web_search",
    7,
    None,
]
CLIENT = {
    "openai": [FUNCTION],
    "openai-custom": [{"type": "custom", "custom": {"name": "sql"}}],
    "responses": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
    "anthropic": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
    "gemini": [{"functionDeclarations": [{"name": "f"}]}],
    "gemini-snake": [{"function_declarations": [{"name": "f"}]}],
    "gemini-with-an-absent-search": [{"functionDeclarations": [{"name": "f"}], "googleSearch": None}],
    "ollama": [{"type": "function", "function": {"name": "f"}}],
    "several": [FUNCTION, {"type": "custom", "custom": {"name": "g"}}],
    "none": [],
    "null": None,
}


def chat(*turns, **fields):
    return {"model": "m", "messages": list(turns or [HI]), **fields}


@pytest.mark.parametrize("name", ALL)
def test_a_plain_chat_has_no_state(name):
    assert not ALL[name].has_state(chat())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("tool", HOSTED, ids=str)
def test_every_hosted_tool_has_state_beside_others_too(name, tool):
    assert ALL[name].has_state(chat(tools=[tool]))
    assert ALL[name].has_state(chat(tools=[{"name": "f", "input_schema": {}}, tool]))


@pytest.mark.parametrize("kind", CLIENT)
def test_tools_of_the_client_have_none(kind):
    assert not DEFAULT_RULES.has_state(chat(tools=CLIENT[kind]))


def test_tools_of_another_shape_have_state():
    assert DEFAULT_RULES.has_state(chat(tools={"web_search": True}))


@pytest.mark.parametrize("kind", ["anthropic", "none"])
def test_a_type_that_this_provider_does_not_list_has_state(kind):
    assert not ANTHROPIC.has_state(chat(tools=CLIENT[kind]))
    assert ANTHROPIC.has_state(chat(tools=[FUNCTION]))


@pytest.mark.parametrize("name", sorted(STATEFUL))
@pytest.mark.parametrize("value", ["x", ["x"], {"id": "x"}, {}, True, 1], ids=str)
def test_every_listed_name_means_state(name, value):
    assert DEFAULT_RULES.has_state(chat(**{name: value}))


@pytest.mark.parametrize("name", sorted(STATEFUL))
@pytest.mark.parametrize("value", [None, False, "", [], 0, {"mode": "off"}], ids=str)
def test_a_value_that_says_nothing_does_not_count(name, value):
    assert not DEFAULT_RULES.has_state(chat(**{name: value}))


def test_a_stored_prompt_has_state_and_a_prompts_text_has_none():
    assert DEFAULT_RULES.has_state({"model": "m", "prompt": {"id": "pmpt_1"}})
    assert not DEFAULT_RULES.has_state({"model": "m", "prompt": "Once upon a time"})
    assert not DEFAULT_RULES.has_state({"model": "m", "prompt": ["Once", "twice"]})


def test_ollamas_context_of_an_earlier_answer_is_state():
    assert OLLAMA.has_state({"model": "m", "prompt": "Hi", "context": [1, 2]})
    assert not DEFAULT_RULES.has_state({"model": "m", "prompt": "Hi", "context": [1, 2]})


@pytest.mark.parametrize("name", sorted(REFERENCES))
@pytest.mark.parametrize("place", ["messages", "input", "contents", "systemInstruction"])
def test_a_reference_at_any_depth_of_a_turn_is_state(name, place):
    for part in ({name: "x"}, {name: {"id": "x"}}, {"type": name}, {"deep": [{"deeper": ({name: ["x"]},)}]}):
        turn = {"role": "user", "content": [{"type": "text", "text": "Hi"}, part]}

        assert DEFAULT_RULES.has_state({"model": "m", place: [turn]})


@pytest.mark.parametrize("empty", [None, "", [], {}])
def test_an_empty_reference_refers_to_nothing(empty):
    """OpenAI's own assistant turns bear ``"audio": null`` when they are sent back."""
    turn = {"role": "assistant", "content": "Hi", "audio": empty}

    assert not DEFAULT_RULES.has_state(chat(turn))


@pytest.mark.parametrize("name", ["args", "arguments", "input", "response"])
def test_what_a_clients_tool_was_given_or_gave_is_its_own_business(name):
    call = {
        "role": "assistant",
        "content": [{"type": "tool_use", "name": "f", name: {"file_id": "mine", "deep": [{}]}}],
    }

    assert not DEFAULT_RULES.has_state(chat(call))


def test_the_words_of_a_message_refer_to_nothing():
    assert not DEFAULT_RULES.has_state(chat({"role": "user", "content": "file_id: file-1 web_search"}))
    assert not DEFAULT_RULES.has_state({"model": "m", "input": "item_reference"})
    assert not DEFAULT_RULES.has_state({"model": "m", "input": ["audio", [1, 2]]})


def test_an_image_by_its_address_or_its_bytes_is_no_reference():
    for url in ("https://example.com/a.png", "data:image/png;base64,AAAA"):
        turn = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}

        assert not DEFAULT_RULES.has_state(chat(turn))


def test_mappings_and_tuples_are_read_like_dicts_and_lists():
    turn = MappingProxyType({"role": "user", "content": (MappingProxyType({"file_id": "file-1"}),)})

    assert DEFAULT_RULES.has_state(MappingProxyType({"model": "m", "messages": (turn,)}))


def test_a_circle_is_no_state_and_no_crash():
    circle = {"role": "user", "content": []}
    circle["content"].append(circle)

    assert not DEFAULT_RULES.has_state(chat(circle))


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-4o:online",
        "gpt-4o-search-preview",
        "gpt-4o-mini-search-preview-2025-03-11",
        "gpt-5-search-api",
        "groq/compound",
        "compound-beta-mini",
        "perplexity/sonar-pro",
        "sonar",
        "SONAR-Reasoning",
        "@preset/support",
        "openai/gpt-4o@preset/support",
    ],
)
def test_a_model_that_searches_by_itself_or_is_kept_at_the_provider_has_state(model):
    for _ in range(2):
        assert DEFAULT_RULES.has_state(chat(model=model))
        assert DEFAULT_RULES.has_state(chat(models=["gpt-4o", model]))


@pytest.mark.parametrize(
    "model", ["gpt-4o", "research-preview", "claude-online-3", "llama-3:8b", "", None, 7, ["sonar"]]
)
def test_any_other_model_has_none(model):
    for _ in range(2):
        assert not DEFAULT_RULES.has_state(chat(model=model))
        assert not DEFAULT_RULES.has_state(chat(models=[model]))


def test_more_models_than_are_remembered_are_still_told_apart():
    rules = RequestRules()

    for number in range(1200):
        assert not rules.has_state(chat(model=f"m-{number}"))
        assert rules.has_state(chat(model=f"m-{number}:online"))


def test_a_last_say_of_the_provider_counts():
    rules = RequestRules(is_stateful=lambda payload: payload.get("seed") == 7)

    assert rules.has_state(chat(seed=7))
    assert not rules.has_state(chat(seed=8))


@pytest.mark.parametrize(
    "name", [recording.name for recording in load_all() if isinstance(recording.request_body, dict)]
)
def test_of_the_recorded_requests_only_the_one_with_a_hosted_tool_has_state(name):
    recording = load(name)
    rules = ALL.get(recording.provider, DEFAULT_RULES)

    assert rules.has_state(recording.request_body) == (name == "openai-code-execution-2")


@pytest.mark.parametrize(
    ("value", "expected"), [(True, True), (1, True), (False, False), (None, False), (0, False), ("", False)]
)
def test_a_stream_is_told_by_its_value(value, expected):
    assert stream_by_value("POST", "/chat/completions", {"stream": value}) is expected
    assert stream_by_value("POST", "/chat/completions", {}) is False


def test_names_of_headers_are_read_in_any_case():
    assert RequestRules(headers=["OpenAI-Beta"]).headers == {"openai-beta"}


def test_rules_are_immutable():
    rules = RequestRules()

    with pytest.raises(AttributeError, match="immutable"):
        rules.unkeyed = frozenset()
    with pytest.raises(AttributeError, match="immutable"):
        del rules.stateful


@pytest.mark.parametrize("rules", [OPENAI, GEMINI, OLLAMA, ANTHROPIC], ids=["openai", "gemini", "ollama", "anthropic"])
@pytest.mark.parametrize("made", [lambda value: pickle.loads(pickle.dumps(value)), copy.deepcopy, copy.copy])
def test_copies_and_pickles_say_the_same(rules, made):
    twin = made(rules)
    public = [name for name in RequestRules.__slots__ if not name.startswith("_")]

    assert [getattr(twin, name) for name in public] == [getattr(rules, name) for name in public]
    assert twin.has_state(chat(tools=[{"type": "web_search"}]))
