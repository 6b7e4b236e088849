"""Anthropic's Messages API (docs.anthropic.com, "Messages")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django_llmcache.rules import GATEWAYS, RequestRules

from .base import Messages, Place, Provider, is_portable

VERSION: Final = "2023-06-01"
MAX_TOKENS: Final = 4096
"""Sent where the call says nothing: the API requires a value."""

RULES: Final = RequestRules(
    headers=GATEWAYS | {"anthropic-beta", "anthropic-version"},
    client_tools=frozenset({"custom"}),
)


class Anthropic(Provider):
    """Claude, from Anthropic."""

    base_url = "https://api.anthropic.com/v1"
    operations = {"/messages": "chat"}
    key_variable = "ANTHROPIC_API_KEY"
    rules = RULES

    def chat_path(self, model: str, *, stream: bool) -> str:
        return "/messages"

    def chat_payload(self, messages: Messages, model: str, options: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        payload = {"model": model, "max_tokens": MAX_TOKENS, "messages": messages, **options}
        if any(message.get("role") == "system" for message in messages):
            payload |= _with_system_apart(messages, options.get("system"))
        if stream:
            payload["stream"] = True
        return payload

    def place_of(self, path: str) -> Place | None:
        # OpenAI's assistants add a message to a thread by the same ending; a gateway may have both.
        return None if "/threads/" in path else super().place_of(path)

    def auth_headers(self, api_key: str) -> dict[str, str]:
        return {"x-api-key": api_key}

    def extra_headers(self) -> dict[str, str]:
        return {"anthropic-version": VERSION}


def _with_system_apart(messages: Messages, said: Any) -> dict[str, Any]:
    """Move portable system prompts where Anthropic wants them; anything else is passed on as it is."""
    system = [message for message in messages if _is_system(message)]
    rest = [message for message in messages if not _is_system(message)]
    if not system or not isinstance(said, str | None):
        return {}
    texts = [*([said] if said else []), *(message["content"] for message in system)]
    return {"system": "\n\n".join(texts), "messages": rest}


def _is_system(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "system" and is_portable(message)
