"""The one switch between the caches: the class that ``LLMCACHE["STRATEGY"]`` names decides what a call gets."""

from __future__ import annotations

import time

from . import admission, backends, conf, sharing, workers
from .backends.base import BaseBackend
from .decisions import Route, has_state, parts_of, route_of, scoped
from .entry import Entry, Selector
from .exceptions import ConfigurationError, UncacheableRequest
from .keys import pack_parts, scope_digest
from .messages import LLMRequest, LLMResponse
from .plans import AsyncCall, Bypass, Call, Plan
from .policies import UNSET, ambient, whose
from .response import as_response
from .stats import CacheStats
from .telemetry import counters, emit, emit_hit, told
from .upstream import Upstream, under_way

_channel = workers.current()


class ProductionStrategy:
    """Answer from the backend where it may, else call, and store what may be stored."""

    def with_cache(self, request: LLMRequest, call: Call) -> LLMResponse:
        """Return the stored answer, or what ``call(request)`` gives.

        Who asks in vain while another asks the same waits for that answer, and is spared the call as by a hit.

        Args:
            request: what is asked.
            call: asks the provider; returns an LLMResponse, bytes or a JSON mapping.
        """
        if under_way.get():
            return as_response(call(request))
        found = self.look_up(request)
        if isinstance(found, LLMResponse):
            return found
        if isinstance(found, Bypass) or found.route.refresh:
            return self.ask(request, call, found)
        flown = sharing.do(self, request, call, found)
        if not flown.shared:
            return flown.value
        if flown.value._reason in sharing.ITS_OWN:
            return self.ask(request, call, found)
        return self._told_by_another(request, flown.value, found)

    async def awith_cache(self, request: LLMRequest, call: AsyncCall) -> LLMResponse:
        """Return the stored answer, or what ``await call(request)`` gives."""
        if under_way.get():
            return as_response(await call(request))
        found = self.look_up(request)
        if isinstance(found, LLMResponse):
            return found
        if isinstance(found, Bypass) or found.route.refresh:
            return await self.aask(request, call, found)
        flown = await sharing.ado(self, request, call, found)
        if not flown.shared:
            return flown.value
        if flown.value._reason in sharing.ITS_OWN:
            return await self.aask(request, call, found)
        return self._told_by_another(request, flown.value, found)

    def ask(self, request: LLMRequest, call: Call, found: Plan | Bypass) -> LLMResponse:
        """Return what ``call(request)`` gives, and store it where it may be stored."""
        self._tell_miss(request, found)
        started = time.perf_counter()
        with Upstream():
            answer = as_response(call(request))
        return self.keep(request, answer, found, latency=time.perf_counter() - started)

    async def aask(self, request: LLMRequest, call: AsyncCall, found: Plan | Bypass) -> LLMResponse:
        """Return what ``await call(request)`` gives, and store it where it may be stored."""
        self._tell_miss(request, found)
        started = time.perf_counter()
        with Upstream():
            answer = as_response(await call(request))
        return self.keep(request, answer, found, latency=time.perf_counter() - started)

    def look_again(self, plan: Plan) -> LLMResponse | None:
        """Return the answer that has come since the look-up, to somebody who asked the same."""
        try:
            return self._stored(plan.key, plan.route, plan.backend)
        except Exception as error:
            emit("error", type(self), key=plan.key, operation="get", error=told(error))
            return None

    def _told_by_another(self, request: LLMRequest, answer: LLMResponse, plan: Plan) -> LLMResponse:
        """Return the answer to somebody else's call as this caller's own."""
        entry = answer._entry
        if entry is None and answer._reason not in sharing.SHORT:
            self._tell_miss(request, plan)
            return LLMResponse.marked(answer, "miss", key=plan.key, reason=answer._reason)
        if entry is None:
            entry = _entry(request, answer, plan, ttl=0.0, latency=0.0)
        emit_hit(type(self), plan.key, entry)
        return LLMResponse.from_entry(entry, plan.key, plan.backend.name)

    def look_up(self, request: LLMRequest) -> LLMResponse | Plan | Bypass:
        """Return the stored answer, or what becomes of the one that comes.

        Raises:
            ConfigurationError: a setting that cannot work. Any other failure is told as ``cache_error``, and the
                call goes on without the cache.
        """
        try:
            found = self._find(request)
        except UncacheableRequest as error:
            emit("error", type(self), key=None, operation="key", error=str(error))
            found = Bypass(error.reason)
        except ConfigurationError:
            raise
        except Exception as error:
            emit("error", type(self), key=None, operation="get", error=told(error))
            found = Bypass("error")
        return found

    def keep(self, request: LLMRequest, answer: LLMResponse, found: Plan | Bypass, *, latency: float) -> LLMResponse:
        """Store an answer where it may be stored; return it marked with what became of it.

        Args:
            request: what was asked.
            answer: what came.
            found: what ``look_up`` gave.
            latency: seconds that the call took.
        """
        if isinstance(found, Bypass):
            return answer.marked("bypass", reason=found.reason)
        try:
            stored = self._store(request, answer, found, latency)
        except Exception as error:
            emit("error", type(self), key=found.key, operation="put", error=told(error))
            stored = "error"
        if isinstance(stored, Entry):
            return answer.marked("miss", key=found.key, entry=stored, backend=found.backend.name)
        counters.add(f"not_stored.{stored}")
        return answer.marked("miss", key=found.key, reason=stored)

    def _tell_miss(self, request: LLMRequest, found: Plan | Bypass) -> None:
        key, reason = (None, found.reason) if isinstance(found, Bypass) else (found.key, None)
        if reason is not None:
            counters.add(f"bypass.{reason}")
        emit("miss", type(self), key=key, provider=request.provider, model=request.model, reason=reason)

    def _find(self, request: LLMRequest) -> LLMResponse | Plan | Bypass:
        policy, outer = request._policy, ambient()
        if outer is not None:
            policy = policy.over(outer)
        settings = conf.snapshot or conf.current()
        if (ask := whose()) is not None:
            policy = scoped(policy, ask, settings)
        route = route_of(request, policy, settings)
        if route.reason is not None or request._stream:
            return Bypass(route.reason or "streaming")
        key = route.key_of(request._payload)
        if time.monotonic() >= _channel.due:
            _channel.poll()
        backend = backends.current()
        if not backend.in_process and has_state(request):
            return Bypass("stateful")
        landed = sharing.flights.landed
        if not route.refresh and (stored := self._stored(key, route, backend, request)) is not None:
            return stored
        # Only now, where looking costs nothing: what has state was never stored, so a hit needs no second opinion.
        if backend.in_process and has_state(request):
            return Bypass("stateful")
        route.keys.has_null(request._payload)  # looks it through, so that what has NaN shares nobody's call
        return Plan(key, route, backend, backend.mark(), landed)

    def _stored(
        self, key: str, route: Route, backend: BaseBackend, request: LLMRequest | None = None
    ) -> LLMResponse | None:
        """Return what is stored under a key, to a request that has it: one that has been looked through, or this."""
        entry = backend.get(key)
        if entry is None or (route.max_age is not None and time.time() - entry.created > route.max_age):
            return None
        if entry.has_null and request is not None:
            route.keys.check_numbers(request._payload)
        emit_hit(type(self), key, entry)
        return LLMResponse.from_entry(entry, key, backend.name)

    def _store(self, request: LLMRequest, answer: LLMResponse, plan: Plan, latency: float) -> Entry | str:
        """Return the entry that was stored, or the reason code that was against it."""
        if answer._reason is not None:  # whoever sent the request has seen what is against it
            return answer._reason
        policy, settings = plan.route.policy, plan.route.settings
        admit = policy.admit or admission.NOTHING
        reason = admission.reason_against(request, answer, max_bytes=settings.max_entry_bytes, admit=admit)
        if reason is not None:
            return reason
        ttl = policy.ttl
        if ttl is UNSET:
            ttl = settings.ttl_for(request.provider, request.model, request.operation)
        if ttl == 0 or policy.store is False:
            return "disabled"
        if plan.route.key_of(request._payload) != plan.key:
            return "changed"
        entry = _entry(request, answer, plan, ttl=ttl, latency=latency)
        entry.has_null = plan.route.keys.has_null(request._payload)
        if not plan.backend.put(entry, plan.mark):
            return "not_kept"
        details = {"provider": entry.provider, "model": entry.model, "size": entry.size, "ttl": entry.ttl}
        emit("put", type(self), key=entry.key, **details)
        return entry


