"""The one switch between the caches: the class that ``LLMCACHE["STRATEGY"]`` names decides what a call gets."""

from __future__ import annotations

import time
from typing import Final

from . import backends, conf, lookup, sharing, sitestats, workers
from .entry import Entry, Selector
from .exceptions import ConfigurationError
from .keeping import akeep, entry_of, keep
from .lookup import look_up
from .messages import LLMRequest, LLMResponse
from .outages import is_outage, is_outage_status
from .plans import AsyncCall, Bypass, Call, Late, Plan, Question
from .refreshing import refreshes
from .response import as_response, awaitable
from .telemetry import counters, emit, emit_hit
from .upstream import Upstream, under_way


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
        found = look_up(request, self.__class__)
        if found.__class__ is LLMResponse:  # most are; the rest can wait
            return found
        if isinstance(found, Question):
            found = lookup.ask(request, found, self.__class__)
        if isinstance(found, LLMResponse):
            return found
        if isinstance(found, Late):
            refreshes.begin(self, request, call, found.plan._replace(in_background=True))
            return found.answer
        if isinstance(found, Bypass) or found.route.refresh:
            return self.ask(request, call, found)
        return self._share(request, call, found)

    async def awith_cache(self, request: LLMRequest, call: AsyncCall) -> LLMResponse:
        """Return the stored answer, or what ``await call(request)`` gives."""
        if under_way.get():
            return as_response(await awaitable(call(request)))
        found = look_up(request, self.__class__)
        if found.__class__ is LLMResponse:  # most are; the rest can wait
            return found
        if isinstance(found, Question):
            found = await lookup.aask(request, found, self.__class__)
        if isinstance(found, LLMResponse):
            return found
        if isinstance(found, Late):
            refreshes.abegin(self, request, call, found.plan._replace(in_background=True))
            return found.answer
        if isinstance(found, Bypass) or found.route.refresh:
            return await self.aask(request, call, found)
        return await self._ashare(request, call, found)

    def ask(self, request: LLMRequest, call: Call, found: Plan | Bypass) -> LLMResponse:
        """Return what ``call(request)`` gives, and store it where it may be stored."""
        self._tell_miss(request, found)
        started = time.perf_counter()
        try:
            with Upstream():
                answer = as_response(call(request))
        except Exception as error:
            if (spare := self._spare(request, found, error)) is None:
                raise
            return spare
        if (spare := self._spare(request, found, answer)) is not None:
            return spare
        return keep(request, answer, found, latency=time.perf_counter() - started, sender=type(self))

    async def aask(self, request: LLMRequest, call: AsyncCall, found: Plan | Bypass) -> LLMResponse:
        """Return what ``await call(request)`` gives, and store it where it may be stored."""
        self._tell_miss(request, found)
        started = time.perf_counter()
        try:
            with Upstream():
                answer = as_response(await awaitable(call(request)))
        except Exception as error:
            if (spare := await self._aspare(request, found, error)) is None:
                raise
            return spare
        if (spare := await self._aspare(request, found, answer)) is not None:
            return spare
        return await akeep(request, answer, found, latency=time.perf_counter() - started, sender=type(self))

    def _share(self, request: LLMRequest, call: Call, found: Plan) -> LLMResponse:
        """Return the answer to this call, or to that of another who asked the same."""
        try:
            flown = sharing.do(self, request, call, found)
        except Exception as error:
            if (spare := self._spare(request, found, error)) is None:
                raise
            return self._spared(request, found, spare)
        if not flown.shared:
            return flown.value
        if not sharing.suits(flown.value, found):
            return self.ask(request, call, found)
        if (spare := self._spare(request, found, flown.value)) is not None:
            return self._spared(request, found, spare)
        return self._told_by_another(request, flown.value, found)

    async def _ashare(self, request: LLMRequest, call: AsyncCall, found: Plan) -> LLMResponse:
        """Do what ``_share`` does on the event loop."""
        try:
            flown = await sharing.ado(self, request, call, found)
        except Exception as error:
            if (spare := await self._aspare(request, found, error)) is None:
                raise
            return self._spared(request, found, spare)
        if not flown.shared:
            return flown.value
        if not sharing.suits(flown.value, found):
            return await self.aask(request, call, found)
        if (spare := await self._aspare(request, found, flown.value)) is not None:
            return self._spared(request, found, spare)
        return self._told_by_another(request, flown.value, found)

    def look_again(self, plan: Plan) -> LLMResponse | None:
        """Return the answer that has come since the look-up, to somebody who asked the same."""
        return lookup.look_again(plan, type(self))

    async def alook_again(self, plan: Plan) -> LLMResponse | None:
        """Do what ``look_again`` does on the event loop."""
        return await lookup.alook_again(plan, type(self))

    def _spare(self, request: LLMRequest, found: Plan | Bypass, came: Exception | LLMResponse) -> LLMResponse | None:
        """Return the stored answer where the provider failed and there is one that may be served."""
        plan = _with_use_of_spare(found, came)
        return None if plan is None else _counted(request, lookup.spare_of(plan, type(self)))

    async def _aspare(
        self, request: LLMRequest, found: Plan | Bypass, came: Exception | LLMResponse
    ) -> LLMResponse | None:
        """Do what ``_spare`` does on the event loop."""
        plan = _with_use_of_spare(found, came)
        return None if plan is None else _counted(request, await lookup.aspare_of(plan, type(self)))

    def _spared(self, request: LLMRequest, found: Plan, spare: LLMResponse) -> LLMResponse:
        """Return what this caller is served in place of how another's call has ended."""
        self._tell_miss(request, found)
        return spare

    def _told_by_another(self, request: LLMRequest, answer: LLMResponse, plan: Plan) -> LLMResponse:
        """Return the answer to somebody else's call as this caller's own."""
        entry = answer._entry
        if entry is None and answer._reason not in sharing.SHORT:
            self._tell_miss(request, plan)
            return LLMResponse.marked(answer, "miss", key=plan.key, reason=answer._reason)
        if entry is None:
            entry = entry_of(request, answer, plan, ttl=0.0, latency=0.0)
        emit_hit(type(self), plan.key, entry)
        result = "stale" if answer._result == "stale" else "hit"
        return LLMResponse.from_entry(entry, plan.key, plan.backend.name, result)

    def _tell_miss(self, request: LLMRequest, found: Plan | Bypass) -> None:
        if isinstance(found, Plan) and found.in_background:
            return  # whoever was served the stale answer has been told of
        key, reason = (None, found.reason) if isinstance(found, Bypass) else (found.key, found.reason)
        if isinstance(found, Bypass):
            counters.add(f"bypass.{reason}", request.provider, request.model)
        emit("miss", type(self), key=key, provider=request.provider, model=request.model, reason=reason)


