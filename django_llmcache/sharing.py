"""One call for all who want the same answer now: those of this process, and of all that share its backend."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Hashable
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from .admission import is_error
from .backends.lease import Lease
from .flight import Caller, Outcome
from .messages import LLMRequest, LLMResponse
from .plans import ITS_OWN, AsyncCall, Call, Plan
from .singleflight import SingleFlight
from .telemetry import emit_failure

SLACK: Final = 1.0
"""Seconds beyond its own time-out for which a caller waits for somebody else's call: that one's is told first."""

_NOTHING: Final[Any] = object()

SHORT: Final = frozenset({"disabled", "empty", "not_kept", "refused", "truncated"})
"""Reasons against storing an answer that is one all the same: who shares it was spared a call."""

flights: Final[SingleFlight[LLMResponse]] = SingleFlight()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=flights.forget)


class Forestalled(BaseException):
    """Another process has just asked the same in vain, and nobody waits for this call.

    No ``Exception``: it is no error that whoever joined the call could be told of. They make it.
    """


class Who(NamedTuple):
    """Who asks, as far as a failure may be theirs alone: whoever is the same fails alike.

    Attributes:
        kind: what fails in one way: a library with its errors, or ours.
        account: stands for the credentials, and for what else names an account.
        ways: what of the caller's client has a hand in what comes: hooks, authentication, redirects.
    """

    kind: object
    account: bytes
    ways: Hashable = None


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
    """Return the answer to this call, or to that of another who asked the same; raises as the call does.

    Raises:
        Forestalled: nobody waits for it, and another process has just had no answer to store.
    """

    def at_once() -> LLMResponse:
        return _missed(asker, plan) or asker.ask(request, call, plan)

    def ask() -> LLMResponse:
        lease = _lease(asker, request, plan)
        while not lease.is_mine():
            time.sleep(lease.pause)
            if (found := asker.look_again(plan)) is not None:
                return found
        try:
            if (found := asker.look_again(plan)) is not None:
                return found
            _spare_in_vain(lease, plan)
            answer = asker.ask(request, call, plan)
            lease.in_vain = _is_in_vain(answer)
            return answer
        except Exception:
            lease.in_vain = True
            raise
        finally:
            lease.give_back()

    return flights.do(
        _name(request, plan), ask if _is_locked(plan) else at_once,
        patience=_patience(request, plan), caller=_Asking(request), again=at_once,
    )  # fmt: skip


async def ado(asker: Asker, request: LLMRequest, call: AsyncCall, plan: Plan) -> Outcome[LLMResponse]:
    """Do what ``do`` does on an event loop."""

    async def at_once() -> LLMResponse:
        return _missed(asker, plan) or await asker.aask(request, call, plan)

    async def ask() -> LLMResponse:
        lease = _lease(asker, request, plan)
        try:
            while not await lease.ais_mine():
                await asyncio.sleep(lease.pause)
                if (found := await asker.alook_again(plan)) is not None:
                    return found
            if (answer := await asker.alook_again(plan)) is None:
                _spare_in_vain(lease, plan)
                answer = await asker.aask(request, call, plan)
                lease.in_vain = _is_in_vain(answer)
        except GeneratorExit:  # its loop was closed: nothing can be awaited any more
            lease.give_back()
            raise
        except BaseException as error:
            lease.in_vain = isinstance(error, Exception)
            await lease.agive_back()
            raise
        await lease.agive_back()
        return answer

    return await flights.ado(
        _name(request, plan), ask if _is_locked(plan) else at_once,
        patience=_patience(request, plan), caller=_Asking(request), again=at_once,
    )  # fmt: skip


def suits(answer: LLMResponse, plan: Plan) -> bool:
    """Return whether an answer to another's call is one to this caller's; nobody gets a stale one who takes none."""
    if answer._reason in ITS_OWN:
        return False
    return answer._result != "stale" or plan.spare is not None


class _Asking(Caller[LLMResponse]):
    """Who asks this, as the flights know callers."""

    who: Who | None

    def __init__(self, request: LLMRequest) -> None:
        self._target = request._target
        self.who = getattr(self._target, "who", None)

    def takes(self, answer: LLMResponse, led_by: Hashable) -> bool:
        """Return whether an answer is for this caller, too.

        What a provider refuses, it may refuse to one account: by 401 and 403, by 404 for a model, by 429 for a quota,
        by 400 for a bad key (Gemini) or a balance (Anthropic). A redirect is an answer to who follows none.
        """
        if answer._reason != "error" or led_by == self.who or not is_error(answer):  # but one that could not be stored
            return True
        return answer.status >= 500 and _is_of_a_kind(led_by, self.who)

    def told(self, error: BaseException, led_by: Hashable) -> BaseException | None:
        alike = led_by == self.who
        if self.who is None:
            return super().told(error, led_by) if alike else None
        told: BaseException | None = self._target.told(error, alike=alike) if _is_of_a_kind(led_by, self.who) else None
        return told


def _is_of_a_kind(one: Hashable, other: Hashable) -> bool:
    return isinstance(one, Who) and isinstance(other, Who) and one.kind == other.kind


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


def _is_in_vain(answer: LLMResponse) -> bool:
    """Return whether other processes find nothing stored after a call that ended in this answer."""
    return answer._entry is None or answer._result == "stale"


def _spare_in_vain(lease: Lease, plan: Plan) -> None:
    """Leave a call that nobody waits for, where another process has just made it and has nothing to show for it."""
    if plan.in_background and lease.came_second:
        raise Forestalled


def _name(request: LLMRequest, plan: Plan) -> Hashable:
    """Return the name under which callers share a call: what they would wait for it, and do with it, is the same."""
    policy = plan.route.policy
    return (*plan.flight, _own_timeout(request, plan), policy.tags, policy.store)


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
