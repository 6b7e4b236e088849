"""The one switch between the caches: the class that ``LLMCACHE["STRATEGY"]`` names decides what a call gets."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

import orjson
from django.utils.module_loading import import_string

from . import admission, backends, conf
from .backends.base import BaseBackend
from .entry import Entry
from .exceptions import ConfigurationError, UncacheableRequest
from .keys import make_key, pack_parts, parts_of, scope_digest
from .messages import LLMRequest, LLMResponse
from .policies import UNSET, CachePolicy, ambient
from .telemetry import counters, emit

Call = Callable[[LLMRequest], Any]
AsyncCall = Callable[[LLMRequest], Awaitable[Any]]

_inside: ContextVar[bool] = ContextVar("llmcache_inside", default=False)


class ProductionStrategy:
    """Answer from the backend where it may, else call, and store what may be stored."""

    def with_cache(self, request: LLMRequest, call: Call) -> LLMResponse:
        """Return the stored answer, or what ``call(request)`` gives.

        Args:
            request: what is asked.
            call: asks the provider; returns an LLMResponse, bytes or a JSON mapping.
        """
        found, plan = self._look_up(request)
        if found is not None:
            return found
        token = _inside.set(True)
        started = time.perf_counter()
        try:
            answer = as_response(call(request))
        finally:
            _inside.reset(token)
        return answer if plan is None else self._keep(request, answer, plan, time.perf_counter() - started)

    async def awith_cache(self, request: LLMRequest, call: AsyncCall) -> LLMResponse:
        """Return the stored answer, or what ``await call(request)`` gives."""
        found, plan = self._look_up(request)
        if found is not None:
            return found
        token = _inside.set(True)
        started = time.perf_counter()
        try:
            answer = as_response(await call(request))
        finally:
            _inside.reset(token)
        return answer if plan is None else self._keep(request, answer, plan, time.perf_counter() - started)

    def _look_up(self, request: LLMRequest) -> tuple[LLMResponse | None, _Plan | None]:
        if _inside.get():
            return None, None
        settings = conf.current()
        policy = request._policy.over(ambient())
        reason = bypass_reason(request, policy, settings)
        if reason is not None:
            return None, _bypassed(self, request, reason)
        try:
            key = key_of(request, policy, settings)
        except UncacheableRequest as error:
            emit("error", type(self), key=None, operation="key", error=str(error))
            return None, _bypassed(self, request, error.reason)
        backend = backends.current()
        entry = self._read(backend, key) if not policy.refresh else None
        if entry is not None and _young_enough(entry, policy):
            emit(
                "hit", type(self), key=key, provider=request.provider, model=request._model,
                age=time.time() - entry.created, usage=entry.usage,
            )  # fmt: skip
            return LLMResponse.from_entry(entry, key, backend.name), None
        emit("miss", type(self), key=key, provider=request.provider, model=request.model, reason=None)
        return None, _Plan(key, None, policy, backend, backend.mark())

    def _read(self, backend: BaseBackend, key: str) -> Entry | None:
        try:
            return backend.get(key)
        except Exception as error:
            emit("error", type(self), key=key, operation="get", error=repr(error))
            return None

    def _keep(self, request: LLMRequest, answer: LLMResponse, plan: _Plan, latency: float) -> LLMResponse:
        if plan.backend is None:
            return answer.marked("bypass", reason=plan.reason)
        settings = conf.current()
        try:
            entry, reason = _entry_for(request, answer, plan, latency, settings)
            if entry is not None and plan.backend.put(entry, plan.mark):
                emit(
                    "put", type(self), key=plan.key, provider=request.provider, model=request.model,
                    size=entry.size, ttl=entry.ttl,
                )  # fmt: skip
                return answer.marked("miss", key=plan.key, entry=entry, backend=plan.backend.name)
        except Exception as error:
            emit("error", type(self), key=plan.key, operation="put", error=repr(error))
            return answer.marked("miss", key=plan.key, reason="error")
        reason = reason or "too_large"
        counters.add(f"not_stored.{reason}")
        return answer.marked("miss", key=plan.key, reason=reason)


class _Plan:
    """What was decided before the call: where the answer goes, or why it goes nowhere."""

    __slots__ = ("backend", "key", "mark", "policy", "reason")

    def __init__(
        self, key: str | None, reason: str | None, policy: CachePolicy, backend: BaseBackend | None, mark: int
    ) -> None:
        self.key = key
        self.reason = reason
        self.policy = policy
        self.backend = backend
        self.mark = mark


def _bypassed(strategy: ProductionStrategy, request: LLMRequest, reason: str) -> _Plan:
    emit("miss", type(strategy), key=None, provider=request.provider, model=request.model, reason=reason)
    return _Plan(None, reason, request.policy, None, 0)


def bypass_reason(request: LLMRequest, policy: CachePolicy, settings: conf.Settings) -> str | None:
    """Return why this request is neither read nor stored, or ``None``."""
    if not settings.enabled:
        return "disabled"
    wanted = policy.cache
    if wanted is False or (wanted is UNSET and not settings.cache_by_default):
        return "disabled"
    if request._stream:
        return "streaming"
    return "stateful" if request.rules.has_state(request._payload) else None


def key_of(request: LLMRequest, policy: CachePolicy, settings: conf.Settings) -> str:
    """Return the request's key under a policy.

    Raises:
        UncacheableRequest: the request cannot be written as JSON exactly.
    """
    return make_key(
        request,
        version=settings.key_version,
        scope=policy.scope or None,
        sample=policy.sample or 0,
        ignore=settings.ignore_fields,
    )


def _young_enough(entry: Entry, policy: CachePolicy) -> bool:
    limit = policy.max_age
    return limit is UNSET or limit is None or time.time() - entry.created <= limit


def _entry_for(
    request: LLMRequest, answer: LLMResponse, plan: _Plan, latency: float, settings: conf.Settings
) -> tuple[Entry | None, str | None]:
    policy = plan.policy
    reason = admission.reason_against(request, answer, max_bytes=settings.max_entry_bytes)
    if reason is not None and reason not in (policy.admit or ()):
        return None, reason
    ttl = settings.default_ttl if policy.ttl is UNSET else policy.ttl
    if ttl == 0 or policy.store is False:
        return None, "disabled"
    scope = policy.scope or None
    return Entry(
        key=plan.key or "",
        body=answer.body,
        created=time.time(),
        ttl=ttl,
        status=answer.status,
        headers=answer._headers,
        provider=request.provider,
        operation=request.operation,
        model=request.model,
        scope=scope_digest(scope),
        tags=policy.tags or frozenset(),
        usage=answer.usage,
        latency=latency,
        parts=pack_parts(parts_of(request, scope=scope, sample=policy.sample or 0)),
    ), None


def as_response(answer: Any) -> LLMResponse:
    """Return what a ``call`` gave as an LLMResponse.

    Raises:
        TypeError: it is neither an LLMResponse nor bytes nor a JSON mapping.
    """
    if isinstance(answer, LLMResponse):
        return answer
    if isinstance(answer, bytes | bytearray | memoryview):
        return LLMResponse(bytes(answer))
    if isinstance(answer, Mapping):
        return LLMResponse(orjson.dumps(dict(answer)), headers=(("content-type", "application/json"),))
    raise TypeError(f"call() returned a {type(answer).__name__}; return an LLMResponse, bytes or a JSON mapping.")


def _told_of_eviction(entry: Entry, reason: str) -> None:
    emit("evict", ProductionStrategy, key=entry.key, provider=entry.provider, model=entry.model, reason=reason)


backends.listen(_told_of_eviction)
_made: tuple[conf.Settings, ProductionStrategy] | None = None


def current() -> ProductionStrategy:
    """Return the strategy that the settings in force name.

    Raises:
        ConfigurationError: the path does not import.
    """
    global _made
    settings = conf.current()
    if _made is None or _made[0] is not settings:
        try:
            _made = (settings, import_string(settings.strategy)())
        except ImportError as error:
            raise ConfigurationError(
                f"settings.LLMCACHE['STRATEGY'] is {settings.strategy!r}, which does not import: {error}"
            ) from error
    return _made[1]
