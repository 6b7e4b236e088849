"""What the settings and the caller's policy make of one request, before anything is looked up."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final

from django.core.exceptions import SynchronousOnlyOperation

from . import conf, keys
from .backends.base import groups_of
from .endpoints import Endpoint
from .exceptions import ConfigurationError, UncacheableRequest
from .keys import KeyMaker
from .messages import LLMRequest
from .policies import UNSET, CachePolicy, ambient, checked_scope, whose
from .telemetry import placed

ON_A_LOOP: Final = (
    "Say scope=… in the call or in policy(), or look it up before, as by reading request.user.pk in sync code."
)
"""What to do where an event loop can't wait for whoever tells the scope."""


class Route:
    """What the settings and a caller's policy make of every request to one address and model.

    It is worked out once, since a look-up in the cache takes no longer than working it out.

    Attributes:
        settings, policy, model: what it follows from, beside the address.
        reason: why these requests are neither read nor stored (a reason code), or ``None``.
        scope: whose answers they get, ``None`` when they are shared.
        keys: makes the keys of those that have one.
        key_of: returns the key of the one that has this body.
        groups: what those could be cleared by, for the backend's ``find``.
        refresh: whether the stored answer is not wanted.
        max_age: seconds that it may be old; ``None`` for any age.
        stale_for: seconds for which an expired answer may be served.
    """

    __slots__ = (
        "groups",
        "key_of",
        "keys",
        "max_age",
        "model",
        "policy",
        "reason",
        "refresh",
        "scope",
        "settings",
        "stale_for",
    )

    def __init__(self, request: LLMRequest, policy: CachePolicy, settings: conf.Settings) -> None:
        self.settings = settings
        self.policy = policy
        self.model = request._model
        self.refresh = bool(policy.refresh)
        self.stale_for = settings.stale_for if policy.stale_for is UNSET else policy.stale_for
        self.max_age = None if policy.max_age is UNSET else policy.max_age
        self.scope: str | None = None
        self.reason = reason_against(request, policy, settings)
        if self.reason is None:
            self.scope = scope_of(request, policy, settings)
            if self.scope is None and settings.require_scope and policy.scope is UNSET:
                self.reason = "no_scope"
            self.keys = key_maker(request, policy, settings, self.scope)
            self.key_of = self.keys.key_of
            self.groups = groups_of(keys.scope_digest(self.scope), policy.tags or ())


_routes: dict[tuple[Endpoint, str, int], Route] = {}
_ROUTES_KEPT: Final = 1024


def route_of(request: LLMRequest, policy: CachePolicy, settings: conf.Settings) -> Route:
    """Return what becomes of a request, and leave it at its endpoint for the next one.

    Raises:
        UncacheableRequest: ``SCOPE`` failed, or JSON cannot say where the request goes.
    """
    name = (request._endpoint, request._model, id(policy))
    route = _routes.get(name)
    if route is None or route.policy is not policy or route.settings is not settings:
        route = Route(request, policy, settings)
        # Where a function of the user's own decides, it is asked about each request.
        if settings.cacheable is not None or (settings.scope is not None and "." in settings.scope):
            return route
        if len(_routes) >= _ROUTES_KEPT:
            _routes.clear()
        _routes[name] = route
    object.__setattr__(request._endpoint, "route", route)
    return route


def key_maker(request: LLMRequest, policy: CachePolicy, settings: conf.Settings, scope: str | None) -> KeyMaker:
    """Return what makes the keys of such requests.

    Raises:
        UncacheableRequest: JSON cannot say exactly where they go.
    """
    return KeyMaker(
        request._endpoint,
        request._model,
        version=settings.key_version,
        scope=scope,
        sample=policy.sample or 0,
        ignore=settings.ignore_fields,
    )


def parts_of(request: LLMRequest, policy: CachePolicy, settings: conf.Settings, scope: str | None) -> dict[str, str]:
    """Return a short digest of each part that makes the request's key, by name; raises as ``key_maker``."""
    return keys.parts_of(
        request,
        version=settings.key_version,
        scope=scope,
        sample=policy.sample or 0,
        ignore=settings.ignore_fields,
    )


