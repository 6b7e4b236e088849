"""Look a request up: it gets the stored answer, or hears what becomes of the one that comes."""

from __future__ import annotations

import time
from typing import Any

from . import backends, conf, sharing, workers
from .backends.base import BaseBackend, Found
from .bodyrequest import BodyRequest
from .decisions import Route, has_state, route_of, scoped
from .entry import Entry
from .exceptions import ConfigurationError, UncacheableRequest
from .messages import LLMRequest, LLMResponse
from .plans import Bypass, Late, Plan, Question, reason_of
from .policies import ambient, whose
from .refreshing import refreshes
from .sitestats import publisher
from .telemetry import counters, emit, emit_failure, emit_hit, told

_channel = workers.current()


def look_up(request: LLMRequest, sender: Any) -> LLMResponse | Question | Late | Plan | Bypass:  # noqa: C901 - as it says
    """Return the stored answer, or what becomes of the one that comes, or what the backend is to be asked first.

    This is the whole of a hit, and so one function: each that it were split into would cost a hit a hundredth.

    Args:
        request: what is asked.
        sender: of the signals.

    Raises:
        ConfigurationError: a setting that cannot work. Any other failure is told as ``cache_error``, and the call
            goes on without the cache.
    """
    try:
        policy, outer = request._policy, ambient()
        if outer is not None:
            policy = policy.over(outer)
        settings = conf.snapshot or conf.current()
        if (ask := whose()) is not None:
            policy = scoped(policy, ask, settings)
        route = request._endpoint.route
        if (
            route is None
            or route.policy is not policy
            or route.settings is not settings
            or route.model != request._model
        ):
            route = route_of(request, policy, settings)
        if route.reason is not None or request._stream:
            return Bypass(route.reason or "streaming")
        came_as_bytes = request.__class__ is BodyRequest and request.body_digest
        key = route.keys.key_of_body(request) if came_as_bytes else route.key_of(request._payload)
        if time.monotonic() >= _channel.due:
            _channel.poll()
        made_for, backend = backends.in_force
        if made_for is not settings:
            backend = backends.current()
        landed = sharing.flights.landed
        if not backend.immediate:
            return _at_hand(request, Question(key, route, backend, landed), sender)
        if (
            not route.refresh
            and (entry := backend.get(key)) is not None
            and (route.max_age is None or _is_young(entry, route.max_age))
        ):
            if entry.has_null and not came_as_bytes:  # in JSON there is no NaN
                route.keys.check_numbers(request._payload)
            if entry.stale_for and (late := backend.lateness(entry)) > 0:
                plan = _missed(request, route, key, backend, landed)
                return plan if isinstance(plan, Bypass) else _late(entry, plan, late, sender)
            emit_hit(sender, key, entry)
            return LLMResponse.from_entry(entry, key, backend.name)
        return _missed(request, route, key, backend, landed)
    except ConfigurationError:
        raise
    except Exception as error:
        return _failed(request, error, sender)


def _at_hand(request: LLMRequest, question: Question, sender: Any) -> LLMResponse | Question | Bypass:
    """Return the answer where the backend has it in memory, else the question to ask it."""
    key, route, backend, _ = question
    if (
        not route.refresh
        and (entry := backend.at_hand(key)) is not None
        and not entry.has_null
        and (route.max_age is None or _is_young(entry, route.max_age))
    ):
        emit_hit(sender, key, entry)
        return LLMResponse.from_entry(entry, key, backend.name)
    return Bypass("stateful") if has_state(request) else question


def _missed(request: LLMRequest, route: Route, key: str, backend: BaseBackend, landed: int) -> Plan | Bypass:
    # Only now, where looking costs nothing: what has state was never stored, so a hit needs no second opinion.
    if has_state(request):
        return Bypass("stateful")
    route.keys.has_null(request._payload)  # looks it through, so that what has NaN shares nobody's call
    if route.policy.tags:
        backend.expect(route.policy.tags)
    plan = Plan(key, route, backend, backend.mark(), landed)
    if not route.stale_for:
        return plan
    stored = backend.get(key)
    return plan if stored is None else _with_spare(plan, stored, backend.lateness(stored))


def ask(request: LLMRequest, question: Question, sender: Any) -> LLMResponse | Late | Plan | Bypass:
    """Return what ``look_up`` would have, if the backend could have answered it at once."""
    try:
        found = question.backend.find(question.key, question.route.groups)
    except Exception as error:
        return _unanswered(question, error, sender)
    return _answered(request, question, found, sender)


async def aask(request: LLMRequest, question: Question, sender: Any) -> LLMResponse | Late | Plan | Bypass:
    """Do what ``ask`` does on the event loop."""
    try:
        found = await question.backend.afind(question.key, question.route.groups)
    except Exception as error:
        return _unanswered(question, error, sender)
    return _answered(request, question, found, sender)


def look_again(plan: Plan, sender: Any) -> LLMResponse | None:
    """Return the answer that has come since the look-up, to somebody who asked the same; of the body that has it."""
    found = _stored(plan, sender)
    return _handed_out(found.entry, plan, sender) if found is not None and found.late <= 0 else None


