"""Read what callers ask of an answer from the body of any provider dialect.

The dialect is told by the body's own shape, so an answer reads the same whoever fetched it:

* OpenAI chat completions and every compatible service: ``choices`` (platform.openai.com, API reference "Chat");
* OpenAI Responses: ``output`` beside ``status`` (same place, "Responses");
* Anthropic Messages: ``content`` blocks and ``stop_reason`` (docs.anthropic.com, "Messages");
* Gemini ``generateContent``: ``candidates``, or a JSON array of such parts when streamed without SSE
  (ai.google.dev, "GenerateContentResponse");
* Ollama ``/api/chat`` and ``/api/generate``: ``done`` (github.com/ollama/ollama, docs/api.md).

Every function takes any JSON value and raises nothing: what is not there reads as empty.
"""

from __future__ import annotations

from array import array
from base64 import b64decode
from sys import byteorder
from typing import Any, Final, NamedTuple

from .parsing import exactly, parsed

_NUMBERS: Final = frozenset({float, int})
_MOST_TOKENS: Final = 10**9
"""No answer takes more: a larger count is garbage, and a few of those would add up to what no statistics can say."""

JSON = Any
"""A parsed JSON value: dict, list, str, int, float, bool or None."""


class Usage(NamedTuple):
    """Tokens that the provider counted for one answer, by one meaning for every provider.

    Attributes:
        input_tokens: all that the model read, those from the provider's own prompt cache included.
        output_tokens: all that it wrote, its reasoning included.
    """

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
    """The arguments parsed (``{}`` for none), or the provider's own text where it is not valid JSON."""


def text_of(data: JSON) -> str:
    """Return the answer's text; empty where it has none (tool calls only, embeddings, errors).

    Of several answers (``n``, ``candidateCount``) the first. Reasoning is no part of it.
    """
    try:  # what most answers look like: to ask at each step takes three times as long
        content = data["choices"][0]["message"]["content"]
        if content.__class__ is str:
            return content
    except (IndexError, KeyError, TypeError):
        pass
    message = _openai_message(data)
    if message is not None:
        content = message.get("content")
        return content if content.__class__ is str else _joined(content)
    if isinstance(data, list) or "candidates" in _mapping(data):
        return _joined([part for part in _gemini_parts(data) if not part.get("thought")])
    data = _mapping(data)
    if "output" in data:
        messages = (item for item in _dicts(data["output"]) if item.get("type", "message") == "message")
        return "".join(_joined(item.get("content")) for item in messages)
    if "content" in data:
        return _joined(data["content"])
    if "message" in data:
        return _joined(_mapping(data["message"]).get("content"))
    return _joined(data["response"]) if "response" in data else _joined(_first(_choices(data)).get("text"))


