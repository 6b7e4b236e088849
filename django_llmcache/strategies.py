"""The one switch between the caches: the class that ``LLMCACHE["STRATEGY"]`` names decides what a call gets."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

import orjson
from django.utils.module_loading import import_string

from . import admission, backends, conf, workers
from .backends.base import BaseBackend
from .decisions import reason_against, scope_of
from .entry import Entry, Selector
from .exceptions import ConfigurationError, UncacheableRequest
from .keys import make_key, pack_parts, parts_of, scope_digest
from .messages import LLMRequest, LLMResponse
from .policies import UNSET, CachePolicy, ambient
from .stats import CacheStats
from .telemetry import counters, emit, tokens_saved

Call = Callable[[LLMRequest], Any]
AsyncCall = Callable[[LLMRequest], Awaitable[Any]]

_channel = workers.current()
_inside: ContextVar[bool] = ContextVar("llmcache_inside", default=False)


class Plan:
    """What was decided before the call: under which key the answer goes where, or why it goes nowhere."""

    __slots__ = ("backend", "key", "mark", "policy", "reason", "scope")

    def __init__(self, policy: CachePolicy) -> None:
        self.policy = policy
        self.scope: str | None = None
        self.key: str | None = None
        self.reason: str | None = None
        self.backend: BaseBackend | None = None
        self.mark = 0


class ProductionStrategy:
    """Answer from the backend where it may, else call, and store what may be stored."""

    def with_cache(self, request: LLMRequest, call: Call) -> LLMResponse:
        """Return the stored answer, or what ``call(request)`` gives.

        Args:
            request: what is asked.
            call: asks the provider; returns an LLMResponse, bytes or a JSON mapping.
        """
        if _inside.get():
            return as_response(call(request))
        found = self.look_up(request)
        if not isinstance(found, Plan):
            return found
        token = _inside.set(True)
        started = time.perf_counter()
        try:
            answer = as_response(call(request))
        finally:
            _inside.reset(token)
        return self.keep(request, answer, found, latency=time.perf_counter() - started)

    async def awith_cache(self, request: LLMRequest, call: AsyncCall) -> LLMResponse:
        """Return the stored answer, or what ``await call(request)`` gives."""
        if _inside.get():
            return as_response(await call(request))
        found = self.look_up(request)
        if not isinstance(found, Plan):
            return found
        token = _inside.set(True)
        started = time.perf_counter()
        try:
            answer = as_response(await call(request))
        finally:
            _inside.reset(token)
        return self.keep(request, answer, found, latency=time.perf_counter() - started)

    def look_up(self, request: LLMRequest) -> LLMResponse | Plan:
        """Return the stored answer, or the plan for the one that comes.

        Raises:
            ConfigurationError: a setting that cannot work. Any other failure is told as ``cache_error``, and the
                call goes on without the cache.
        """
        policy = request._policy.over(ambient())
        plan = Plan(policy)
        try:
            found = self._find(request, policy, plan)
        except UncacheableRequest as error:
            emit("error", type(self), key=None, operation="key", error=str(error))
            plan.reason = error.reason
        except ConfigurationError:
            raise
        except Exception as error:
            emit("error", type(self), key=plan.key, operation="get", error=repr(error))
            plan.reason = "error"
        else:
            if found is not None:
                return found
        if plan.reason is not None:
            counters.add(f"bypass.{plan.reason}")
        emit("miss", type(self), key=plan.key, provider=request.provider, model=request.model, reason=plan.reason)
        return plan

    def keep(self, request: LLMRequest, answer: LLMResponse, plan: Plan, *, latency: float) -> LLMResponse:
        """Store an answer as the plan says, where it may be stored; return it marked with what became of it.

        Args:
            request: what was asked.
            answer: what came.
            plan: what ``look_up`` gave.
            latency: seconds that the call took.
        """
        if plan.backend is None or plan.key is None:
            return answer.marked("bypass", reason=plan.reason)
        try:
            entry = self._stored(request, answer, plan, latency)
        except Exception as error:
            emit("error", type(self), key=plan.key, operation="put", error=repr(error))
            return answer.marked("miss", key=plan.key, reason="error")
        if isinstance(entry, Entry):
            return answer.marked("miss", key=plan.key, entry=entry, backend=plan.backend.name)
        counters.add(f"not_stored.{entry}")
        return answer.marked("miss", key=plan.key, reason=entry)

    def _find(self, request: LLMRequest, policy: CachePolicy, plan: Plan) -> LLMResponse | None:
        """Fill in the plan, and return the stored answer if there is one."""
        settings = conf.current()
        plan.reason = reason_against(request, policy, settings)
        if plan.reason is not None:
            return None
        plan.scope = scope_of(request, policy, settings)
        if plan.scope is None and settings.require_scope and policy.scope is UNSET:
            plan.reason = "no_scope"
            return None
        key = plan.key = key_of(request, policy, settings, plan.scope)
        if time.monotonic() >= _channel.due:
            _channel.poll()
        backend = plan.backend = backends.current()
        if not policy.refresh:
            entry = backend.get(key)
            if entry is not None:
                age = time.time() - entry.created
                if policy.max_age is UNSET or policy.max_age is None or age <= policy.max_age:
                    emit(
                        "hit",
                        type(self),
                        key=key,
                        provider=entry.provider,
                        model=entry.model,
                        age=age,
                        usage=entry.usage,
                    )
                    tokens_saved.add(entry.usage[0] + entry.usage[1])
                    return LLMResponse.from_entry(entry, key, backend.name)
        plan.mark = backend.mark()
        return None

    def _stored(self, request: LLMRequest, answer: LLMResponse, plan: Plan, latency: float) -> Entry | str:
        """Return the entry that was stored, or the reason code that was against it."""
        policy, settings, backend = plan.policy, conf.current(), plan.backend
        assert backend is not None  # noqa: S101 - keep() has looked
        admit = policy.admit or admission.NOTHING
        reason = admission.reason_against(request, answer, max_bytes=settings.max_entry_bytes, admit=admit)
        if reason is not None:
            return reason
        ttl = (
            settings.ttl_for(request.provider, request.model, request.operation) if policy.ttl is UNSET else policy.ttl
        )
        if ttl == 0 or policy.store is False:
            return "disabled"
        if key_of(request, policy, settings, plan.scope) != plan.key:
            return "changed"
        entry = _entry(request, answer, plan, ttl=ttl, latency=latency)
        if not backend.put(entry, plan.mark):
            return "not_kept"
        emit(
            "put", type(self), key=entry.key, provider=entry.provider, model=entry.model, size=entry.size, ttl=entry.ttl
        )
        return entry


class TestStrategy(ProductionStrategy):
    """As production, until a test records or replays at the HTTP level: then step aside and let that answer."""

    __test__ = False  # its name is no test, whatever pytest thinks of it
    tests_only = True


def key_of(request: LLMRequest, policy: CachePolicy, settings: conf.Settings, scope: str | None) -> str:
    """Return the request's key.

    Raises:
        UncacheableRequest: the request cannot be written as JSON exactly.
    """
    return make_key(
        request,
        version=settings.key_version,
        scope=scope,
        sample=policy.sample or 0,
        ignore=settings.ignore_fields,
    )


def _entry(request: LLMRequest, answer: LLMResponse, plan: Plan, *, ttl: float | None, latency: float) -> Entry:
    return Entry(
        key=plan.key or "",
        body=answer.body,
        created=time.time(),
        ttl=ttl,
        status=answer.status,
        headers=answer.lasting_headers,
        provider=request.provider,
        operation=request.operation,
        model=request.model,
        scope=scope_digest(plan.scope),
        tags=plan.policy.tags or frozenset(),
        usage=answer.usage,
        latency=latency,
        parts=pack_parts(parts_of(request, scope=plan.scope, sample=plan.policy.sample or 0)),
    )


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


def _clear(selector: Selector) -> int | None:
    return backends.current().clear(selector)


def stats() -> CacheStats:
    """Return what this process' cache holds and did."""
    backend = backends.current()
    return CacheStats.of(backend.name, backend.stats(), counters.as_dict(), tokens_saved=tokens_saved.value)


backends.listen(_told_of_eviction)
workers.connect(apply=_clear, publish=lambda: stats().as_dict())
_made: tuple[conf.Settings, ProductionStrategy] | None = None


def current() -> ProductionStrategy:
    """Return the strategy that the settings in force name.

    Raises:
        ConfigurationError: the path does not import.
    """
    global _made
    settings = conf.current()
    made = _made
    if made is None or made[0] is not settings:
        try:
            made = _made = (settings, import_string(settings.strategy)())
        except ImportError as error:
            raise ConfigurationError(
                f"settings.LLMCACHE['STRATEGY'] is {settings.strategy!r}, which does not import: {error}"
            ) from error
    return made[1]
