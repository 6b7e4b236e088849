"""The response cache for people with a client of their own: ``from django_llmcache import cache``.

A failure of the cache fails none of these calls, but for ``clear`` and ``delete``: who asks for an answer to be gone
must hear when it is not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from . import backends, conf, decisions, sitestats, strategies, workers
from .backends.base import BaseBackend, aside
from .backends.dummy import DummyBackend
from .backends.wording import words_of
from .conditions import selector_of
from .exceptions import BackendUnavailableError, ConfigurationError, UncacheableRequest
from .explanation import Explanation, nearest_to
from .keys import is_key
from .messages import LLMRequest, LLMResponse
from .policies import UNSET, CachePolicy
from .stats import CacheStats
from .telemetry import counters, emit_failure

__all__ = [
    "aclear",
    "adelete",
    "aexplain",
    "aget",
    "astats",
    "awith_cache",
    "clear",
    "delete",
    "explain",
    "get",
    "stats",
    "with_cache",
]


def with_cache(
    request: LLMRequest, call: Callable[[LLMRequest], Any], *, policy: CachePolicy | None = None
) -> LLMResponse:
    """Return the stored answer, or what ``call`` gives, stored where it may be.

    Args:
        request: what is asked.
        call: a plain function that asks the provider; returns an LLMResponse, bytes or a JSON mapping.
        policy: what is wanted of the cache, over the request's own.

    Raises:
        TypeError: ``call`` returned something else, or ``request`` is no LLMRequest.
    """
    if not isinstance(request, LLMRequest):
        raise _no_request(request)
    return strategies.current().with_cache(request if policy is None else _under(policy, request), call)


async def awith_cache(
    request: LLMRequest, call: Callable[[LLMRequest], Awaitable[Any]], *, policy: CachePolicy | None = None
) -> LLMResponse:
    """Do what ``with_cache`` does with an async function; a hit never leaves the event loop."""
    if not isinstance(request, LLMRequest):
        raise _no_request(request)
    return await strategies.current().awith_cache(request if policy is None else _under(policy, request), call)


def get(key: str) -> LLMResponse | None:
    """Return the answer stored under a key (``response.cache.key``), or ``None``, also for what is no key."""
    if not is_key(key):
        return None
    try:
        backend = backends.current()
        found = backend.find(key)
        if found.entry is None:
            return None
        return LLMResponse.from_entry(found.entry, key, backend.name, "stale" if found.late else "hit")
    except ConfigurationError:
        raise
    except Exception as error:
        _tell(error, key, "get")
        return None


def delete(key: str) -> bool:
    """Remove one answer from this process' cache; return whether it was there.

    Raises:
        ConfigurationError: no key; an answer that was not looked up has ``None`` for one.
        BackendUnavailableError: the store is away, or refuses it; its library's own error is the ``__cause__``.
    """
    if not isinstance(key, str):
        raise ConfigurationError(f"key is {key!r:.80}; give a text, such as response.cache.key. Nothing was removed.")
    if not is_key(key):
        return False
    backend = backends.current()
    with _told_by_one_class(backend, "delete"):
        return backend.delete(key)


def clear(
    *,
    provider: str | None = None,
    model: str | None = None,
    scope: str | None = None,
    tag: Any = None,
    key: str | None = None,
) -> int | None:
    """Remove the answers that meet every condition named, all of them when none is.

    Other workers on this machine that keep a cache of their own hear of it within two seconds.

    Args:
        provider: its name.
        model: as it was asked for.
        scope: whose answers; ``"public"`` for those that are shared.
        tag: one tag: a text, a model, or an object of one.
        key: one key.

    Returns:
        How many were removed here; ``None`` when the backend can't count.

    Raises:
        ConfigurationError: a condition that is no text, an empty one, or none that can be stored; nothing was removed.
        BackendUnavailableError: the store is away, or refuses it; its library's own error is the ``__cause__``.
    """
    selector = selector_of(provider=provider, model=model, scope=scope, tag=tag, key=key)
    backend = backends.current()
    with _told_by_one_class(backend, "clear"):
        cleared = backend.clear(selector)
    if backend.in_process:  # what all share is cleared for all, and what was stored since is to stay
        workers.tell(selector)
    return cleared


def stats() -> CacheStats:
    """Return what the site's cache did where its processes share a store, else what this process' holds and did.

    A backend that fails holds nothing, and then only what this process counted is told.
    """
    try:
        return sitestats.of_site() or sitestats.of_process()
    except ConfigurationError:
        raise
    except Exception as error:
        _tell(error, None, "stats")
        name, nothing = backends.current().name, DummyBackend().stats()
        return CacheStats.of(name, nothing, counters.counts())


def explain(request: LLMRequest) -> Explanation:
    """Return what makes the request's key, and how it differs from the nearest stored request."""
    if not isinstance(request, LLMRequest):
        raise _no_request(request)
    settings = conf.current()
    reason = "streaming" if request.stream else "stateful" if decisions.has_state(request) else None
    try:
        policy = decisions.policy_here(request, settings)
        reason = decisions.reason_against(request, policy, settings) or reason
        scope = decisions.scope_of(request, policy, settings)
        if scope is None and settings.require_scope and policy.scope is UNSET:
            reason = reason or "no_scope"
        key = decisions.key_maker(request, policy, settings, scope).key_of(request._payload)
        parts = decisions.parts_of(request, policy, settings, scope)
    except UncacheableRequest as error:
        return Explanation(None, {}, reason or error.reason, None, ())
    except ConfigurationError:
        raise
    except Exception as error:
        _tell(error, None, "explain")
        return Explanation(None, {}, "error", None, ())
    try:
        nearest, differs = nearest_to(parts, key, backends.current().entries())
    except Exception as error:
        _tell(error, key, "explain")
        return Explanation(key, parts, reason, None, ())
    return Explanation(key, parts, reason, nearest, differs)


