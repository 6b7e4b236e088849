"""Turn a request into the key under which its answer is stored.

The digest covers the whole canonical request less the provider's short deny-list, so that a parameter which a
provider adds tomorrow counts on its first day. Canonical is JSON with the keys of objects sorted at every depth,
lists as they are and every string untouched. At the top level ``0`` and ``0.0`` are one number.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any, Final

import orjson

from .exceptions import UncacheableRequest
from .messages import Endpoint, LLMRequest

FORMAT: Final = 1
"""Version of the key's own making; every key changes with it."""

SHARED: Final = "-"
OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_LARGEST_EXACT: Final = 2.0**63
_PREFIXES_KEPT: Final = 512


def scope_digest(scope: str | None) -> str:
    """Return the 16 hex characters that stand for a scope in a key; ``"-"`` for a shared answer."""
    if scope is None or scope == "public":
        return SHARED
    return hashlib.sha256(b"scope:" + scope.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def make_key(
    request: LLMRequest,
    *,
    version: int | str = 1,
    scope: str | None = None,
    sample: int = 0,
    ignore: tuple[str, ...] = (),
) -> str:
    """Return ``llmcache:<format>.<version>:<scope's digest or ->:<digest of the request>``.

    Args:
        request: what is asked.
        version: the user's ``KEY_VERSION``.
        scope: whose answer it is, or ``None`` when shared.
        sample: which of several answers to the same request.
        ignore: dotted paths in the body that do not count (``IGNORE_FIELDS``); ``*`` stands for any list item.

    Raises:
        UncacheableRequest: the body has something that JSON cannot say exactly.
    """
    endpoint = request._endpoint
    wanted = (request._model, version, scope, sample)
    known = endpoint.key_cache.get(wanted)
    hasher, text = known if known is not None else _prefix(endpoint, request.model, version, scope, sample)
    digest = hasher.copy()
    digest.update(canonical_body(request._payload, endpoint.rules.unkeyed, ignore))
    return text + digest.hexdigest()  # type: ignore[no-any-return]


def _prefix(endpoint: Endpoint, model: str, version: int | str, scope: str | None, sample: int) -> tuple[Any, str]:
    scoped = scope_digest(scope)
    envelope = canonical_envelope(endpoint, model, version, scope if scoped != SHARED else None, sample)
    made = (hashlib.sha256(envelope), f"llmcache:{FORMAT}.{version}:{scoped}:")
    if len(endpoint.key_cache) >= _PREFIXES_KEPT:
        endpoint.key_cache.clear()
    endpoint.key_cache[model, version, scope, sample] = made
    return made


def canonical_envelope(endpoint: Endpoint, model: str, version: int | str, scope: str | None, sample: int) -> bytes:
    """Return everything but the body that makes the key, as one line of JSON."""
    parts = (
        FORMAT, version, endpoint.provider, endpoint.operation, endpoint.base_url, endpoint.path,
        endpoint.query, endpoint.headers, model, scope, sample,
    )  # fmt: skip
    try:
        return orjson.dumps(parts, option=OPTIONS) + b"\n"
    except (TypeError, ValueError) as error:
        raise UncacheableRequest(f"The request's address cannot be written as JSON: {error}") from error


def canonical_body(payload: dict[str, Any], unkeyed: frozenset[str], ignore: tuple[str, ...] = ()) -> bytes:
    """Return the canonical bytes of a body.

    Raises:
        UncacheableRequest: NaN or infinity at the top level, a key that is not a text, or a value without JSON.
    """
    if not unkeyed.isdisjoint(payload):
        payload = {name: value for name, value in payload.items() if name not in unkeyed}
    if ignore:
        for path in ignore:
            payload = without(payload, path.split("."))
    for value in payload.values():
        if value.__class__ is float and (not math.isfinite(value) or value.is_integer()):
            payload = _plain_numbers(payload)
            break
    try:
        return orjson.dumps(payload, option=OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        raise UncacheableRequest(f"The request's body cannot be written as JSON exactly: {error}") from error


def _plain_numbers(payload: dict[str, Any]) -> dict[str, Any]:
    plain = {}
    for name, value in payload.items():
        if value.__class__ is float:
            if not math.isfinite(value):
                raise UncacheableRequest(f"{name} is {value!r}, which JSON cannot say.")
            if value.is_integer() and -_LARGEST_EXACT <= value < _LARGEST_EXACT:
                plain[name] = int(value)
                continue
        plain[name] = value
    return plain


def without(value: Any, path: list[str]) -> Any:
    """Return ``value`` less what ``path`` names; what the caller holds is left as it was."""
    head, rest = path[0], path[1:]
    if isinstance(value, list) and head == "*":
        return [without(item, rest) for item in value] if rest else []
    if not isinstance(value, dict) or head not in value:
        return value
    if not rest:
        return {name: inner for name, inner in value.items() if name != head}
    return {**value, head: without(value[head], rest)}


def parts_of(request: LLMRequest, *, scope: str | None = None, sample: int = 0) -> dict[str, str]:
    """Return a short digest of each part that makes the key: the address, the model and every field of the body.

    Conversations are split by turn, so that ``explain`` can say which message differs.
    """
    parts = {
        name: _short(getattr(request, name))
        for name in ("provider", "operation", "base_url", "path", "query", "headers", "model")
    }
    parts |= {"scope": _short(scope), "sample": _short(sample)}
    for name, value in sorted(_plain_numbers(dict(request.payload)).items()):
        if name in request.rules.unkeyed:
            continue
        if isinstance(value, list) and name in ("messages", "input", "contents", "tools"):
            parts |= {f"{name}[{index}]": _short(item) for index, item in enumerate(value)}
        else:
            parts[name] = _short(value)
    return parts


def pack_parts(parts: dict[str, str]) -> str:
    """Return the parts as one text, as an entry keeps them."""
    return ";".join(f"{name}={digest}" for name, digest in parts.items())


def unpack_parts(text: str) -> dict[str, str]:
    """Return what ``pack_parts`` wrote."""
    return dict(item.rsplit("=", 1) for item in text.split(";") if "=" in item)


def _short(value: Any) -> str:
    try:
        return hashlib.sha256(orjson.dumps(value, option=OPTIONS)).hexdigest()[:8]
    except (TypeError, ValueError) as error:
        raise UncacheableRequest(f"A part of the request cannot be written as JSON: {error}") from error
