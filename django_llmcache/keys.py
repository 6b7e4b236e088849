"""Turn a request into the key under which its answer is stored.

The digest covers the whole canonical body (see ``canonical``) less the provider's short deny-list, so that a parameter
which a provider adds tomorrow counts on its first day, and all of where it goes.

NaN and infinity deep in a body cost too much to look for at each look-up. ``KeyMaker.key_of`` leaves them to whoever
stores: what is stored was looked through, its entry says whether the request may have a ``null``, for which orjson
would take them, and only a request that finds such an entry is looked through as well.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final
from urllib.parse import quote, unquote

import orjson
from orjson import dumps

from .bodyrequest import BodyRequest
from .canonical import (
    OPTIONS,
    as_sent,
    canonical_body,
    check_numbers,
    counted_in,
    plain_numbers,
    unwritable,
)
from .endpoints import Endpoint
from .exceptions import UncacheableRequest
from .request import LLMRequest

__all__ = ["OPTIONS", "canonical_body"]

FORMAT: Final = 1
"""Version of the key's own making; every key changes with it."""

SHARED: Final = "-"
_TURNS: Final = frozenset({"contents", "input", "messages", "tools"})
_BODIES_KEPT: Final = 256
_KEY: Final = re.compile(r"llmcache:[!-9;-~]+:[!-9;-~]+:[0-9a-f]{64}")
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
        ignore: paths in the body that do not count (``IGNORE_FIELDS``), as ``canonical.steps_of`` takes them.

    Raises:
        UncacheableRequest: one of these has something that JSON cannot say exactly.
    """

    __slots__ = ("_hasher", "_ignore", "_of_bodies", "_prefix", "_unkeyed")

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
        self._unkeyed = endpoint.unkeyed
        self._ignore = ignore
        self._of_bodies: dict[bytes, str] = {}

    def key_of_body(self, request: BodyRequest) -> str:
        """Return the key of a request that came as bytes; raises as ``make_key``. Of the same bytes it is known."""
        digest = request.body_digest
        key = self._of_bodies.get(digest)
        if key is None:
            key = self.key_of(request._payload)
            if len(self._of_bodies) >= _BODIES_KEPT:
                self._of_bodies.clear()
            self._of_bodies[digest] = key
        return key

    def key_of(self, payload: Mapping[str, Any]) -> str:
        """Return the key of the request with this body, which is left as it was; raises as ``make_key``.

        It is the digest of what ``canonical_body`` writes, in a third of its time, but that NaN and infinity below the
        top level pass for ``null``: ``has_null`` and ``check_numbers`` tell them apart.
        """
        unkeyed = self._unkeyed
        if self._ignore:
            payload = counted_in(payload, unkeyed, self._ignore)
        for name, value in payload.items():
            if name in unkeyed or (value.__class__ is float and (value.is_integer() or not isfinite(value))):
                payload = plain_numbers(counted_in(payload, unkeyed, ()))
                break
        try:
            written = dumps(payload, as_sent, OPTIONS)
        except (TypeError, ValueError) as error:
            raise unwritable(error) from error
        digest = self._hasher.copy()
        digest.update(written)
        return self._prefix + digest.hexdigest()

    def has_null(self, payload: Mapping[str, Any]) -> bool:
        """Return whether a body that has a key may have a ``null`` where it counts; raises as ``make_key``."""
        return b"null" in canonical_body(payload, self._unkeyed, self._ignore)

    def check_numbers(self, payload: Mapping[str, Any]) -> None:
        """Refuse a body with a key that has NaN or infinity where it counts.

        Raises:
            UncacheableRequest: it has.
        """
        check_numbers(counted_in(payload, self._unkeyed, self._ignore))


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
        ignore: paths in the body that do not count, as ``KeyMaker`` takes them.

    Raises:
        UncacheableRequest: the body has something that JSON cannot say exactly.
    """
    maker = KeyMaker(request._endpoint, request._model, version=version, scope=scope, sample=sample, ignore=ignore)
    key = maker.key_of(request._payload)
    maker.has_null(request._payload)
    return key


def is_key(text: Any) -> bool:
    """Return whether a value is a key as ``make_key`` makes them: what somebody sends in may be anything."""
    return isinstance(text, str) and _KEY.fullmatch(text) is not None


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
        return orjson.dumps(parts, as_sent, OPTIONS) + b"\n"
    except (TypeError, ValueError) as error:
        raise UncacheableRequest(f"The request's address cannot be written as JSON exactly: {error}.") from error


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
    body = plain_numbers(counted_in(request._payload, request._endpoint.unkeyed, ignore))
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
    return hashlib.sha256(orjson.dumps(value, as_sent, OPTIONS)).hexdigest()[:8]
