"""Read what callers ask of an answer from the body of any provider dialect.

The dialect is told by the body's own shape, so an answer reads the same whoever fetched it:

* OpenAI chat completions and every compatible service: ``choices`` (platform.openai.com, API reference "Chat");
* OpenAI Responses: ``output`` beside ``status`` (same place, "Responses");
* Anthropic Messages: ``content`` blocks and ``stop_reason`` (docs.anthropic.com, "Messages");
* Gemini ``generateContent``: ``candidates``, or a JSON array of such parts when streamed without SSE
  (ai.google.dev, "GenerateContentResponse");
* Ollama ``/api/chat`` and ``/api/generate``: ``done`` (github.com/ollama/ollama, docs/api.md).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

JSON = Any
"""A parsed JSON value: dict, list, str, int, float, bool or None."""


class Usage(NamedTuple):
    """Tokens that the provider counted for one answer."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Return input and output tokens together."""
        return self.input_tokens + self.output_tokens


class ToolCall(NamedTuple):
    """One call of a client-side tool that the model asks for."""

    id: str | None
    name: str
    arguments: JSON
    """The arguments parsed, or the provider's own text where it is not valid JSON."""


def text_of(data: JSON) -> str:
    """Return the answer's text; empty where it has none (tool calls only, embeddings, errors)."""
    message = _openai_message(data)
    if message is not None:
        return _joined(message.get("content"))
    if isinstance(data, list) or "candidates" in _mapping(data):
        return "".join(part.get("text", "") for part in _gemini_parts(data) if not part.get("thought"))
    data = _mapping(data)
    if "output" in data:
        return "".join(_joined(item.get("content")) for item in _dicts(data["output"]))
    if "content" in data:
        return _joined(data["content"])
    if "message" in data:
        return _joined(_mapping(data["message"]).get("content"))
    if isinstance(data.get("response"), str):
        return str(data["response"])
    return _first_choice_text(data)


def usage_of(data: JSON) -> Usage:
    """Return the tokens counted in the answer; zeros where the provider says nothing."""
    whole = _last(data)
    usage = _mapping(whole.get("usage") or whole.get("usageMetadata") or whole)
    incoming = _count(usage, "prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
    outgoing = _count(usage, "completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")
    return Usage(incoming, outgoing + _count(usage, "thoughtsTokenCount"))


def finish_reason_of(data: JSON) -> str | None:
    """Return the provider's own word for why the answer ended, or ``None``."""
    for choice in _choices(data):
        if choice.get("finish_reason"):
            return str(choice["finish_reason"])
    whole = _last(data)
    for candidate in _dicts(whole.get("candidates")):
        if candidate.get("finishReason"):
            return str(candidate["finishReason"])
    blocked = _mapping(whole.get("promptFeedback")).get("blockReason")
    incomplete = _mapping(whole.get("incomplete_details")).get("reason")
    word = whole.get("stop_reason") or whole.get("done_reason") or blocked or incomplete
    if word is None and "output" in whole:
        word = whole.get("status")
    return str(word) if word else None


def tool_calls_of(data: JSON) -> tuple[ToolCall, ...]:
    """Return the client-side tool calls that the answer asks for, in order."""
    message = _openai_message(data) or _mapping(_mapping(data).get("message"))
    calls = [_function_call(call) for call in _dicts(message.get("tool_calls"))]
    for part in _gemini_parts(data):
        called = part.get("functionCall") or part.get("function_call")
        if isinstance(called, dict):
            calls.append(ToolCall(called.get("id"), str(called.get("name", "")), called.get("args", {})))
    for block in _dicts(_mapping(data).get("content")):
        if block.get("type") == "tool_use":
            called = ToolCall(block.get("id"), str(block.get("name", "")), block.get("input", {}))
            calls.append(called)
    for item in _dicts(_mapping(data).get("output")):
        if item.get("type") == "function_call":
            arguments = _parsed(item.get("arguments"))
            calls.append(ToolCall(item.get("call_id"), str(item.get("name", "")), arguments))
    return tuple(calls)


def model_of(data: JSON) -> str | None:
    """Return the model that answered, as the provider names it, or ``None``."""
    whole = _last(data)
    name = whole.get("model") or whole.get("modelVersion")
    return str(name) if name else None


def refusal_of(data: JSON) -> bool:
    """Return whether the provider or the model refused to answer."""
    message = _openai_message(data)
    if message is not None and message.get("refusal"):
        return True
    items = _dicts(_mapping(data).get("output"))
    return any(part.get("type") == "refusal" for item in items for part in _dicts(item.get("content")))


def embeddings_of(data: JSON) -> tuple[list[float], ...]:
    """Return the vectors of an embeddings answer, in the order of the inputs."""
    data = _mapping(data)
    rows = _dicts(data.get("data")) or _dicts(data.get("embeddings"))
    vectors = [row.get("embedding") or row.get("values") for row in rows]
    if not vectors and isinstance(data.get("embeddings"), list):
        vectors = data["embeddings"]
    single = _mapping(data.get("embedding")).get("values")
    return tuple(vectors) if not single else (single,)


def _mapping(value: JSON) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: JSON) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _last(data: JSON) -> dict[str, Any]:
    """Return the answer itself, or the last part of one that came as a JSON array (it has the totals)."""
    if isinstance(data, list):
        parts = _dicts(data)
        return parts[-1] if parts else {}
    return _mapping(data)


def _choices(data: JSON) -> list[dict[str, Any]]:
    return _dicts(_mapping(data).get("choices"))


def _openai_message(data: JSON) -> dict[str, Any] | None:
    if data.__class__ is dict:
        choices = data.get("choices")
        if choices.__class__ is list and choices and choices[0].__class__ is dict:
            message = choices[0].get("message")
            return message if isinstance(message, dict) else None
    return None


def _first_choice_text(data: dict[str, Any]) -> str:
    choices = _choices(data)
    return _joined(choices[0].get("text")) if choices else ""


def _gemini_parts(data: JSON) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for whole in _dicts(data if isinstance(data, list) else [data]):
        for candidate in _dicts(whole.get("candidates"))[:1]:
            found += _dicts(_mapping(candidate.get("content")).get("parts"))
    return found


def _joined(content: JSON) -> str:
    if isinstance(content, str):
        return content
    return "".join(block["text"] for block in _dicts(content) if isinstance(block.get("text"), str))


def _count(usage: dict[str, Any], *names: str) -> int:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return 0


def _function_call(call: dict[str, Any]) -> ToolCall:
    function = _mapping(call.get("function"))
    return ToolCall(call.get("id"), str(function.get("name", "")), _parsed(function.get("arguments")))


def _parsed(arguments: JSON) -> JSON:
    if not isinstance(arguments, str):
        return arguments if arguments is not None else {}
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
