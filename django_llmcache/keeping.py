"""Store the answer that came, where it may be stored."""

from __future__ import annotations

import time
from random import random
from typing import Any

from . import admission
from .decisions import parts_of
from .entry import Entry
from .exceptions import EntryTooLargeError
from .keys import pack_parts, scope_digest
from .messages import LLMRequest, LLMResponse
from .plans import ITS_OWN, Bypass, Plan, reason_of
from .policies import UNSET
from .telemetry import counters, emit, emit_failure


def keep(request: LLMRequest, answer: LLMResponse, found: Plan | Bypass, *, latency: float, sender: Any) -> LLMResponse:
    """Store an answer where it may be stored; return it marked with what became of it.

    Args:
        request: what was asked.
        answer: what came.
        found: what the look-up gave.
        latency: seconds that the call took.
        sender: of the signals.
    """
    if isinstance(found, Bypass):
        return answer.marked("bypass", reason=found.reason)
    try:
        kept = _judged(request, answer, found, latency)
        if isinstance(kept, Entry) and not found.backend.put(kept, found.mark):
            kept = "not_kept"
    except Exception as error:
        kept = _failed(error, found, sender)
    return _marked(request, answer, kept, found, sender)


async def akeep(
    request: LLMRequest, answer: LLMResponse, found: Plan | Bypass, *, latency: float, sender: Any
) -> LLMResponse:
    """Do what ``keep`` does on the event loop."""
    if isinstance(found, Bypass):
        return answer.marked("bypass", reason=found.reason)
    try:
        kept = _judged(request, answer, found, latency)
        if isinstance(kept, Entry) and not await found.backend.aput(kept, found.mark):
            kept = "not_kept"
    except Exception as error:
        kept = _failed(error, found, sender)
    return _marked(request, answer, kept, found, sender)


def entry_of(request: LLMRequest, answer: LLMResponse, plan: Plan, *, ttl: float | None, latency: float) -> Entry:
    """Return an answer as a backend stores it.

    Args:
        request: what was asked.
        answer: what came.
        plan: what the look-up gave.
        ttl: seconds, ``None`` for ever.
        latency: seconds that the call took.
    """
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
        stale_for=route.stale_for,
        has_null=route.keys.has_null(request._payload),
        parts=pack_parts(parts_of(request, route.policy, route.settings, route.scope)),
    )


def _judged(request: LLMRequest, answer: LLMResponse, plan: Plan, latency: float) -> Entry | str:
    """Return the entry to store, or the reason code that is against it."""
    if answer._reason is not None and answer._reason in ITS_OWN:
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
    if ttl is not None and settings.ttl_jitter:
        ttl *= 1 - settings.ttl_jitter * random()  # noqa: S311 - no secret: it spreads what was stored together
    if plan.reason is not None:
        return plan.reason
    if plan.route.key_of(request._payload) != plan.key:
        return "changed"
    return entry_of(request, answer, plan, ttl=ttl, latency=latency)


def _failed(error: Exception, plan: Plan, sender: Any) -> str:
    """Tell what was against storing it; return the reason code."""
    if isinstance(error, EntryTooLargeError):
        return "too_large"
    emit_failure(error, sender, key=plan.key, operation="put")
    return reason_of(error)


def _marked(request: LLMRequest, answer: LLMResponse, kept: Entry | str, plan: Plan, sender: Any) -> LLMResponse:
    if isinstance(kept, str):
        counters.add(f"not_stored.{kept}", request.provider, request.model)
        return answer.marked("miss", key=plan.key, reason=kept)
    details = {"provider": kept.provider, "model": kept.model, "size": kept.size, "ttl": kept.ttl}
    emit("put", sender, key=kept.key, **details)
    return answer.marked("miss", key=plan.key, entry=kept, backend=plan.backend.name)
