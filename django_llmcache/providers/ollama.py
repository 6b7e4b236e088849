"""Ollama (github.com/ollama/ollama, docs/api.md). It streams unless it is told not to, and has no keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django_llmcache.rules import STATEFUL, UNKEYED, RequestRules

from .base import Messages, Provider


def stream_unless_refused(method: str, path: str, payload: Mapping[str, Any]) -> bool:
    """Return whether the answer comes as a stream: absent means yes, for the calls that generate."""
    return payload.get("stream", True) is not False and path.rstrip("/").endswith(("/chat", "/generate"))


RULES: Final = RequestRules(
    unkeyed=UNKEYED | {"keep_alive"},
    stateful=STATEFUL | {"context"},  # of /api/generate: the tokens of an earlier answer
    is_stream=stream_unless_refused,
)


class Ollama(Provider):
    """A model on this machine, served by Ollama."""

    base_url = "http://localhost:11434"
    operations = {
        "/api/chat": "chat", "/api/generate": "generate", "/api/embed": "embeddings", "/api/embeddings": "embeddings",
    }  # fmt: skip
    key_variable = "OLLAMA_API_KEY"
    needs_key = False
    rules = RULES

    def chat_path(self, model: str, *, stream: bool) -> str:
        return "/api/chat"

    def chat_payload(self, messages: Messages, model: str, options: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        return {"model": model, "messages": messages, "stream": stream, **options}

    def embed_path(self, model: str) -> str:
        return "/api/embed"
