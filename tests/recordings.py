"""The recorded provider traffic of tests/data, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DATA = Path(__file__).parent / "data"

URLS = {
    ("anthropic", "messages"): "https://api.anthropic.com/v1/messages",
    ("gemini", "models"): "https://generativelanguage.googleapis.com/v1beta/models",
    ("groq", "chat_completions"): "https://api.groq.com/openai/v1/chat/completions",
    ("lmstudio", "chat_completions"): "http://localhost:1234/v1/chat/completions",
    ("mistral", "chat_completions"): "https://api.mistral.ai/v1/chat/completions",
    ("ollama", "api_chat"): "http://localhost:11434/api/chat",
    ("openai", "chat_completions"): "https://api.openai.com/v1/chat/completions",
    ("openrouter", "models"): "https://openrouter.ai/api/v1/models",
    ("xai", "chat_completions"): "https://api.x.ai/v1/chat/completions",
}
CONTENT_TYPES = {
    "error": "application/json",
    "html_200": "text/html; charset=utf-8",
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "sse": "text/event-stream; charset=utf-8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded exchange with a provider."""

    # the file's name without its extension
    name: str
    # as the recording names it: openai, azure-openai, anthropic, gemini, …
    provider: str
    # json, sse, ndjson, error (a status of 400 or more, or an error inside a 200) or html_200
    kind: str
    method: str
    # with its query
    url: str
    # parsed JSON, a text where it was not JSON, None where there was none
    request_body: Any
    status: int
    # lower-case names; content-type alone for provider_responses
    headers: dict[str, str]
    response_body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


@cache
def load_all() -> list[Recording]:
    """Return every recording of tests/data, sorted by name within its folder."""
    answers = [_provider_response(file) for file in sorted((DATA / "provider_responses").glob("*.json"))]
    return answers + [_cassette(file) for file in sorted((DATA / "cassettes").glob("*.json"))]


def load(name: str) -> Recording:
    """Return the one recording of this name; a KeyError otherwise."""
    return {recording.name: recording for recording in load_all()}[name]


def _read(file: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data


def _provider_response(file: Path) -> Recording:
    data = _read(file)
    body, kind = data["response_body"], data["kind"]
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    endpoint = data["endpoint"].removeprefix("v1_")
    return Recording(
        name=file.stem,
        provider=data["provider"],
        kind=kind,
        method="GET" if endpoint == "models" else "POST",
        url=URLS[data["provider"], endpoint],
        request_body=data["request_body"],
        status=body.get("status", 200) if kind == "error" else 200,
        headers={"content-type": CONTENT_TYPES[kind]},
        response_body=text.encode(),
    )


def _cassette(file: Path) -> Recording:
    data = _read(file)
    return Recording(
        name=file.stem,
        provider=data["provider"],
        kind=_kind(data["status"], data["headers"].get("content-type", "")),
        method=data["method"],
        url=data["url"],
        request_body=data["request_body"],
        status=data["status"],
        headers=data["headers"],
        response_body=data["response_text"].encode(),
    )


def _kind(status: int, content_type: str) -> str:
    if status >= 400:
        return "error"
    kinds = {"text/event-stream": "sse", "application/x-ndjson": "ndjson"}
    return kinds.get(content_type.partition(";")[0], "json")
