"""Google's Gemini API (ai.google.dev/api, "generateContent" and "embedContent"). The model is in the path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from django_llmcache.exceptions import ConfigurationError
from django_llmcache.rules import GATEWAYS, UNKEYED, RequestRules

from .base import Messages, Place, Provider, is_portable

METHODS: Final = {
    "generateContent": "chat", "streamGenerateContent": "chat",
    "embedContent": "embeddings", "batchEmbedContents": "embeddings",
}  # fmt: skip
_PLACE: Final = re.compile(
    rf"(?P<root>.*?)(?P<path>/(?:models|tunedModels)/(?P<model>[^/:]+):(?P<method>{'|'.join(METHODS)}))"
)
_ELSEWHERE: Final = re.compile(r"[?#%\\\s]")
ROLES: Final = {"assistant": "model", "model": "model"}


def stream_by_path(method: str, path: str, payload: Mapping[str, Any]) -> bool:
    """Return whether the path is the streaming one."""
    return ":streamGenerateContent" in path


RULES: Final = RequestRules(
    unkeyed=UNKEYED | {"labels"},
    headers=GATEWAYS | {"x-goog-fieldmask"},  # a part of the answer (cloud.google.com/apis/docs/system-parameters)
    is_stream=stream_by_path,
)


class Gemini(Provider):
    """Gemini, from Google."""

    base_url = "https://generativelanguage.googleapis.com/v1beta"
    hosts = ("*aiplatform.googleapis.com",)
    key_variable = "GEMINI_API_KEY"
    rules = RULES

    def chat_path(self, model: str, *, stream: bool) -> str:
        return f"/{_in_path(model)}:{'streamGenerateContent' if stream else 'generateContent'}"

    def chat_query(self, *, stream: bool) -> tuple[tuple[str, str], ...]:
        return (("alt", "sse"),) if stream else ()

    def chat_payload(self, messages: Messages, model: str, options: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        system = [
            message["content"] for message in messages if message.get("role") == "system" and is_portable(message)
        ]
        contents = [
            _content(message) for message in messages if message.get("role") != "system" or not is_portable(message)
        ]
        payload: dict[str, Any] = {"contents": contents}
        if system:
            payload["systemInstruction"] = {"parts": [{"text": text} for text in system]}
        return payload | options

    def place_of(self, path: str) -> Place | None:
        found = _PLACE.fullmatch(path)
        if found is None:
            return None
        return Place(found["root"], found["path"], METHODS[found["method"]], found["model"])

    def embed_path(self, model: str) -> str:
        return f"/{_in_path(model)}:batchEmbedContents"

    def embed_payload(self, texts: str | Sequence[str], model: str, options: dict[str, Any]) -> dict[str, Any]:
        inputs = [texts] if isinstance(texts, str) else texts
        return {
            "requests": [
                {"model": _resource(model), "content": {"parts": [{"text": text}]}, **options} for text in inputs
            ]
        }

    def auth_headers(self, api_key: str) -> dict[str, str]:
        return {"x-goog-api-key": api_key}


def _resource(model: str) -> str:
    return model if "/" in model else f"models/{model}"


def _in_path(model: str) -> str:
    """Return the resource as a path, escaped where an address has other uses for a character.

    Raises:
        ConfigurationError: it would lead to another address, to which the API key would be sent.
    """
    steps = _resource(model).split("/")
    if any(step in ("", ".", "..") or not step.isprintable() or _ELSEWHERE.search(step) for step in steps):
        raise ConfigurationError(
            f"model is {model!r:.80}, which is no name for Gemini: give one such as 'gemini-2.0-flash', "
            f"'tunedModels/mine' or 'publishers/google/models/gemini-2.0-flash'. Nothing was sent."
        )
    return "/".join(quote(step, safe="@") for step in steps)


def _content(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a portable message in Gemini's shape; any other as it is."""
    if not is_portable(message):
        return message
    return {"role": ROLES.get(message["role"], message["role"]), "parts": [{"text": message["content"]}]}
