"""The request that goes out: an immutable value, cheap to make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any, Final

from .endpoints import Endpoint, Pairs, pairs, shared
from .exceptions import ConfigurationError, UncacheableRequest
from .policies import NOTHING_SAID, CachePolicy
from .rules import DEFAULT_RULES, RequestRules

_new: Final = object.__new__


class LLMRequest:
    """One call as it will be sent. Immutable.

    The top level of ``payload`` is copied. The lists and dicts below it are the caller's own, because a copy of a
    long conversation would cost more than the look-up: leave them as they are until the answer is there. To change
    them, build new ones, or pass a ``copy.deepcopy`` of the request on. Nothing in this package changes them.

    Args:
        provider: registered name, such as ``"openai"``.
        payload: the provider's own JSON body, as a mapping.
        model: the model asked; taken from ``payload["model"]`` when not given. It counts in the key beside the
            payload, for services whose address names it.
        operation: ``"chat"``, ``"embeddings"``, ``"models"``, …
        base_url: the service's address, without a trailing slash.
        path: the path below ``base_url``.
        query: query parameters, without secrets.
        headers: request headers; only those that ``rules`` lists (they change an answer) are kept.
        stream: whether an event stream is asked for; told by ``rules`` when not given.
        policy: what the caller wants of the cache.
        rules: the provider's table of what counts; not part of the request's identity.

    Raises:
        ConfigurationError: no provider, a payload that is not a mapping, or a part of another type than these.
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
        if payload.__class__ is not dict and not isinstance(payload, Mapping):
            raise ConfigurationError(f"payload is a {type(payload).__name__}; give the provider's body as a dict.")
        if model is None:
            named = payload.get("model")
            model = named if isinstance(named, str) else ""
        elif not isinstance(model, str):
            raise ConfigurationError(f"model is {model!r}; give its name as a text.")
        if policy is not None and not isinstance(policy, CachePolicy):
            raise ConfigurationError(f"policy is a {type(policy).__name__}; give a CachePolicy.")
        if stream is not None and not isinstance(stream, bool):
            raise ConfigurationError(f"stream is {stream!r:.80}; give True or False, or leave it to the payload.")
        if not isinstance(rules, RequestRules):
            raise ConfigurationError(f"rules is a {type(rules).__name__}; give RequestRules, or leave it out.")
        kept = _kept(headers, rules) if headers else ()
        try:
            self._endpoint = shared(provider, operation, base_url, path, pairs(query) if query else (), kept, rules)
        except TypeError:
            # A part that has no hash is not a text: this says which.
            self._endpoint = Endpoint(provider, operation=operation, base_url=base_url, path=path, rules=rules)
        self._payload = dict(payload)
        self._model = model
        self._stream = bool(rules.is_stream("POST", path, payload)) if stream is None else stream
        self._policy = policy or NOTHING_SAID
        self._target: Any = None

    @staticmethod
    def to(
        endpoint: Endpoint,
        model: str,
        payload: dict[str, Any],
        stream: bool,  # noqa: FBT001 - called on every hit, where a keyword costs
        policy: CachePolicy,
        target: Any,
    ) -> LLMRequest:
        """Return a request to ``endpoint`` that owns ``payload``; ``target`` is what can send it."""
        self = _new(LLMRequest)
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
        """Return a copy with some parts changed; takes the arguments of the constructor.

        A new ``model`` goes into the payload too where that names one. A service whose address names the model
        needs its new ``path`` as well.
        """
        parts: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("provider", "operation", "base_url", "path", "query", "headers", "policy", "rules")
        }
        if "payload" not in changes:
            parts |= {"payload": self._payload, "stream": self._stream}
        if "model" in changes and "model" in self._payload and "payload" not in changes:
            parts["payload"] = {**self._payload, "model": changes["model"]}
        given = changes.get("payload", {})
        if not isinstance(given, Mapping) or "model" not in given:
            parts["model"] = self._model
        changed = LLMRequest(**(parts | changes))
        changed._target = self._target
        return changed

    def _told_of(self, error: UncacheableRequest) -> str | None:
        """Return what is to be told where the request has no key; ``None`` for nothing."""
        return str(error)

    def __copy__(self) -> LLMRequest:
        return self._with(dict(self._payload))

    def __deepcopy__(self, memo: dict[int, Any]) -> LLMRequest:
        """Copy the payload to its depths; what can send the request is shared."""
        return self._with(deepcopy(self._payload, memo))

    def _with(self, payload: dict[str, Any]) -> LLMRequest:
        return LLMRequest.to(self._endpoint, self._model, payload, self._stream, self._policy, self._target)

    def __reduce__(self) -> tuple[Any, ...]:
        """Allow pickle, without what can send the request: it may know an API key."""
        return _unpickled, (self._endpoint, self._model, self._payload, self._stream, self._policy)

    def __repr__(self) -> str:
        return f"<LLMRequest {self.operation} {self.provider} {self._model}{' stream' if self._stream else ''}>"


def _kept(headers: Mapping[str, str] | Iterable[tuple[str, str]], rules: RequestRules) -> Pairs:
    lower = ((name.lower(), value) for name, value in pairs(headers))
    return pairs(pair for pair in lower if pair[0] in rules.headers)


def _unpickled(
    endpoint: Endpoint,
    model: str,
    payload: dict[str, Any],
    stream: bool,  # noqa: FBT001 - pickle calls by position
    policy: CachePolicy,
) -> LLMRequest:
    return LLMRequest.to(endpoint, model, payload, stream, policy, None)
