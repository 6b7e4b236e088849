"""Which recorded answer, with which headers, a request to the stand-in provider gets.

The standard library only, like the server's module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

__all__ = [
    "Question",
    "Recording",
    "choose",
    "model_list",
    "new_request_id",
    "provider_headers",
    "read_question",
]

# Served when no recording asks the same question: a complete answer of that provider in that form.
DEFAULTS = frozenset(
    {
        "anthropic-hello",
        "anthropic-stream",
        "gemini-array-text",
        "gemini-stream-text",
        "gemini-text",
        "groq-joke",
        "mistral-embeddings",
        "mistral-one-word",
        "mistral-stream",
        "ollama-hello",
        "ollama-stream",
        "openai-hello",
        "openai-stream",
        "xai-pirate",
    },
)
RATE_LIMIT = 10_000
MODEL_PREFIXES = {"mistral": "mistral", "grok": "xai", "llama": "groq", "deepseek-r1-distill": "groq"}
EVENT_ENDS = {"sse": rb"(?:\r?\n){2}", "ndjson": rb"\n", "array": rb"\n,\r?\n"}
TOOL_CALL = re.compile(rb'"tool_calls":\s*\[\s*\{|"type":\s*"tool_use"|"functionCall"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a request asks for."""

    # whose answer: a provider, or "embeddings"
    family: str
    # "json", "sse", "ndjson", or "array" (Gemini's stream without alt=sse)
    form: str
    # the request's JSON body
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A recorded answer, and the question that got it."""

    # the file's name without its extension
    name: str
    question: Question
    content_type: str
    # the bytes that are sent
    body: bytes

    @property
    def calls_tool(self) -> bool:
        return TOOL_CALL.search(self.body) is not None

    def events(self) -> list[bytes]:
        """Return the body cut behind each event of its stream; joined, it is the body again."""
        end = EVENT_ENDS.get(self.question.form)
        if end is None:
            return [self.body]
        return re.findall(rb".+?(?:" + end + rb"|\Z)", self.body, re.DOTALL)


def read_question(target: str, payload: Mapping[str, Any]) -> Question | None:
    """Return what this request target and JSON body ask for; None if no provider has such a path."""
    url = urlsplit(target)
    path = url.path.rstrip("/")
    form = "sse" if payload.get("stream") is True else "json"
    if path.endswith("/chat/completions"):
        return Question(family=_openai_family(path, payload), form=form, payload=payload)
    if path.endswith("/messages"):
        return Question(family="anthropic", form=form, payload=payload)
    if path.endswith("/api/chat"):
        form = "json" if payload.get("stream") is False else "ndjson"
        return Question(family="ollama", form=form, payload=payload)
    if path.endswith("/embeddings"):
        return Question(family="embeddings", form="json", payload=payload)
    if path.endswith(":generateContent"):
        return Question(family="gemini", form="json", payload=payload)
    if path.endswith(":streamGenerateContent"):
        form = "sse" if "sse" in parse_qs(url.query).get("alt", []) else "array"
        return Question(family="gemini", form=form, payload=payload)
    return None


def choose(question: Question) -> Recording:
    """Return the recording with the same last user message, or else the provider's default answer."""
    # No stream of groq or xai was recorded: theirs have the shape of OpenAI's.
    pool = _pool(question.family, question.form) or _pool("openai", question.form)
    text = _last_user_text(question.payload)
    same = [recording for recording in pool if text and _last_user_text(recording.question.payload) == text]
    if same:
        return max(same, key=lambda recording: _likeness(recording, question.payload))
    return next(recording for recording in pool if recording.name in DEFAULTS)


def model_list() -> bytes:
    """Return an OpenAI-style list of the models that were recorded, as JSON."""
    asked = [recording.question for recording in _recordings()]
    owners = {q.payload["model"]: q.family for q in asked if "model" in q.payload}
    data = [{"id": name, "object": "model", "owned_by": owner} for name, owner in sorted(owners.items())]
    return _compact({"object": "list", "data": data})


def new_request_id() -> str:
    return f"req_{uuid4().hex}"


def provider_headers(family: str, *, calls: int, elapsed: float) -> dict[str, str]:
    """Return what this provider says beside its answer; `elapsed` in seconds, `calls` so far."""
    request_id = new_request_id()
    left = str(max(0, RATE_LIMIT - calls))
    if family == "anthropic":
        return {
            "request-id": request_id,
            "x-request-id": request_id,
            "anthropic-ratelimit-requests-limit": str(RATE_LIMIT),
            "anthropic-ratelimit-requests-remaining": left,
        }
    return {
        "x-request-id": request_id,
        "openai-processing-ms": str(round(elapsed * 1000)),
        "x-ratelimit-limit-requests": str(RATE_LIMIT),
        "x-ratelimit-remaining-requests": left,
        "x-ratelimit-reset-requests": "6ms",
    }


def _openai_family(path: str, payload: Mapping[str, Any]) -> str:
    """Return whose answer an OpenAI-style path gets: as the path names it (`/xai/v1/…`), or by the model."""
    for family in ("groq", "mistral", "xai"):
        if f"/{family}/" in path:
            return family
    model = str(payload.get("model"))
    return next((family for prefix, family in MODEL_PREFIXES.items() if model.startswith(prefix)), "openai")


def _pool(family: str, form: str) -> list[Recording]:
    return [r for r in _recordings() if (r.question.family, r.question.form) == (family, form)]


def _likeness(recording: Recording, payload: Mapping[str, Any]) -> tuple[bool, bool, int]:
    recorded = recording.question.payload
    tools_fit = bool(payload.get("tools")) or not recording.calls_tool
    same_length = len(_messages(payload)) == len(_messages(recorded))
    return tools_fit, same_length, sum(payload.get(name) == value for name, value in recorded.items())


def _messages(payload: Mapping[str, Any]) -> list[Any]:
    found = payload.get("messages") or payload.get("contents")
    return found if isinstance(found, list) else []


def _last_user_text(payload: Mapping[str, Any]) -> str:
    texts = (_user_text(message) for message in reversed(_messages(payload)))
    return next((text for text in texts if text), "")


def _user_text(message: Any) -> str:
    if not isinstance(message, dict) or message.get("role", "user") != "user":
        return ""
    content = message.get("content") or message.get("parts")
    if isinstance(content, str):
        return content
    return "".join(_block_texts(content)) if isinstance(content, list) else ""


def _block_texts(blocks: list[Any]) -> Iterator[str]:
    for block in blocks:
        text = block.get("text") if isinstance(block, dict) else None
        if isinstance(text, str):
            yield text


@cache
def _recordings() -> tuple[Recording, ...]:
    folder = files("django_llmcache.contrib.demo") / "data"
    found = [file for file in folder.iterdir() if file.name.endswith(".json")]
    return tuple(
        _parse(file.name.removesuffix(".json"), json.loads(file.read_text(encoding="utf-8")))
        for file in sorted(found, key=lambda file: file.name)
    )


def _parse(name: str, data: dict[str, Any]) -> Recording:
    response = data["response"]
    content_type = response["headers"]["content-type"]
    question = Question(
        family="embeddings" if data["path"].endswith("/embeddings") else data["provider"],
        form=_form(data["path"], content_type),
        payload=data["request"],
    )
    body = response["text"].encode() if "text" in response else _compact(response["body"])
    return Recording(name=name, question=question, content_type=content_type, body=body)


def _form(path: str, content_type: str) -> str:
    if content_type.startswith("text/event-stream"):
        return "sse"
    if content_type.startswith("application/x-ndjson"):
        return "ndjson"
    return "array" if path.endswith(":streamGenerateContent") else "json"


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