def reason_against(request: LLMRequest, policy: CachePolicy, settings: conf.Settings) -> str | None:
    """Return why no request of this kind is read or stored, or ``None``: ``disabled``, or what ``CACHEABLE`` said.

    Raises:
        UncacheableRequest: ``CACHEABLE`` failed (reason ``error``).
    """
    if not settings.enabled or policy.cache is False:
        return "disabled"
    if policy.cache is True:
        return None
    own = settings.providers.get(request._endpoint.provider, {})
    if not own.get("CACHE", settings.cache_by_default):
        return "disabled"
    if settings.cacheable is None:
        return None
    ask = imported("CACHEABLE", settings.cacheable)
    try:
        verdict = ask(request)
    except Exception as error:
        raise UncacheableRequest(f"LLMCACHE['CACHEABLE'] failed: {placed(error)}", reason="error") from error
    if verdict is None or isinstance(verdict, bool | str):
        return None if verdict is True else verdict or "disabled"
    raise TypeError(f"LLMCACHE['CACHEABLE'] returned a {type(verdict).__name__}; return True, False or a reason.")


def scoped(policy: CachePolicy, ask: Callable[[], str | None], settings: conf.Settings) -> CachePolicy:
    """Return a policy with the scope of the web request that is served, where nobody has said another.

    A ``SCOPE`` that is a function decides by itself. One that is a text stands before it: who set both wants both.

    Raises:
        UncacheableRequest: nobody can tell whose the request is (reason ``no_scope``): never taken for "shared".
    """
    outer = settings.scope
    if policy.scope is not UNSET or (outer is not None and "." in outer):
        return policy
    scope = _scope_from(ask, "What tells the scope of the web request")
    if scope is None:
        return policy
    # Added up, since an enum that is a text stands in an f-string by its name.
    return policy.over(_scope_policy(scope if outer in (None, "public") else outer + "/" + scope))


@lru_cache(maxsize=1024)
def _scope_policy(scope: str) -> CachePolicy:
    """Return one object for one scope: what follows from a policy is known by it."""
    return CachePolicy(scope=scope)


def policy_here(request: LLMRequest, settings: conf.Settings) -> CachePolicy:
    """Return what is wanted of a request here and now: by its own policy, the blocks around it and the web request.

    Raises:
        UncacheableRequest: as ``scoped``.
    """
    policy = request._policy.over(ambient())
    return policy if (ask := whose()) is None else scoped(policy, ask, settings)


def key_of(request: LLMRequest) -> str | None:
    """Return the key that a request is looked up by here and now, ``None`` where it is not looked up; never raises."""
    try:
        settings = conf.current()
        route = Route(request, policy_here(request, settings), settings)
        return None if route.reason is not None or request._stream else route.key_of(request._payload)
    except Exception:
        return None


def has_state(request: LLMRequest) -> bool:
    """Return whether the answer depends on more than the request (reason code ``stateful``)."""
    return request._endpoint.rules.has_state(request._payload)


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
    return _scope_from(partial(imported("SCOPE", scope), request), "LLMCACHE['SCOPE']")


def _scope_from(ask: Callable[[], Any], name: str) -> str | None:
    """Return the scope that a function gives, which may know the prompt: no message has more of it than a type.

    Raises:
        UncacheableRequest: it failed, or gave no text (reason ``no_scope``).
    """
    try:
        scope = ask()
    except SynchronousOnlyOperation as error:
        problem = f"{name} asks a database on an event loop ({placed(error)}). {ON_A_LOOP}"
        raise UncacheableRequest(problem, reason="no_scope") from error
    except Exception as error:
        raise UncacheableRequest(f"{name} failed: {placed(error)}", reason="no_scope") from error
    try:
        return checked_scope(scope)
    except ConfigurationError:
        kind = "an empty text" if isinstance(scope, str) else f"a {type(scope).__name__}"
        problem = f"{name} returned {kind}; return a text such as 'user:42', or None to share."
        raise UncacheableRequest(problem, reason="no_scope") from None


_imported: dict[str, tuple[str, Callable[[LLMRequest], Any]]] = {}


def imported(name: str, path: str) -> Callable[[LLMRequest], Any]:
    """Return the callable that a setting names.

    Raises:
        ConfigurationError: it does not import, or cannot be called.
    """
    known = _imported.get(name)
    if known is not None and known[0] == path:
        return known[1]
    function: Any = conf.imported(f"settings.LLMCACHE[{name!r}] is", path)
    if not callable(function):
        raise ConfigurationError(f"settings.LLMCACHE[{name!r}] is {path!r}, which cannot be called.")
    _imported[name] = (path, function)
    return function  # type: ignore[no-any-return]