def usage_of(data: JSON) -> Usage:
    """Return the tokens counted in the answer; zeros where the provider says nothing.

    Providers count differently; sums make their numbers mean the same:

    * OpenAI counts prompt-cached tokens in ``prompt_tokens``. Anthropic leaves them out of ``input_tokens``, and says
      that all input is that plus ``cache_read_input_tokens`` and ``cache_creation_input_tokens`` (docs.anthropic.com,
      "Prompt caching", "Tracking cache performance").
    * Gemini's total is prompt, tool-use prompt, candidates and thoughts (ai.google.dev, "UsageMetadata").
    * Where ``total_tokens`` is more than the two counts, the rest is reasoning that the service leaves out of
      ``completion_tokens``, as xAI does (docs.x.ai, "Reasoning").
    """
    whole = _mapping(data)
    for part in reversed(_parts(data)):
        if part.get("usageMetadata"):
            whole = part
            break
    usage = _mapping(whole.get("usage") or whole.get("usageMetadata") or whole)
    incoming = _count(usage, "prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
    outgoing = _count(usage, "completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")
    for name in ("cache_read_input_tokens", "cache_creation_input_tokens", "toolUsePromptTokenCount"):
        incoming += _count(usage, name)
    outgoing += _count(usage, "thoughtsTokenCount")
    if outgoing:
        outgoing = max(outgoing, _count(usage, "total_tokens") - incoming)
    return Usage(incoming, outgoing)


def finish_reason_of(data: JSON) -> str | None:
    """Return the provider's own word for why the answer ended, or ``None``.

    For OpenAI Responses that is why it is incomplete, or else its ``status``; for a prompt that Gemini blocked,
    the reason of the block.
    """
    found = finish_reasons_of(data)
    return found[0] if found else None


def finish_reasons_of(data: JSON) -> tuple[str, ...]:
    """Return why each of several answers ended (``n``, ``candidateCount``), or the one reason of one."""
    words = [choice.get("finish_reason") for choice in _choices(data)]
    for part in _parts(data):
        words += [candidate.get("finishReason") for candidate in _dicts(part.get("candidates"))]
        words.append(_mapping(part.get("promptFeedback")).get("blockReason"))
    whole = _mapping(data)
    words.append(_mapping(whole.get("incomplete_details")).get("reason"))
    words += [whole.get(name) for name in ("stop_reason", "done_reason", "finish_reason")]
    if "output" in whole:
        words.append(whole.get("status"))
    return tuple(word for word in words if isinstance(word, str) and word)


def tool_calls_of(data: JSON) -> tuple[ToolCall, ...]:
    """Return the client-side tool calls that the answer asks for, in order."""
    message = _openai_message(data) or _mapping(_mapping(data).get("message"))
    calls = [_openai_call(call) for call in _dicts(message.get("tool_calls"))]
    if message.get("function_call"):
        calls.append(_openai_call(message))
    for part in _gemini_parts(data):
        called = part.get("functionCall") or part.get("function_call")
        if isinstance(called, dict):
            calls.append(_call(called, "id", called.get("args")))
    blocks = [block for block in _dicts(_mapping(data).get("content")) if block.get("type") == "tool_use"]
    calls += [_call(block, "id", block.get("input")) for block in blocks]
    for item in _dicts(_mapping(data).get("output")):
        if item.get("type") == "function_call":
            calls.append(_call(item, "call_id", _parsed(item.get("arguments"))))
        elif item.get("type") == "custom_tool_call":
            calls.append(_call(item, "call_id", item.get("input")))
    return tuple(calls)


def model_of(data: JSON) -> str | None:
    """Return the model that answered, as the provider names it, or ``None``."""
    for part in _parts(data):
        name = part.get("model") or part.get("modelVersion")
        if isinstance(name, str):
            return name
    return None


def refusal_of(data: JSON) -> bool:
    """Return whether the model says in so many words that it refuses."""
    if any(_mapping(choice.get("message")).get("refusal") for choice in _choices(data)):
        return True
    items = _dicts(_mapping(data).get("output"))
    return any(part.get("type") == "refusal" for item in items for part in _dicts(item.get("content")))


def embeddings_of(data: JSON) -> tuple[list[float], ...]:
    """Return the vectors of an embeddings answer, in the order of the inputs.

    OpenAI's ``data``, in numbers or in ``encoding_format="base64"``; Gemini's and Ollama's ``embedding`` or
    ``embeddings``.
    """
    data = _mapping(data)
    rows = _dicts(data.get("data"))
    if all(isinstance(row.get("index"), int) for row in rows):
        rows.sort(key=lambda row: row["index"])
    found = [row.get("embedding") for row in rows]
    if isinstance(data.get("embeddings"), list):
        found += data["embeddings"]
    found.append(data.get("embedding"))
    return tuple(vector for vector in map(_vector, found) if vector)


def _mapping(value: JSON) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: JSON) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _first(values: list[dict[str, Any]]) -> dict[str, Any]:
    return values[0] if values else {}


def _parts(data: JSON) -> list[dict[str, Any]]:
    """Return the parts of an answer that came as a JSON array, or the one answer that it is."""
    return _dicts(data if isinstance(data, list) else [data])


def _choices(data: JSON) -> list[dict[str, Any]]:
    return _dicts(_mapping(data).get("choices"))


def _openai_message(data: JSON) -> dict[str, Any] | None:
    if data.__class__ is dict:
        choices = data.get("choices")
        if choices.__class__ is list and choices and choices[0].__class__ is dict:
            message = choices[0].get("message")
            return message if message.__class__ is dict else None
    return None


def _gemini_parts(data: JSON) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in _parts(data):
        found += _dicts(_mapping(_first(_dicts(part.get("candidates"))).get("content")).get("parts"))
    return found


def _joined(content: JSON) -> str:
    if content.__class__ is str:
        return content
    return "".join(block["text"] for block in _dicts(content) if isinstance(block.get("text"), str))


def _count(usage: dict[str, Any], *names: str) -> int:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_TOKENS:
            return value
    return 0


def _openai_call(call: dict[str, Any]) -> ToolCall:
    """Return a function or custom call of chat completions, or of Ollama, whose arguments are an object."""
    custom = call.get("custom")
    if isinstance(custom, dict):
        return _call(custom | {"id": call.get("id")}, "id", custom.get("input"))
    function = _mapping(call.get("function") or call.get("function_call"))
    return _call(function | {"id": call.get("id")}, "id", _parsed(function.get("arguments")))


def _call(called: dict[str, Any], id_name: str, arguments: JSON) -> ToolCall:
    number, name = called.get(id_name), called.get("name")
    return ToolCall(
        number if isinstance(number, str) else None,
        name if isinstance(name, str) else "",
        {} if arguments is None else arguments,
    )


def _parsed(arguments: JSON) -> JSON:
    if not isinstance(arguments, str):
        return arguments
    try:
        return exactly(parsed(text), text) if (text := arguments.encode("utf-8", "surrogatepass")) else {}
    except ValueError:
        return arguments


def _vector(value: JSON) -> list[float]:
    """Return a vector given as numbers, as an object that has them, or as base64 of little-endian float32."""
    if isinstance(value, dict):
        value = value.get("values")
    if isinstance(value, list):
        return value if _NUMBERS.issuperset(map(type, value)) else []
    if not isinstance(value, str):
        return []
    try:
        numbers = array("f", b64decode(value, validate=True))
    except ValueError:
        return []
    if byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
