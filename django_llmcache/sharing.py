"""One call for all who want the same answer now: those of this process, and of all that share its backend."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Hashable
from functools import partial
from typing import Any, Final, Protocol

from .backends.lease import Lease
from .errorcopy import fresh
from .messages import LLMRequest, LLMResponse
from .plans import ITS_OWN, AsyncCall, Call, Plan
from .singleflight import Outcome, SingleFlight, Told
from .telemetry import emit_failure

SLACK: Final = 1.0
"""Seconds beyond its own time-out for which a caller waits for somebody else's call: that one's is told first."""

_OF_CREDENTIALS: Final = frozenset({401, 403})
_NOTHING: Final[Any] = object()

SHORT: Final = frozenset({"disabled", "empty", "not_kept", "refused", "truncated"})
"""Reasons against storing an answer that is one all the same: who shares it was spared a call."""

flights: Final[SingleFlight[LLMResponse]] = SingleFlight()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=flights.forget)


class Asker(Protocol):
    """The strategy that asks."""

    def ask(self, request: LLMRequest, call: Call, found: Plan) -> LLMResponse:
        """Return what the provider answers, stored where it may be."""
        ...

    async def aask(self, request: LLMRequest, call: AsyncCall, found: Plan) -> LLMResponse:
        """Return the same on the event loop."""
        ...

    def look_again(self, plan: Plan) -> LLMResponse | None:
        """Return the answer that has come since the look-up."""
        ...

    async def alook_again(self, plan: Plan) -> LLMResponse | None:
        """Return the same on the event loop."""
        ...


def do(asker: Asker, request: LLMRequest, call: Call, plan: Plan) -> Outcome[LLMResponse]:
    """Return the answer to this call, or to that of another who asked the same; raises as the call does."""

    def ask() -> LLMResponse:
        if not _is_locked(plan):
            return _missed(asker, plan) or asker.ask(request, call, plan)
        lease = _lease(asker, request, plan)
        while not lease.is_mine():
            time.sleep(lease.pause)
            if (found := asker.look_again(plan)) is not None:
                return found
        try:
            return asker.look_again(plan) or asker.ask(request, call, plan)
        finally:
            lease.give_back()

    return flights.do(_name(request, plan), ask, patience=_patience(request, plan), told=_told(request))


async def ado(asker: Asker, request: LLMRequest, call: AsyncCall, plan: Plan) -> Outcome[LLMResponse]:
    """Do what ``do`` does on an event loop."""

    async def ask() -> LLMResponse:
        if not _is_locked(plan):
            return _missed(asker, plan) or await asker.aask(request, call, plan)
        lease = _lease(asker, request, plan)
        try:
            while not await lease.ais_mine():
                await asyncio.sleep(lease.pause)
                if (found := await asker.alook_again(plan)) is not None:
                    return found
            answer = await asker.alook_again(plan) or await asker.aask(request, call, plan)
        except GeneratorExit:  # its loop was closed: nothing can be awaited any more
            lease.give_back()
            raise
        except BaseException:
            await lease.agive_back()
            raise
        await lease.agive_back()
        return answer

    return await flights.ado(_name(request, plan), ask, patience=_patience(request, plan), told=_told(request))


def suits(answer: LLMResponse, plan: Plan) -> bool:
    """Return whether an answer to another's call is one to this caller's.

    Nobody gets a stale one who takes none, nor what a provider said to another's credential.
    """
    if answer._reason in ITS_OWN or answer.status in _OF_CREDENTIALS:
        return False
    return answer._result != "stale" or plan.spare is not None


def _is_locked(plan: Plan) -> bool:
    """Return whether other processes may ask the same: of a backend that all share, and that answers."""
    return plan.reason is None and not plan.backend.in_process


def _missed(asker: Asker, plan: Plan) -> LLMResponse | None:
    """Return the answer of a call that ended between the look-up and now, where one did."""
    waits = plan.reason is not None or not plan.backend.immediate
    return None if waits or plan.landed == flights.landed else asker.look_again(plan)


def _lease(asker: Asker, request: LLMRequest, plan: Plan) -> Lease:
    tell = partial(emit_failure, sender=type(asker), key=plan.key, operation="lock")
    return Lease(plan.backend, plan.key, seconds=_lasting(request, plan), tell=tell)


def _name(request: LLMRequest, plan: Plan) -> Hashable:
    """Return the name under which callers share a call: what they would wait for it, and do with it, is the same."""
    policy = plan.route.policy
    return (*plan.flight, _own_timeout(request, plan), policy.tags, policy.store)


def _told(request: LLMRequest) -> Told:
    """Return what makes an error for this caller of one in which another's call has ended."""
    told: Told = getattr(request._target, "told", fresh)
    return told


def _patience(request: LLMRequest, plan: Plan) -> float:
    """Return the seconds that a caller waits for another's call: as long as for its own, and a moment."""
    own = _own_timeout(request, plan)
    return math.inf if own is None else SLACK + own


def _lasting(request: LLMRequest, plan: Plan) -> float:
    """Return the seconds for which a process may have the lock of a key; who has it gives signs of life."""
    return SLACK + (_own_timeout(request, plan) or plan.route.settings.timeout_for(request.provider))


def _own_timeout(request: LLMRequest, plan: Plan) -> float | None:
    """Return the caller's time-out in seconds, ``None`` where its HTTP client waits for ever."""
    said: float | None = getattr(request._target, "timeout", _NOTHING)
    return plan.route.settings.timeout_for(request.provider) if said is _NOTHING else said
