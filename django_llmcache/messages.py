"""The request that goes out and the answer that comes back: immutable values, cheap to make."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import orjson

from . import bodies
from .bodies import JSON, ToolCall, Usage
from .cacheinfo import CacheInfo
from .endpoints import Endpoint
from .exceptions import ConfigurationError, InvalidAnswerError
from .headers import Headers
from .policies import NOTHING_SAID, CachePolicy
from .rules import DEFAULT_RULES, RequestRules

if TYPE_CHECKING:
    from .entry import Entry

_NOT_PARSED: Final = object()


def _pairs(values: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    items = values.items() if isinstance(values, Mapping) else values
    return tuple(sorted((str(name), str(value)) for name, value in items))


class LLMRequest:
    """One call as it will be sent.

    Args:
        provider: registered name, such as ``"openai"``.
        payload: the provider's own JSON body, as a mapping. Its top level is copied.
        model: the model asked; taken from ``payload["model"]`` when not given.
        operation: ``"chat"``, ``"embeddings"``, ``"models"``, …
        base_url: the service's address, without a trailing slash.
        path: the path below ``base_url``.
        query: query parameters, without secrets.
        headers: request headers; only those that ``rules`` lists (they change an answer) are kept.
        stream: whether an event stream is asked for; told by ``rules`` when not given.
        policy: what the caller wants of the cache.
        rules: the provider's table of what counts; not part of the request's identity.

    Raises:
        ConfigurationError: no provider, or a payload that is not a mapping.
    """

    __slots__ = ("_endpoint", "_model", "_payload", "_policy", "_stream", "_target")

    def __init__(
        self,
        provider: str,
        *,
        payload: Mapping[str, Any],
        model: str | None = None,
        operation: str = "chat",
        base_url: str = "",
        path: str = "",
        query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        stream: bool | None = None,
        policy: CachePolicy | None = None,
        rules: RequestRules = DEFAULT_RULES,
    ) -> None:
        if not isinstance(provider, str) or not provider:
            raise ConfigurationError(f"provider is {provider!r}; give a name such as 'openai'.")
        if not isinstance(payload, Mapping):
            raise ConfigurationError(f"payload is a {type(payload).__name__}; give the provider's body as a dict.")
        kept = tuple(pair for pair in _pairs((k.lower(), v) for k, v in _pairs(headers)) if pair[0] in rules.headers)
        self._endpoint = Endpoint(
            provider,
            operation=operation,
            base_url=base_url,
            path=path,
            query=_pairs(query),
            headers=kept,
            rules=rules,
        )
        self._payload = dict(payload)
        self._model = str(payload.get("model") or "") if model is None else model
        self._stream = rules.is_stream("POST", path, payload) if stream is None else stream
        self._policy = policy or NOTHING_SAID
        self._target: Any = None

    @classmethod
    def to(
        cls,
        endpoint: Endpoint,
        model: str,
        payload: dict[str, Any],
        *,
        stream: bool,
        policy: CachePolicy,
        target: Any,
    ) -> LLMRequest:
        """Return a request to ``endpoint`` that owns ``payload``; ``target`` is what can send it."""
        self = cls.__new__(cls)
        self._endpoint = endpoint
        self._model = model
        self._payload = payload
        self._stream = stream
        self._policy = policy
        self._target = target
        return self

    @property
    def provider(self) -> str:
        """Return the provider's registered name."""
        return self._endpoint.provider

    @property
    def operation(self) -> str:
        """Return what is asked, such as ``chat`` or ``embeddings``."""
        return self._endpoint.operation

    @property
    def base_url(self) -> str:
        """Return the service's address."""
        return self._endpoint.base_url

    @property
    def path(self) -> str:
        """Return the path below ``base_url``."""
        return self._endpoint.path

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """Return the query parameters, sorted, without secrets."""
        return self._endpoint.query

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the request headers that change an answer, lower-case and sorted."""
        return self._endpoint.headers

    @property
    def rules(self) -> RequestRules:
        """Return the provider's table of what counts."""
        return self._endpoint.rules

    @property
    def model(self) -> str:
        """Return the model asked."""
        return self._model

    @property
    def payload(self) -> Mapping[str, Any]:
        """Return a read-only view of the provider's JSON body."""
        return MappingProxyType(self._payload)

    @property
    def stream(self) -> bool:
        """Return whether an event stream is asked for."""
        return self._stream

    @property
    def policy(self) -> CachePolicy:
        """Return what the caller wants of the cache."""
        return self._policy

    def replace(self, **changes: Any) -> LLMRequest:
        """Return a copy with some parts changed; takes the arguments of the constructor."""
        parts: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("provider", "operation", "base_url", "path", "query", "headers", "policy", "rules")
        }
        if "payload" not in changes:
            parts |= {"payload": self._payload, "stream": self._stream}
        if "model" in changes and "model" in self._payload and "payload" not in changes:
            parts["payload"] = {**self._payload, "model": changes["model"]}
        if "payload" not in changes or "model" not in changes["payload"]:
            parts["model"] = self._model
        changed = LLMRequest(**(parts | changes))
        changed._target = self._target
        return changed

    def __repr__(self) -> str:
        return f"<LLMRequest {self.operation} {self.provider} {self._model}{' stream' if self._stream else ''}>"


