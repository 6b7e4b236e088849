"""A request that came as bytes, which are read where somebody looks into them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from .endpoints import Endpoint
from .policies import CachePolicy
from .request import LLMRequest


class BodyRequest(LLMRequest):
    """What an HTTP client sends, with a large body: to find the answer to the same bytes takes no more than a digest.

    Args:
        endpoint: where it goes.
        model: which one it asks, as the body or the address says.
        stream: whether the body asks for a stream.
        policy: what this call wants of the cache.
        target: what can send it.
        body: as it is sent.
        payload: the object that the body is; ``None`` leaves it to be read, where an equal body was read before.
        digest: SHA-256 of the body, by which it is known until somebody sees what is in it.
    """

    __slots__ = ("_body", "_known", "body_digest")

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        stream: bool,
        policy: CachePolicy,
        target: Any,
        body: bytes,
        payload: dict[str, Any] | None,
        digest: bytes,
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._stream = stream
        self._policy = policy
        self._target = target
        self._body = body
        self._known = payload
        self.body_digest = digest

    @property
    def _payload(self) -> dict[str, Any]:  # type: ignore[override] # a slot there, since the hot path reads it
        if self._known is None:
            self._known = payload_of(self._body) or {}
        return self._known

    @property
    def payload(self) -> Mapping[str, Any]:
        """Return a read-only view of the provider's JSON body, whose lists and dicts its reader may change."""
        self.body_digest = b""
        return super().payload

    def replace(self, **changes: Any) -> LLMRequest:
        """Return a copy with some parts changed, whose lists and dicts are this one's."""
        self.body_digest = b""
        return super().replace(**changes)

    def __copy__(self) -> LLMRequest:
        self.body_digest = b""
        return super().__copy__()


def payload_of(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is, every value of it exactly as written; ``None`` for anything else.

    orjson takes a whole number beyond 64 bits for a float, and the last of two fields of one name: where it would
    not write the same bytes again, the standard library reads the body once more, strictly.
    """
    try:
        payload = orjson.loads(body)
        if orjson.dumps(payload) != body:
            payload = json.loads(body, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)
    except (ValueError, TypeError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _unique(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(fields)
    if len(made) < len(fields):
        raise ValueError("a name comes twice")
    return made


def _refused(word: str) -> float:
    raise ValueError(f"{word} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond a float")
    return number
