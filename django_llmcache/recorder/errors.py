"""Errors as each provider words them, for faults."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from .exchange import Chunk, Incoming

LIMITS: Final = frozenset({429, 503, 529})
"""Errors that say when to come again."""

RETRIED: Final = frozenset({408, 409, 429})
"""Errors below 500 after which the SDKs try again."""

TYPES: Final = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    408: "timeout_error", 413: "request_too_large", 422: "invalid_request_error", 429: "rate_limit_error",
    500: "api_error", 503: "overloaded_error", 529: "overloaded_error",
}  # fmt: skip
GOOGLE: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
WORDS: Final = {
    429: "Rate limit reached. Please try again later.",
    500: "The server had an error while processing your request.",
    503: "The service is overloaded. Please try again later.",
    529: "Overloaded",
}
AWS: Final = {
    400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
    404: "ResourceNotFoundException", 408: "ModelTimeoutException", 424: "ModelErrorException",
    429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException",
}  # fmt: skip
"""What an error of AWS is called in its header, which the body doesn't repeat."""

_ID: Final = "req_fault"


def error_answer(provider: str, status: int, *, retry_after: int = 0) -> Incoming:
    """Return an error as this provider words it, with ``retry-after`` where it would send one."""
    words = WORDS.get(status, f"A made-up error of status {status}.")
    headers = [("content-type", "application/json"), ("x-request-id", _ID)]
    if provider == "bedrock":
        headers.append(("x-amzn-errortype", AWS.get(status, "InternalServerException")))
    if status in LIMITS:
        headers.append(("retry-after", str(retry_after)))
    if not retry_after and (status in RETRIED or status >= 500):
        # The SDKs take a zero for nothing said, and wait for a time of their own; not for this.
        headers.append(("retry-after-ms", "1"))
    data = json.dumps(_body(provider, status, words)).encode()
    return Incoming(status, "", tuple(headers), (Chunk(0.0, data),))


def _body(provider: str, status: int, words: str) -> Mapping[str, Any]:
    kind = TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    match provider:
        case "anthropic":
            return {"type": "error", "error": {"type": kind, "message": words}, "request_id": _ID}
        case "azure":
            return {"error": {"code": str(status), "message": words}}
        case "bedrock":
            return {"message": words}
        case "cohere":
            return {"id": _ID, "message": words}
        case "gemini" | "vertex":
            return {"error": {"code": status, "message": words, "status": GOOGLE.get(status, "UNKNOWN")}}
        case "mistral" if status == 422:
            return {"detail": [{"type": "value_error", "loc": ["body"], "msg": words, "input": None}]}
        case "mistral":
            kind = "rate_limited" if status == 429 else kind
            return {
                "object": "error", "message": words, "type": kind, "param": None, "code": None,
                "raw_status_code": status,
            }  # fmt: skip
        case "lmstudio" | "ollama":
            return {"error": words}
        case "openrouter":
            return {"error": {"code": status, "message": words}}
        case _:
            return {"error": {"message": words, "type": kind, "param": None, "code": None}}