class LLMResponse:
    """One answer: status, a few headers and the body's bytes exactly as the provider sent them.

    Everything else is read from the body when asked for, whatever the provider's dialect. Parsed values belong
    to this object alone: changing them changes no other answer.

    Args:
        body: the provider's bytes.
        status: HTTP status.
        headers: pairs of name and value.
    """

    __slots__ = ("_backend", "_body", "_data", "_entry", "_headers", "_key", "_reason", "_result", "_status")

    def __init__(
        self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> None:
        self._body = bytes(body)
        self._status = status
        self._headers = tuple(headers.items() if isinstance(headers, Mapping) else headers)
        self._data: Any = _NOT_PARSED
        self._entry: Entry | None = None
        self._result = "bypass"
        self._key: str | None = None
        self._reason: str | None = None
        self._backend: str | None = None

    @classmethod
    def from_entry(cls, entry: Entry, key: str, backend: str | None = None, result: str = "hit") -> LLMResponse:
        """Return the stored answer as a caller's own object."""
        self = cls.__new__(cls)
        self._body = entry.body
        self._status = entry.status
        self._headers = entry.headers
        self._data = _NOT_PARSED
        self._entry = entry
        self._result = result
        self._key = key
        self._reason = None
        self._backend = backend
        return self

    def marked(
        self,
        result: str,
        *,
        key: str | None = None,
        reason: str | None = None,
        entry: Entry | None = None,
        backend: str | None = None,
    ) -> LLMResponse:
        """Return a copy that tells another story of where it came from; the bytes are shared."""
        other = LLMResponse(self._body, status=self._status, headers=self._headers)
        other._entry, other._result, other._key = entry, result, key
        other._reason, other._backend = reason, backend
        return other

    @property
    def body(self) -> bytes:
        """Return the provider's bytes."""
        return self._body

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return self._status

    @property
    def headers(self) -> Headers:
        """Return the response headers that were kept."""
        return Headers(self._headers)

    @property
    def data(self) -> JSON:
        """Return the parsed body.

        Raises:
            InvalidAnswerError: the body is not JSON.
        """
        data = self._data
        if data is _NOT_PARSED:
            try:
                data = self._data = orjson.loads(self._body)
            except orjson.JSONDecodeError as error:
                start = self._body[:60].decode("utf-8", "replace")
                raise InvalidAnswerError(
                    f"The answer (HTTP {self._status}) is not JSON: {error}. It starts with {start!r}.",
                    provider="",
                    status=self._status,
                    body=self._body,
                ) from None
        return data

    @property
    def text(self) -> str:
        """Return the answer's text."""
        return bodies.text_of(self.data)

    @property
    def usage(self) -> Usage:
        """Return the tokens the provider counted for this answer, as served (a hit does not spend them anew)."""
        return bodies.usage_of(self.data)

    @property
    def finish_reason(self) -> str | None:
        """Return the provider's own word for why the answer ended."""
        return bodies.finish_reason_of(self.data)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return the client-side tool calls that the answer asks for."""
        return bodies.tool_calls_of(self.data)

    @property
    def embeddings(self) -> tuple[list[float], ...]:
        """Return the vectors of an embeddings answer, in the order of the inputs."""
        return bodies.embeddings_of(self.data)

    @property
    def refused(self) -> bool:
        """Return whether the model said in so many words that it refuses."""
        return bodies.refusal_of(self.data)

    @property
    def model(self) -> str | None:
        """Return the model that answered, as the provider names it."""
        return bodies.model_of(self.data)

    @property
    def from_cache(self) -> bool:
        """Return whether the provider was spared."""
        return self._result in ("hit", "stale")

    @property
    def cache(self) -> CacheInfo:
        """Return where the answer came from."""
        entry = self._entry
        if entry is None:
            return CacheInfo(self._result, key=self._key, reason=self._reason)
        age = max(0.0, time.time() - entry.created) if self.from_cache else 0.0
        return CacheInfo(
            self._result,
            key=self._key,
            age=age,
            ttl=entry.ttl,
            stored_at=entry.created,
            backend=self._backend,
            reason=self._reason,
        )

    def __repr__(self) -> str:
        return f"<LLMResponse {self._status} {self._result} {len(self._body)} bytes>"
