"""What the settings and the caller's policy make of one request, before anything is looked up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.module_loading import import_string

from . import conf
from .exceptions import ConfigurationError, UncacheableRequest
from .messages import LLMRequest
from .policies import UNSET, CachePolicy, checked_scope


def reason_against(request: LLMRequest, policy: CachePolicy, settings: conf.Settings) -> str | None:
    """Return why this request is neither read nor stored, or ``None``.

    Reason codes: ``disabled``, ``streaming``, ``stateful``, or what ``CACHEABLE`` returned.
    """
    if not settings.enabled:
        return "disabled"
    wanted = policy.cache
    if wanted is not True:
        reason = "disabled" if wanted is False else _default_reason(request, settings)
        if reason is not None:
            return reason
    if request._stream:
        return "streaming"
    return "stateful" if request._endpoint.rules.has_state(request._payload) else None


def _default_reason(request: LLMRequest, settings: conf.Settings) -> str | None:
    """Return why a request is not cached whose caller said nothing."""
    own = settings.providers.get(request._endpoint.provider)
    if not (settings.cache_by_default if own is None else own.get("CACHE", settings.cache_by_default)):
        return "disabled"
    if settings.cacheable is None:
        return None
    verdict = imported("CACHEABLE", settings.cacheable)(request)
    return None if verdict is True else verdict or "disabled"


def scope_of(request: LLMRequest, policy: CachePolicy, settings: conf.Settings) -> str | None:
    """Return whose answer it is; ``None`` when it is shared. The policy's word holds, then ``SCOPE``.

    Raises:
        UncacheableRequest: ``SCOPE`` failed, or gave no text (reason ``no_scope``): never taken for "shared".
    """
    if policy.scope is not UNSET:
        return policy.scope
    scope = settings.scope
    if scope is None or "." not in scope:
        return scope
    ask = imported("SCOPE", scope)
    try:
        return checked_scope(ask(request), source="what SCOPE returned")
    except Exception as error:
        raise UncacheableRequest(f"LLMCACHE['SCOPE'] failed: {error!r}", reason="no_scope") from error


_imported: dict[str, tuple[str, Callable[[LLMRequest], Any]]] = {}


def imported(name: str, path: str) -> Callable[[LLMRequest], Any]:
    """Return the callable that a setting names.

    Raises:
        ConfigurationError: it does not import, or cannot be called.
    """
    known = _imported.get(name)
    if known is not None and known[0] == path:
        return known[1]
    try:
        function: Any = import_string(path)
    except ImportError as error:
        raise ConfigurationError(f"settings.LLMCACHE[{name!r}] is {path!r}, which does not import: {error}") from error
    if not callable(function):
        raise ConfigurationError(f"settings.LLMCACHE[{name!r}] is {path!r}, which cannot be called.")
    _imported[name] = (path, function)
    return function  # type: ignore[no-any-return]
