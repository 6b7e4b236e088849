"""OpenAI, and every service that speaks its chat completions API.

Rules from platform.openai.com, API reference "Chat", "Responses" and "Embeddings".
"""

from __future__ import annotations

from typing import Any, Final

from django_llmcache.rules import GATEWAYS, STATEFUL, UNKEYED, RequestRules

from .base import Messages, Place, Provider

HEADERS: Final = GATEWAYS | {
    "openai-beta",
    "azureml-model-deployment", "extra-parameters",  # Azure AI: which deployment answers, what it does with the rest
    "groq-model-version",
}  # fmt: skip
"""Request headers that change an answer."""

RULES: Final = RequestRules(
    unkeyed=UNKEYED | {"prompt_cache_key", "prompt_cache_retention"},
    headers=HEADERS,
)

OPERATIONS: Final = {
    "/chat/completions": "chat", "/responses": "responses", "/embeddings": "embeddings", "/completions": "completions",
}  # fmt: skip
"""The first ending that fits is meant."""


class OpenAI(Provider):
    """OpenAI's own API."""

    base_url = "https://api.openai.com/v1"
    hosts: tuple[str, ...] = (
        "*.api.openai.com", "*.openai.azure.com", "*.services.ai.azure.com", "*.cognitiveservices.azure.com",
    )  # fmt: skip
    operations = OPERATIONS
    key_variable: str | None = "OPENAI_API_KEY"
    rules = RULES

    def chat_path(self, model: str, *, stream: bool) -> str:
        return "/chat/completions"

    def chat_payload(self, messages: Messages, model: str, options: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        payload = {"model": model, "messages": messages, **options}
        if stream:
            payload["stream"] = True
        return payload

    def embed_path(self, model: str) -> str:
        return "/embeddings"

    def place_of(self, path: str) -> Place | None:
        # An agent of Azure's Foundry, whose prompt, model and tools are kept there: no request says them.
        return None if "/protocols/openai/" in path else super().place_of(path)


class Compatible(OpenAI):
    """A service with OpenAI's API at another address."""

    hosts = ()
    # OpenAI's own key is not for others: this one is named after the provider where a subclass says nothing.
    key_variable: str | None = None


class Local(Compatible):
    """The same on this machine or network, where a key is sent if there is one, and not asked for."""

    needs_key = False


class Groq(Compatible):
    """Groq (console.groq.com/docs); its ``compound`` models search the web by themselves."""

    base_url = "https://api.groq.com/openai/v1"
    key_variable = "GROQ_API_KEY"
    rules = RequestRules(headers=HEADERS, stateful=STATEFUL | {"compound_custom"})


class Mistral(Compatible):
    """Mistral (docs.mistral.ai/api)."""

    base_url = "https://api.mistral.ai/v1"
    operations = {"/fim/completions": "completions", "/agents/completions": "chat"} | OPERATIONS
    key_variable = "MISTRAL_API_KEY"
    rules = RequestRules(headers=HEADERS, client_tools=frozenset({"function"}))


class OpenRouter(Compatible):
    """OpenRouter (openrouter.ai/docs): ``:online`` and the ``web`` plugin search, ``@preset/…`` is kept there."""

    base_url = "https://openrouter.ai/api/v1"
    key_variable = "OPENROUTER_API_KEY"
    rules = RequestRules(headers=HEADERS)


class XAI(Compatible):
    """xAI (docs.x.ai): ``search_parameters`` is live search, ``deferred`` an answer to be fetched."""

    base_url = "https://api.x.ai/v1"
    key_variable = "XAI_API_KEY"
    rules = RequestRules(headers=HEADERS, stateful=STATEFUL | {"deferred"})


class DeepSeek(Compatible):
    """DeepSeek (api-docs.deepseek.com)."""

    base_url = "https://api.deepseek.com/v1"
    key_variable = "DEEPSEEK_API_KEY"


class Together(Compatible):
    """Together (docs.together.ai)."""

    base_url = "https://api.together.xyz/v1"
    key_variable = "TOGETHER_API_KEY"


class LMStudio(Local):
    """LM Studio's server (lmstudio.ai/docs)."""

    base_url = "http://localhost:1234/v1"
    key_variable = "LMSTUDIO_API_KEY"


class VLLM(Local):
    """vLLM's server (docs.vllm.ai)."""

    base_url = "http://localhost:8000/v1"
    key_variable = "VLLM_API_KEY"
