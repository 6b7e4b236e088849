"""What each provider's table makes of a request: kept apart, shared, or not cached at all."""

from __future__ import annotations

import pytest

from django_llmcache import LLMRequest, chat, stream
from django_llmcache.providers import BUILT_IN, get

HI = [{"role": "user", "content": "Hi"}]
OPENAI_STYLE = sorted(set(BUILT_IN) - {"anthropic", "gemini", "ollama"})


@pytest.fixture
def ask(provider):
    """Return what asks a provider, and gives back where the answer came from."""

    def ask(name, messages=HI, model="some-model", **words):
        return chat(name, messages, model=model, api_key="made-up", base_url=f"{provider.url}/v1", **words).cache

    return ask


@pytest.mark.parametrize("name", sorted(BUILT_IN))
@pytest.mark.parametrize("field", ["temperature", "top_p", "seed", "stop", "something_new"])
def test_a_field_that_may_change_the_answer_is_in_the_key(ask, name, field):
    assert ask(name).key != ask(name, **{field: 0.5}).key


@pytest.mark.parametrize("name", sorted(BUILT_IN))
@pytest.mark.parametrize("field", ["user", "metadata", "safety_identifier"])
def test_a_field_that_names_the_asker_is_not_in_the_key(ask, name, field):
    assert ask(name).key == ask(name, **{field: {"who": "me"}}).key


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("openai", {"prompt_cache_key": "k"}),
        ("openai", {"prompt_cache_retention": "24h"}),
        ("ollama", {"keep_alive": "5m"}),
        ("gemini", {"labels": {"team": "one"}}),
    ],
)
def test_a_providers_own_field_for_its_books_is_not_in_the_key(ask, name, fields):
    assert ask(name).key == ask(name, **fields).key


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("openai", "OpenAI-Beta"),
        ("openai", "azureml-model-deployment"),
        ("groq", "Groq-Model-Version"),
        ("anthropic", "anthropic-beta"),
        ("anthropic", "Anthropic-Version"),
        ("anthropic", "x-portkey-config"),
        ("gemini", "x-portkey-provider"),
        ("gemini", "X-Goog-FieldMask"),
        ("openai", "x-portkey-custom-host"),
    ],
)
def test_a_header_that_may_change_the_answer_is_in_the_key(ask, name, header):
    assert ask(name).key != ask(name, extra_headers={header: "another"}).key


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_two_models_share_no_answer(ask, name):
    """Gemini's stands in the path."""
    assert ask(name).key != ask(name, model="another-model").key


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        *((name, [FUNCTION]) for name in [*OPENAI_STYLE, "ollama"]),
        ("openai", [{"type": "custom", "custom": {"name": "f"}}]),
        ("anthropic", [{"name": "f", "input_schema": {"type": "object"}}]),
        ("anthropic", [{"type": "custom", "name": "f", "input_schema": {"type": "object"}}]),
        ("gemini", [{"functionDeclarations": [{"name": "f"}]}]),
        ("openai", []),
    ],
)
def test_tools_of_the_client_are_cached_like_anything_else(ask, name, tools):
    first, second = ask(name, tools=tools), ask(name, tools=tools)

    assert (first.status, second.status) == ("miss", "hit")
    assert tools == [] or first.key != ask(name).key


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("openai", {"web_search_options": {}}),
        ("openai", {"tools": [{"type": "web_search"}]}),
        ("openai", {"tools": [FUNCTION, {"type": "code_interpreter"}]}),
        ("openai", {"tools": [{"type": "tool_of_tomorrow"}]}),
        ("openai", {"background": True}),
        ("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("anthropic", {"container": "c"}),
        ("anthropic", {"mcp_servers": [{"url": "u"}]}),
        ("gemini", {"tools": [{"google_search": {}}]}),
        ("gemini", {"tools": [{"googleSearch": {}}, {"functionDeclarations": []}]}),
        ("gemini", {"cachedContent": "cachedContents/x"}),
        ("xai", {"search_parameters": {"mode": "auto"}}),
        ("openrouter", {"plugins": [{"id": "web"}]}),
        ("openrouter", {"models": ["a", "b:online"]}),
        ("openrouter", {"models": ["a", "b@preset/support"]}),
        ("openai", {"agent": {"type": "agent_reference", "name": "support"}}),
        ("openai", {"agent_reference": {"type": "agent_reference", "name": "support"}}),
    ],
)
def test_state_at_the_provider_and_search_are_not_cached(ask, name, fields):
    for _ in range(2):
        found = ask(name, cache=True, **fields)
        assert (found.status, found.reason) == ("bypass", "stateful")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openrouter", "openai/gpt-4o:online"),
        ("openrouter", "@preset/support"),
        ("groq", "groq/compound"),
        ("openai", "gpt-4o-search-preview"),
    ],
)
def test_a_model_that_searches_by_itself_or_is_kept_there_is_not_cached(ask, name, model):
    assert ask(name, model=model).reason == "stateful"


def test_search_that_is_switched_off_is_none(ask):
    assert ask("xai", search_parameters={"mode": "off"}).status == "miss"


def test_a_file_at_the_provider_is_state(ask):
    content = [{"type": "file", "file": {"file_id": "file-1"}}]

    assert ask("openai", [{"role": "user", "content": content}]).reason == "stateful"


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_provider_knows_its_own_streams(provider, name):
    with stream(name, HI, model="m", api_key="made-up", base_url=provider.url) as events:
        assert (events.cache.status, events.cache.reason) == ("bypass", "streaming")


@pytest.mark.parametrize(
    ("name", "path", "payload", "expected"),
    [
        ("openai", "/chat/completions", {"stream": True}, True),
        ("openai", "/chat/completions", {"stream": False}, False),
        ("openai", "/chat/completions", {}, False),
        ("anthropic", "/messages", {"stream": True}, True),
        ("anthropic", "/messages", {}, False),
        ("ollama", "/api/chat", {}, True),
        ("ollama", "/api/generate", {"stream": True}, True),
        ("ollama", "/api/chat", {"stream": False}, False),
        ("ollama", "/api/embed", {}, False),
        ("gemini", "/models/m:streamGenerateContent", {}, True),
        ("gemini", "/models/m:generateContent", {"stream": True}, False),
    ],
)
def test_a_request_made_by_hand_is_known_as_a_stream(name, path, payload, expected):
    """By the value of ``stream``, by its absence, or by the path, as the provider has it."""
    request = LLMRequest(name, payload=payload, path=path, rules=get(name).rules)

    assert request.stream is expected