_STEPPED_ASIDE: Final = Bypass("test_cache")


class TestStrategy(ProductionStrategy):
    """As production, until a test records or replays at the HTTP level: then step aside and let that answer."""

    __test__ = False  # its name is no test, whatever pytest thinks of it
    tests_only = True

    def with_cache(self, request: LLMRequest, call: Call) -> LLMResponse:
        """Return what ``call`` gives while a test is recorded or replayed, else what production would."""
        if not _recording():
            return super().with_cache(request, call)
        self._tell_of_stepping_aside(request)
        with Upstream():
            return _told_apart(as_response(call(request)))

    async def awith_cache(self, request: LLMRequest, call: AsyncCall) -> LLMResponse:
        """Do what ``with_cache`` does on the event loop."""
        if not _recording():
            return await super().awith_cache(request, call)
        self._tell_of_stepping_aside(request)
        with Upstream():
            return _told_apart(as_response(await awaitable(call(request))))

    def _tell_of_stepping_aside(self, request: LLMRequest) -> None:
        if not under_way.get():  # one call inside another is one
            self._tell_miss(request, _STEPPED_ASIDE)


def _with_use_of_spare(found: Plan | Bypass, came: Exception | LLMResponse) -> Plan | None:
    """Return the plan where the provider failed and something is stored, else ``None``."""
    if isinstance(found, Bypass) or found.spare is None:
        return None
    failed = is_outage(came) if isinstance(came, Exception) else is_outage_status(came.status)
    return found if failed else None


def _counted(request: LLMRequest, spare: LLMResponse | None) -> LLMResponse | None:
    if spare is not None:
        counters.add("stale", request.provider, request.model)
    return spare


def _recording() -> bool:
    """Return whether a test's session is in force."""
    from .recorder import in_force  # not at the top: production does without

    return in_force.current() is not None


def _told_apart(answer: LLMResponse) -> LLMResponse:
    """Return an answer marked as a replay where the HTTP level says that it is one, else as one that came live."""
    if answer.headers.get("x-llmcache") == "replay":
        return answer.marked("replay")
    return answer.marked("bypass", reason=_STEPPED_ASIDE.reason)


def _told_of_eviction(entry: Entry, reason: str) -> None:
    emit("evict", ProductionStrategy, key=entry.key, provider=entry.provider, model=entry.model, reason=reason)


def _clear(selector: Selector) -> int | None:
    return backends.current().clear(selector)


backends.listen(_told_of_eviction)
workers.connect(apply=_clear, publish=lambda: sitestats.of_process().as_dict())
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