async def alook_again(plan: Plan, sender: Any) -> LLMResponse | None:
    """Do what ``look_again`` does on the event loop."""
    found = await _astored(plan, sender)
    return _handed_out(found.entry, plan, sender) if found is not None and found.late <= 0 else None


def spare_of(plan: Plan, sender: Any) -> LLMResponse | None:
    """Return the plan's spare as it stands now: it may have been cleared since, or become another."""
    return _still_spare(plan, _stored(plan, sender))


async def aspare_of(plan: Plan, sender: Any) -> LLMResponse | None:
    """Do what ``spare_of`` does on the event loop."""
    return _still_spare(plan, await _astored(plan, sender))


def _still_spare(plan: Plan, found: Found | None) -> LLMResponse | None:
    if found is None:  # nobody knows: it was good a moment ago, but where this process has to clear it yet
        stored = None if plan.spare is None else plan.spare._entry
        return None if stored is None or plan.backend.has_to_clear(stored) else plan.spare
    entry, late = found.entry, found.late
    return None if entry is None else _with_spare(plan._replace(spare=None), entry, late).spare


def _stored(plan: Plan, sender: Any) -> Found | None:
    """Return what is stored by now, ``None`` where the backend can't say."""
    backend = plan.backend
    try:
        if not backend.immediate:
            return backend.find(plan.key, plan.route.groups)
        entry = backend.get(plan.key)
        return Found(entry, None, late=0.0 if entry is None else backend.lateness(entry))
    except Exception as error:
        emit_failure(error, sender, key=plan.key, operation="get")
        return None


async def _astored(plan: Plan, sender: Any) -> Found | None:
    """Do what ``_stored`` does on the event loop."""
    if plan.backend.immediate:
        return _stored(plan, sender)
    try:
        return await plan.backend.afind(plan.key, plan.route.groups)
    except Exception as error:
        emit_failure(error, sender, key=plan.key, operation="get")
        return None


def _answered(request: LLMRequest, question: Question, found: Found, sender: Any) -> LLMResponse | Late | Plan | Bypass:
    key, route, backend, landed = question
    if publisher.asleep:
        publisher.wake()
    if found.error is not None:
        emit("error", sender, key=key, operation="decode", error=told(found.error))
    plan = Plan(key, route, backend, found.mark, landed)
    try:
        if found.entry is not None and found.entry.has_null:
            route.keys.check_numbers(request._payload)
        if not route.refresh and found.late <= 0 and (response := _handed_out(found.entry, plan, sender)) is not None:
            return response
        route.keys.has_null(request._payload)
    except Exception as error:
        return _failed(request, error, sender)
    if found.entry is None:
        return plan
    wanted = found.late > 0 and not route.refresh and _is_young(found.entry, route.max_age)
    return _late(found.entry, plan, found.late, sender) if wanted else _with_spare(plan, found.entry, found.late)


def _late(entry: Entry, plan: Plan, late: float, sender: Any) -> Late | Plan:
    """Return an expired answer to be served, where the caller takes one."""
    if late > plan.route.stale_for:
        return plan
    if refreshes.make_up(plan.key):
        return _with_spare(plan, entry, late)
    emit_hit(sender, plan.key, entry)
    counters.add("stale", entry.provider, entry.model)
    return Late(LLMResponse.from_entry(entry, plan.key, plan.backend.name, "stale"), plan._replace(spare=None))


def _with_spare(plan: Plan, entry: Entry, late: float) -> Plan:
    """Return the plan with what is stored, to be served where the provider fails (RFC 5861, "stale-if-error")."""
    if not plan.route.stale_for or late > plan.route.stale_for:
        return plan
    return plan._replace(spare=LLMResponse.from_entry(entry, plan.key, plan.backend.name, "stale"))


def _unanswered(question: Question, error: Exception, sender: Any) -> Plan:
    """Return a plan to ask the provider, once for all who ask the same, and to store nothing.

    Those do who have seen the same changes: what this process couldn't clear is in place of the stamps of the store.
    """
    emit_failure(error, sender, key=question.key, operation="get")
    key, route, backend, landed = question
    return Plan(key, route, backend, backend.clears_tried, landed, reason_of(error))


def _handed_out(entry: Entry | None, plan: Plan, sender: Any) -> LLMResponse | None:
    if entry is None or not _is_young(entry, plan.route.max_age):
        return None
    if not plan.in_background:  # where nobody is answered, whoever was served the stale one has been told of
        emit_hit(sender, plan.key, entry)
    return LLMResponse.from_entry(entry, plan.key, plan.backend.name)


def _failed(request: LLMRequest, error: Exception, sender: Any) -> Bypass:
    if isinstance(error, UncacheableRequest):
        if (what := request._told_of(error)) is not None:
            emit("error", sender, key=None, operation="key", error=what)
        return Bypass(error.reason)
    emit_failure(error, sender, key=None, operation="get")
    return Bypass("error")


def _is_young(entry: Entry, max_age: float | None) -> bool:
    return max_age is None or time.time() - entry.created <= max_age