@contextmanager
def _told_by_one_class(backend: BaseBackend, operation: str) -> Iterator[None]:
    """Raise one class of errors, whatever the store's library raises in the block."""
    try:
        yield
    except (BackendUnavailableError, ConfigurationError):
        raise
    except Exception as error:
        said = f"The backend {backend.name} could not {operation}: {words_of(error)}."
        raise BackendUnavailableError(said, asked=True) from error


def _tell(error: Exception, key: str | None, operation: str) -> None:
    emit_failure(error, type(strategies.current()), key=key, operation=operation)


def _no_request(given: object) -> TypeError:
    return TypeError(
        f"request is a {type(given).__name__}; give an LLMRequest, such as LLMRequest('openai', payload={{…}})."
    )


def _under(policy: CachePolicy, request: LLMRequest) -> LLMRequest:
    if not isinstance(policy, CachePolicy):
        raise TypeError(f"policy is a {type(policy).__name__}; give a CachePolicy, such as CachePolicy(ttl=60).")
    wanted = policy.over(request._policy)
    return LLMRequest.to(request._endpoint, request._model, request._payload, request._stream, wanted, request._target)


def __dir__() -> list[str]:
    """List what is public, which a shell offers on Tab."""
    return sorted(__all__)


Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def _twin(function: Callable[Parameters, Result]) -> Callable[Parameters, Awaitable[Result]]:
    """Return an async function that does the same and never keeps the event loop waiting for another machine."""

    @wraps(function)
    async def twin(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if backends.current().immediate:  # the in-process backend waits for nothing
            return function(*args, **kwargs)
        return await aside(partial(function, *args, **kwargs))

    twin.__name__ = twin.__qualname__ = f"a{function.__name__}"
    return twin


aget = _twin(get)
adelete = _twin(delete)
aclear = _twin(clear)
astats = _twin(stats)
aexplain = _twin(explain)