class TestStrategy(ProductionStrategy):
    """As production, until a test records or replays at the HTTP level: then step aside and let that answer."""

    __test__ = False  # its name is no test, whatever pytest thinks of it
    tests_only = True

    def with_cache(self, request: LLMRequest, call: Call) -> LLMResponse:
        """Return what ``call`` gives while a test is recorded or replayed, else what production would."""
        if not _recording():
            return super().with_cache(request, call)
        return _replayed(as_response(call(request)))

    async def awith_cache(self, request: LLMRequest, call: AsyncCall) -> LLMResponse:
        """Do what ``with_cache`` does on the event loop."""
        if not _recording():
            return await super().awith_cache(request, call)
        return _replayed(as_response(await call(request)))


def _entry(request: LLMRequest, answer: LLMResponse, plan: Plan, *, ttl: float | None, latency: float) -> Entry:
    route = plan.route
    return Entry(
        key=plan.key,
        body=answer.body,
        created=time.time(),
        ttl=ttl,
        status=answer.status,
        headers=answer.lasting_headers,
        provider=request.provider,
        operation=request.operation,
        model=request.model,
        scope=scope_digest(route.scope),
        tags=route.policy.tags or frozenset(),
        usage=answer.usage,
        latency=latency,
        parts=pack_parts(parts_of(request, route.policy, route.settings, route.scope)),
    )


