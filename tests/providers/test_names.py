"""Each registered name: where its calls go, with which credential, and what they say."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from django_llmcache import chat, embed, stream
from django_llmcache.exceptions import ConfigurationError, ProviderError
from django_llmcache.providers import BUILT_IN
from tests.transports.loopback import Loopback, whole

HI = [{"role": "user", "content": "Hi"}]
KEY = "sk-made-up-2f9c71d0a4"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Known(NamedTuple):
    """What a provider's documentation says."""

    base_url: str
    variable: str
    auth_header: str = "authorization"
    chat_path: str = "/chat/completions"
    embed_path: str | None = "/embeddings"


KNOWN = {
    "anthropic": Known("https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "x-api-key", "/messages", None),
    "deepseek": Known("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    "gemini": Known(
        "https://generativelanguage.googleapis.com/v1beta",
        "GEMINI_API_KEY",
        "x-goog-api-key",
        "/models/some-model:generateContent",
        "/models/some-model:batchEmbedContents",
    ),
    "groq": Known("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "lmstudio": Known("http://localhost:1234/v1", "LMSTUDIO_API_KEY"),
    "mistral": Known("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "ollama": Known("http://localhost:11434", "OLLAMA_API_KEY", "authorization", "/api/chat", "/api/embed"),
    "openai": Known("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "openrouter": Known("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": Known("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "vllm": Known("http://localhost:8000/v1", "VLLM_API_KEY"),
    "xai": Known("https://api.x.ai/v1", "XAI_API_KEY"),
}
KEYLESS = {"lmstudio", "ollama", "vllm"}


def test_every_registered_name_is_described_here():
    assert KNOWN.keys() == BUILT_IN.keys()


@pytest.mark.parametrize("name", KNOWN)
def test_a_call_goes_to_the_providers_own_address(name, monkeypatch):
    """An environment proxy sees the address, and nothing leaves this machine."""
    for variable in PROXY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    with Loopback(whole(b"no", status="502 Bad Gateway")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(ProviderError):
            chat(name, HI, model="some-model", api_key=KEY)

    address = KNOWN[name].base_url
    scheme, _, host = address.partition("://")
    wanted = f"CONNECT {host.partition('/')[0]}:443" if scheme == "https" else f"POST {address}{KNOWN[name].chat_path}"
    assert proxy.requests[0].decode().startswith(wanted + " HTTP/1.")


@pytest.mark.parametrize("name", KNOWN)
def test_a_chat_is_posted_with_the_credential_where_the_provider_wants_it(provider, name):
    known = KNOWN[name]

    chat(name, HI, model="some-model", api_key=KEY, base_url=f"{provider.url}/base")

    (sent,) = provider.requests
    assert (sent["method"], sent["path"]) == ("POST", f"/base{known.chat_path}")
    assert sent["headers"]["content-type"] == "application/json"
    expected = f"Bearer {KEY}" if known.auth_header == "authorization" else KEY
    assert [(header, value) for header, value in sent["headers"].items() if KEY in value] == [
        (known.auth_header, expected)
    ]
    assert KEY not in sent["path"]
    assert KEY not in str(sent["body"])


@pytest.mark.parametrize("name", KNOWN)
def test_the_key_is_read_from_the_providers_own_variable(provider, name, monkeypatch):
    monkeypatch.setenv(KNOWN[name].variable, KEY)

    chat(name, HI, model="some-model", base_url=provider.url)

    assert KEY in provider.requests[0]["headers"][KNOWN[name].auth_header]


@pytest.mark.parametrize("name", sorted(KEYLESS))
def test_a_provider_on_this_machine_asks_for_no_key(provider, name):
    chat(name, HI, model="some-model", base_url=provider.url)

    assert "authorization" not in provider.requests[0]["headers"]


OPENAI_STYLE = {"model": "some-model", "messages": HI, "temperature": 0.5}
BODIES = dict.fromkeys(KNOWN, OPENAI_STYLE) | {
    "anthropic": {"model": "some-model", "max_tokens": 4096, "messages": HI, "temperature": 0.5},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "temperature": 0.5},
    "ollama": {"model": "some-model", "messages": HI, "stream": False, "temperature": 0.5},
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_body_is_what_the_provider_documents_and_no_more(provider, name):
    chat(name, HI, model="some-model", api_key=KEY, base_url=provider.url, temperature=0.5)

    assert provider.requests[0]["body"] == BODIES[name]


@pytest.mark.parametrize("name", KNOWN)
def test_a_stream_is_asked_for_in_the_providers_own_way(provider, name):
    list(stream(name, HI, model="some-model", api_key=KEY, base_url=provider.url))

    (sent,) = provider.requests
    if name == "gemini":
        assert sent["path"] == "/models/some-model:streamGenerateContent?alt=sse"
        assert "stream" not in sent["body"]
    else:
        assert sent["path"] == KNOWN[name].chat_path
        assert sent["body"]["stream"] is True


@pytest.mark.parametrize("name", [name for name, known in KNOWN.items() if known.embed_path])
def test_embeddings_have_a_path_of_their_own(name):
    with Loopback(whole(b'{"embeddings": [[1.0]]}')) as server:
        embed(name, ["a", "b"], model="some-model", api_key=KEY, base_url=server.url)

    assert server.requests[0].decode().startswith(f"POST {KNOWN[name].embed_path} HTTP/1.1")


def test_anthropic_has_no_embeddings(provider):
    with pytest.raises(ConfigurationError, match="anthropic has no embeddings API"):
        embed("anthropic", "a", model="some-model", api_key=KEY, base_url=provider.url)

    assert provider.calls == 0


def test_anthropic_is_told_the_version_of_its_api(provider):
    chat("anthropic", HI, model="some-model", api_key=KEY, base_url=provider.url)

    assert provider.requests[0]["headers"]["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("model", ["models/some-model", "tunedModels/mine"])
def test_gemini_takes_a_models_whole_resource_name(provider, model):
    chat("gemini", HI, model=model, api_key=KEY, base_url=provider.url)

    assert provider.requests[0]["path"] == f"/{model}:generateContent"
