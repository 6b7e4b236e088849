"""Turn a request into the key under which its answer is stored.

The digest covers the whole canonical request less the provider's short deny-list, so that a parameter which a
provider adds tomorrow counts on its first day. Canonical is JSON with the keys of objects sorted at every depth,
lists as they are and every string untouched. Numbers are as they are written, but for those at the top level:
there ``0``, ``0.0`` and ``-0.0`` are one number, and NaN and infinity, which JSON cannot say, get no key.

Two bodies share their canonical bytes only where the provider is sent the same JSON. That is all orjson leaves
open: a tuple is a list, an enum its value (``TextChoices`` as well), a UUID its text, and NaN below the top level
``null``. What a template gives (``SafeString``, ``Markup``: whatever has ``__html__``) is the text that it is. Anything
else that is not JSON already (a set, a date, a dataclass, another subclass of ``str`` or of ``dict``, …) gets no key.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final
from urllib.parse import quote, unquote

import orjson

from .endpoints import Endpoint
from .exceptions import UncacheableRequest
from .request import LLMRequest

FORMAT: Final = 1
"""Version of the key's own making; every key changes with it."""

SHARED: Final = "-"
OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_SMALLEST_INTEGER: Final = -(2.0**63)
_LARGEST_INTEGER: Final = 2.0**64
_TURNS: Final = frozenset({"contents", "input", "messages", "tools"})
_PLAIN_VERSION: Final = re.compile(r"[A-Za-z0-9_.+-]{1,40}")


def scope_digest(scope: str | None) -> str:
    """Return the 16 hex characters that stand for a scope in a key; ``"-"`` for a shared answer."""
    if scope is None or scope == "public":
        return SHARED
    return hashlib.sha256(b"scope:" + scope.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class KeyMaker:
    """Makes the keys of requests that differ in their body alone. What they share is digested once.

    Args:
        endpoint: where they go.
        model: which one they ask.
        version: the user's ``KEY_VERSION``.
        scope: whose answer it is, or ``None`` when shared.
        sample: which of several answers to the same request.
        ignore: dotted paths in the body that do not count (``IGNORE_FIELDS``); ``*`` stands for any list item.

    Raises:
        UncacheableRequest: one of these has something that JSON cannot say exactly.
    """

    __slots__ = ("_hasher", "_ignore", "_prefix", "_unkeyed")

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        *,
        version: int | str = 1,
        scope: str | None = None,
        sample: int = 0,
        ignore: tuple[str, ...] = (),
    ) -> None:
        scoped = scope_digest(scope)
        envelope = canonical_envelope(endpoint, model, version, scope if scoped != SHARED else None, sample)
        self._hasher = hashlib.sha256(envelope)
        self._prefix = f"llmcache:{FORMAT}.{_version_text(version)}:{scoped}:"
        self._unkeyed = endpoint.rules.unkeyed
        self._ignore = ignore

    def key_of(self, payload: Mapping[str, Any]) -> str:
        """Return the key of the request with this body, which is left as it was; raises as ``make_key``."""
        digest = self._hasher.copy()
        digest.update(canonical_body(payload, self._unkeyed, self._ignore))
        return self._prefix + digest.hexdigest()


def make_key(
    request: LLMRequest,
    *,
    version: int | str = 1,
    scope: str | None = None,
    sample: int = 0,
    ignore: tuple[str, ...] = (),
) -> str:
    """Return ``llmcache:<format>.<version>:<scope's digest or ->:<digest of the request>``.

    At most 140 characters, none of them a space or a control character. The version ``1`` is not the version
    ``"1"``; one that is long, or of other than ASCII letters, digits and ``_.+-``, stands in the key as a digest.

    Args:
        request: what is asked; it is left as it was.
        version: the user's ``KEY_VERSION``.
        scope: whose answer it is, or ``None`` when shared.
        sample: which of several answers to the same request.
        ignore: dotted paths in the body that do not count, as ``KeyMaker`` takes them.

    Raises:
        UncacheableRequest: the body has something that JSON cannot say exactly.
    """
    maker = KeyMaker(request._endpoint, request._model, version=version, scope=scope, sample=sample, ignore=ignore)
    return maker.key_of(request._payload)


def _version_text(version: int | str) -> str:
    text = str(version)
    if _PLAIN_VERSION.fullmatch(text):
        return text
    return "~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def canonical_envelope(endpoint: Endpoint, model: str, version: int | str, scope: str | None, sample: int) -> bytes:
    """Return everything but the body that makes the key, as one line of JSON.

    Raises:
        UncacheableRequest: a part that JSON cannot say exactly.
    """
    parts = (
        FORMAT, version, endpoint.provider, endpoint.operation, endpoint.base_url, endpoint.path,
        endpoint.query, endpoint.headers, model, scope, sample,
    )  # fmt: skip
    try:
        return orjson.dumps(parts, _as_sent, OPTIONS) + b"\n"
    except (TypeError, ValueError) as error:
        raise UncacheableRequest(f"The request's address cannot be written as JSON exactly: {error}.") from error