def _recording() -> bool:
    """Return whether a test's session is in force."""
    from .recorder import session  # not at the top: production does without

    return session.current() is not None


def _replayed(answer: LLMResponse) -> LLMResponse:
    """Return an answer marked as a replay where the HTTP level says that it is one."""
    return answer.marked("replay") if answer.headers.get("x-llmcache") == "replay" else answer


def _told_of_eviction(entry: Entry, reason: str) -> None:
    emit("evict", ProductionStrategy, key=entry.key, provider=entry.provider, model=entry.model, reason=reason)


def _clear(selector: Selector) -> int | None:
    return backends.current().clear(selector)


def stats() -> CacheStats:
    """Return what this process' cache holds and did."""
    backend = backends.current()
    return CacheStats.of(backend.name, backend.stats(), counters.as_dict(), tokens_saved=counters.hits.value)


backends.listen(_told_of_eviction)
workers.connect(apply=_clear, publish=lambda: stats().as_dict())
_made: tuple[conf.Settings, ProductionStrategy] | None = None


def current() -> ProductionStrategy:
    """Return the strategy that the settings in force name.

    Raises:
        ConfigurationError: the path does not import, or names no strategy.
    """
    global _made
    settings = conf.current()
    made = _made
    if made is None or made[0] is not settings:
        made = _made = (settings, _make(settings.strategy))
    return made[1]


def _make(path: str) -> ProductionStrategy:
    source = "settings.LLMCACHE['STRATEGY'] is"
    found = conf.imported(source, path)
    if not (isinstance(found, type) and issubclass(found, ProductionStrategy)):
        raise ConfigurationError(
            f"{source} {path!r}, which is no subclass of django_llmcache.strategies.ProductionStrategy."
        )
    return found()
