"""Whether an answer may be stored, with a reason code when it may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from . import bodies
from .exceptions import InvalidAnswerError
from .request import LLMRequest
from .response import LLMResponse

NOTHING: Final[frozenset[str]] = frozenset()

SPOKEN: Final = frozenset({"chat", "completions", "generate", "responses"})
"""Operations whose answer says something, or calls a tool; others are free to answer what they will."""

_OF_MODELS: Final = SPOKEN | {"embeddings"}

TRUNCATED: Final = frozenset({
    "compaction", "incomplete", "length", "max_output_tokens", "max_tokens", "model_context_window_exceeded",
    "model_length", "pause_turn",
})  # fmt: skip
"""Words for an answer cut short: by a limit of the caller or the model, or to be continued in another turn."""

REFUSED: Final = frozenset({
    "blocklist", "content_filter", "image_other", "image_prohibited_content", "image_recitation", "image_safety",
    "language", "model_armor", "other", "prohibited_content", "recitation", "refusal", "safety", "spii",
})  # fmt: skip
"""Words for an answer that the model, or a filter around it, did not give or let through."""

FAILED: Final = frozenset({
    "abort", "cancelled", "error", "error_limit", "error_toxic", "failed", "in_progress",
    "insufficient_system_resource", "malformed_function_call", "malformed_response", "missing_thought_signature",
    "no_image", "queued", "timeout", "too_many_tool_calls", "unexpected_tool_call",
})  # fmt: skip
"""Words for an answer that broke, or is not there yet."""

_NO_STATUS: Final = frozenset({"error", "fail", "failed", "failure"})
"""Words in ``status`` by which a gateway says that it has no answer."""


def reason_against(
    request: LLMRequest, response: LLMResponse, *, max_bytes: int, admit: frozenset[str] = NOTHING
) -> str | None:
    """Return why this answer is not to be stored, or ``None`` when it may be.

    * ``error``: an HTTP status other than 2xx, an error inside a 200, a generation that failed, or a body that is
      not JSON, such as the HTML page of a proxy;
    * ``too_large``;
    * ``truncated`` or ``refused``: by the provider's own word for why it ended, in any of several answers, or that it
      has not ended;
    * ``empty``: neither text nor a tool call in an answer of a model, no vector in one of embeddings, nothing but empty
      values in what a ``@cached`` function returned. Other operations are free to answer what they will.

    Args:
        request: what was asked.
        response: what came.
        max_bytes: the largest body to store.
        admit: reasons that do not count: ``truncated``, ``refused``, ``empty``.
    """
    if not 200 <= response.status < 300:
        return "error"
    if len(response.body) > max_bytes:
        return "too_large"
    try:
        data = response.data
    except InvalidAnswerError:
        return "error"
    if _has_error(data) or (request.operation in _OF_MODELS and _says_it_failed(data)):
        return "error"
    return next((reason for reason in _shortcomings(request, data) if reason not in admit), None)


def is_error(response: LLMResponse) -> bool:
    """Return whether an answer is none: by its status, or by what it says."""
    try:
        return not 200 <= response.status < 300 or _has_error(response.data)
    except InvalidAnswerError:
        return True


def _has_error(data: Any) -> bool:
    if isinstance(data, list):
        return any(map(_has_error, data))
    if not isinstance(data, dict):
        return True
    if data.get("error") or data.get("type") == "error" or data.get("object") == "error":
        return True
    choices = data.get("choices")
    return isinstance(choices, list) and any(isinstance(choice, dict) and choice.get("error") for choice in choices)


def _says_it_failed(data: Any) -> bool:
    """Return whether a gateway says in its own words that there is no answer, whatever is beside them."""
    if not isinstance(data, dict):
        return False
    return data.get("success") is False or bool(data.get("errors")) or str(data.get("status")).lower() in _NO_STATUS


def _shortcomings(request: LLMRequest, data: Any) -> Iterator[str]:
    endings = {word.lower() for word in bodies.finish_reasons_of(data)}
    if endings & FAILED:
        yield "error"
    if endings & TRUNCATED or _is_unfinished(data):
        yield "truncated"
    if endings & REFUSED or bodies.refusal_of(data):
        yield "refused"
    if request.operation == "embeddings":
        said = bool(bodies.embeddings_of(data))
    elif request.operation == "function":
        said = not isinstance(data, dict) or any(data.values())
    else:
        said = request.operation not in SPOKEN or bool(
            bodies.text_of(data) or bodies.tool_calls_of(data) or bodies.embeddings_of(data)
        )
    if not said:
        yield "empty"


def _is_unfinished(data: Any) -> bool:
    """Return whether an answer says that it has not ended: Ollama's ``done``, a ``null`` for why it ended.

    By ``null`` OpenAI, Azure and Anthropic mean an answer that is still coming, or was lost on its way.
    """
    if not isinstance(data, dict):
        return False
    if data.get("done") is False or (data.get("type") == "message" and data.get("stop_reason", "") is None):
        return True
    choices = data.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason", "") is None for choice in choices
    )