def canonical_body(payload: Mapping[str, Any], unkeyed: frozenset[str], ignore: tuple[str, ...] = ()) -> bytes:
    """Return the canonical bytes of a body.

    Args:
        payload: the body; it is left as it was.
        unkeyed: top-level names that do not count.
        ignore: dotted paths that do not count.

    Raises:
        UncacheableRequest: NaN or infinity at the top level, a key that is not a text, or a value without JSON.
    """
    if ignore or not unkeyed.isdisjoint(payload):
        payload = _counted(payload, unkeyed, ignore)
    for value in payload.values():
        if value.__class__ is float and (value.is_integer() or not math.isfinite(value)):
            payload = _plain_numbers(payload)
            break
    try:
        return orjson.dumps(payload, _as_sent, OPTIONS)
    except (TypeError, ValueError) as error:
        raise UncacheableRequest(f"The request's body cannot be written as JSON exactly: {error}.") from error


def _as_sent(value: Any) -> Any:
    """Return the text that a template gave, or the value of an enum: two that orjson takes for unknown classes.

    A prompt that ``render_to_string`` made is no plain ``str``, and Django's ``Choices`` have their own metaclass.
    """
    if isinstance(value, str) and hasattr(value, "__html__"):
        return str.__str__(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"Type is not JSON serializable: {type(value).__name__}")


def _counted(payload: Mapping[str, Any], unkeyed: frozenset[str], ignore: tuple[str, ...]) -> Mapping[str, Any]:
    counted: Mapping[str, Any] = {name: value for name, value in payload.items() if name not in unkeyed}
    for path in ignore:
        counted = without(counted, path.split("."))
    return counted


def _plain_numbers(payload: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(name, value) for name, value in payload.items()}


def _plain(name: str, value: Any) -> Any:
    if value.__class__ is not float:
        return value
    if not math.isfinite(value):
        raise UncacheableRequest(f"{name} is {value!r}, which JSON cannot say.")
    return int(value) if value.is_integer() and _SMALLEST_INTEGER <= value < _LARGEST_INTEGER else value


def without(value: Any, path: list[str]) -> Any:
    """Return ``value`` less what ``path`` names; what the caller holds is left as it was."""
    head, rest = path[0], path[1:]
    if isinstance(value, list | tuple) and head == "*":
        return [without(item, rest) for item in value] if rest else []
    if not isinstance(value, dict) or head not in value:
        return value
    if not rest:
        return {name: inner for name, inner in value.items() if name != head}
    return {**value, head: without(value[head], rest)}


def parts_of(
    request: LLMRequest,
    *,
    version: int | str | None = None,
    scope: str | None = None,
    sample: int = 0,
    ignore: tuple[str, ...] = (),
) -> dict[str, str]:
    """Return a short digest of each part that makes the key: the address, the model and every field of the body.

    Conversations are split by turn and tools one by one, so that ``explain`` can say which differs. A field of the
    body that is called like a part of the address is named ``body.<field>``.

    Args:
        request: what is asked; it is left as it was.
        version: the user's ``KEY_VERSION``, or ``None`` to leave it out.
        scope: as ``make_key`` takes it.
        sample: as ``make_key`` takes it.
        ignore: as ``make_key`` takes it.

    Raises:
        UncacheableRequest: as ``make_key``.
    """
    address = {
        name: getattr(request, name)
        for name in ("provider", "operation", "base_url", "path", "query", "headers", "model")
    }
    address |= {"scope": scope_digest(scope), "sample": sample} | ({} if version is None else {"version": version})
    make_key(request, version=version or 0, scope=scope, sample=sample, ignore=ignore)
    parts = {name: _short(value) for name, value in address.items()}
    body = _plain_numbers(_counted(request._payload, request.rules.unkeyed, ignore))
    for name, value in sorted(body.items()):
        label = f"body.{name}" if name in address and value != address[name] else name
        if name in _TURNS and isinstance(value, list | tuple) and value:
            parts |= {f"{label}[{index}]": _short(item) for index, item in enumerate(value)}
        else:
            parts[label] = _short(value)
    return parts


def pack_parts(parts: Mapping[str, str]) -> str:
    """Return the parts as one text, as an entry keeps them."""
    return ";".join(f"{quote(name, safe='[]')}={digest}" for name, digest in parts.items())


def unpack_parts(text: str) -> dict[str, str]:
    """Return what ``pack_parts`` wrote."""
    named = (item.partition("=") for item in text.split(";") if "=" in item)
    return {unquote(name): digest for name, _, digest in named}


def _short(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, _as_sent, OPTIONS)).hexdigest()[:8]
