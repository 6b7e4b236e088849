"""Whether an answer may be stored, with a reason code when it may not."""

from __future__ import annotations

from typing import Any, Final

from .exceptions import InvalidAnswerError
from .messages import LLMRequest, LLMResponse

TRUNCATED: Final = frozenset({"length", "max_tokens", "max_output_tokens", "model_length", "incomplete", "pause_turn"})
REFUSED: Final = frozenset({
    "content_filter", "refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii",
    "image_safety", "malformed_function_call", "other", "language",
})  # fmt: skip
FAILED: Final = frozenset({"error", "failed", "cancelled", "in_progress", "queued"})


def reason_against(request: LLMRequest, response: LLMResponse, *, max_bytes: int) -> str | None:
    """Return why this answer is not to be stored, or ``None`` when it may be.

    Reason codes: ``error``, ``too_large``, ``not_json``, ``truncated``, ``refused``, ``empty``.
    """
    if not 200 <= response.status < 300:
        return "error"
    if len(response.body) > max_bytes:
        return "too_large"
    try:
        data = response.data
    except InvalidAnswerError:
        return "not_json"
    return "error" if _has_error(data) else _ending(request, response)


def _has_error(data: Any) -> bool:
    if isinstance(data, list):
        return any(map(_has_error, data))
    return not isinstance(data, dict) or bool(data.get("error")) or data.get("type") == "error"


def _ending(request: LLMRequest, response: LLMResponse) -> str | None:
    if request.operation != "chat":
        return None if response.embeddings or request.operation != "embeddings" else "empty"
    ending = (response.finish_reason or "").lower()
    if ending in FAILED:
        return "error"
    if ending in TRUNCATED:
        return "truncated"
    if ending in REFUSED or response.refused:
        return "refused"
    return None if response.text or response.tool_calls else "empty"
