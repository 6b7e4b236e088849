"""What a recorded body says, read here by hand: nothing of the package under test is used."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from tests.recordings import Recording


class Told(NamedTuple):
    """What a caller may ask of one whole answer."""

    text: str
    finish_reason: str
    usage: tuple[int, int]
    model: str
    tool_calls: list[tuple[str | None, str, Any]]


def told_by(recording: Recording) -> Told:
    """Return what the body of a recorded chat answer says."""
    return READERS.get(recording.provider, _openai)(json.loads(recording.response_body))


def _openai(data: Any) -> Told:
    choice, usage = data["choices"][0], data["usage"]
    calls = choice["message"].get("tool_calls") or []
    return Told(
        choice["message"].get("content") or "",
        choice["finish_reason"],
        (usage["prompt_tokens"], usage["completion_tokens"]),
        data["model"],
        [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls],
    )


def _anthropic(data: Any) -> Told:
    blocks, usage = data["content"], data["usage"]
    return Told(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        data["stop_reason"],
        (usage["input_tokens"], usage["output_tokens"]),
        data["model"],
        [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
    )


def _gemini(data: Any) -> Told:
    answers = data if isinstance(data, list) else [data]
    parts = [part for answer in answers for part in answer["candidates"][0]["content"]["parts"]]
    usage = answers[-1]["usageMetadata"]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    return Told(
        "".join(part.get("text", "") for part in parts),
        answers[-1]["candidates"][0]["finishReason"],
        (usage["promptTokenCount"], usage["totalTokenCount"] - usage["promptTokenCount"]),
        answers[-1]["modelVersion"],
        [(call.get("id"), call["name"], call["args"]) for call in calls],
    )


def _ollama(data: Any) -> Told:
    calls = data["message"].get("tool_calls") or []
    return Told(
        data["message"]["content"],
        data["done_reason"],
        (data["prompt_eval_count"], data["eval_count"]),
        data["model"],
        [(call.get("id"), call["function"]["name"], call["function"]["arguments"]) for call in calls],
    )


READERS = {"anthropic": _anthropic, "gemini": _gemini, "ollama": _ollama}


def events_of(recording: Recording) -> list[Any]:
    """Return the JSON of each event of a recorded stream."""
    text = recording.response_body.decode()
    if recording.kind == "sse":
        found = re.findall(r"^data: (.*?)\r?$", text, re.MULTILINE)
        return [json.loads(data) for data in found if data != "[DONE]"]
    return [json.loads(line) for line in text.splitlines()] if recording.kind == "ndjson" else json.loads(text)


def piece_of(event: Any) -> str:
    """Return the text that one recorded event adds to the answer."""
    if "choices" in event:
        return "".join(choice["delta"].get("content") or "" for choice in event["choices"])
    if "candidates" in event:
        return "".join(part.get("text", "") for part in event["candidates"][0]["content"]["parts"])
    if event.get("type") == "response.output_text.delta":
        return event["delta"]
    if event.get("type") == "content_block_delta":
        return event["delta"].get("text", "")
    if "type" in event:
        return ""
    return event["message"]["content"] if "message" in event else event["response"]
