"""The onion of middleware around the call that leaves, as Django builds its own."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from inspect import isfunction
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import MiddlewareNotUsed

from . import conf
from .exceptions import ConfigurationError
from .messages import LLMRequest, LLMResponse
from .middleware.web import problem_of_place
from .upstream import Upstream

Handler = Callable[[LLMRequest], LLMResponse]
AsyncHandler = Callable[[LLMRequest], Awaitable[LLMResponse]]

_in_thread: ContextVar[bool] = ContextVar("llmcache_in_thread", default=False)
"""Whether this call waits in a thread of the async pipeline's."""


def _send(request: LLMRequest) -> LLMResponse:
    with Upstream():
        response: LLMResponse = request._target.send(request)
    return response


async def _asend(request: LLMRequest) -> LLMResponse:
    with Upstream():
        response: LLMResponse = await request._target.asend(request)
    return response


def build(paths: tuple[str, ...], *, is_async: bool, threads: int = 64) -> Any:
    """Return the handler that runs ``paths``, first outermost, around the call that leaves.

    A factory may be a class or function with ``sync_capable`` (default true) and ``async_capable`` (default
    false). What cannot run as the pipeline does is adapted; what raises ``MiddlewareNotUsed`` is left out.

    Args:
        paths: dotted paths of factories.
        is_async: whether the handler is awaited.
        threads: how many sync-only middleware may be at work at a time in an async pipeline.

    Raises:
        ConfigurationError: a path does not import, or names no factory of middleware.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="llmcache-middleware") if is_async else None
    handler: Any = _asend if is_async else _send
    handler_is_async = is_async
    for path in reversed(paths):
        factory = _factory(path)
        runs_async = _runs_async(path, factory, wanted=is_async)
        adapted = handler if runs_async is handler_is_async else _adapted(handler, pool, to_async=runs_async)
        try:
            made = factory(adapted)
        except MiddlewareNotUsed:
            continue
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(f"{_named(path)}, which could not be made: {error!r}.") from error
        handler, handler_is_async = _checked(path, made, runs_async=runs_async), runs_async
    return handler if handler_is_async is is_async else _adapted(handler, pool, to_async=is_async)


def _named(path: str) -> str:
    return f"settings.LLMCACHE['MIDDLEWARE'] has {path!r}"


def _factory(path: str) -> Any:
    factory = conf.imported("settings.LLMCACHE['MIDDLEWARE'] has", path)
    if not callable(factory):
        raise ConfigurationError(f"{_named(path)}, which cannot be called; give a class or a function.")
    if problem := problem_of_place(path, factory):
        raise ConfigurationError(problem)
    return factory


def _runs_async(path: str, factory: Any, *, wanted: bool) -> bool:
    """Return how a middleware runs: as the pipeline does where it can, so that nothing changes threads for a hit."""
    can_sync, can_async = getattr(factory, "sync_capable", True), getattr(factory, "async_capable", False)
    if not can_sync and not can_async:
        raise ConfigurationError(f"{_named(path)}, of which neither sync_capable nor async_capable is true.")
    return bool(can_async if wanted else not can_sync)


def _checked(path: str, made: Any, *, runs_async: bool) -> Any:
    if not callable(made):
        raise ConfigurationError(f"{_named(path)}, which returned {made!r}; it must return a callable.")
    if not runs_async and (iscoroutinefunction(made) or iscoroutinefunction(type(made).__call__)):
        raise ConfigurationError(f"{_named(path)}, which is async; say so on it: async_capable = True.")
    return _known_as_async(made) if runs_async and not iscoroutinefunction(made) else made


def _known_as_async(made: Any) -> Any:
    """Return what is awaited so that the middleware around it can tell, where nothing on it says so.

    Django's own examples do without the mark: an object with ``async def __call__``, a lambda that passes on.
    """
    try:
        markcoroutinefunction(made)
    except AttributeError:  # no place for a mark, such as on an object with slots

        async def answer(request: LLMRequest) -> LLMResponse:
            response: LLMResponse = await made(request)
            return response

        return answer
    return made


def _adapted(handler: Any, pool: ThreadPoolExecutor | None, *, to_async: bool) -> Any:
    if not to_async:
        return async_to_sync(handler)
    in_same_thread = sync_to_async(handler, thread_sensitive=True)
    if pool is None:
        return in_same_thread
    in_pool = sync_to_async(handler, thread_sensitive=False, executor=pool)

    async def answer(request: LLMRequest) -> LLMResponse:
        """Run it in the thread where a sync middleware further out waits for it, else in one of ours.

        If every call asked for a second thread while it holds one, they could wait for each other for ever.
        """
        if _in_thread.get():
            response: LLMResponse = await in_same_thread(request)
            return response
        token = _in_thread.set(True)
        try:
            response = await in_pool(request)
        finally:
            _in_thread.reset(token)
        return response

    return answer


def _direct(handler: Any) -> Any:
    """Return the method of an object that is called: calling that takes a third of the time."""
    return handler.__call__ if isfunction(type(handler).__call__) else handler


_nothing: tuple[Any, Any] = (object(), None)
in_force = _async = _nothing
"""The settings that a pipeline was made for, and that pipeline; the sync one in force where the settings are."""


def handler() -> Handler:
    """Return the sync pipeline of the settings in force."""
    global in_force
    settings = conf.snapshot or conf.current()
    made_for, made = in_force
    if made_for is not settings:
        made = _direct(build(settings.middleware, is_async=False))
        in_force = (settings, made)
    return made  # type: ignore[no-any-return]


def ahandler() -> AsyncHandler:
    """Return the async pipeline of the settings in force."""
    global _async
    settings = conf.snapshot or conf.current()
    made_for, made = _async
    if made_for is not settings:
        made = _direct(build(settings.middleware, is_async=True, threads=settings.async_threads))
        _async = (settings, made)
    return made  # type: ignore[no-any-return]


def _forget() -> None:
    global _async
    _async = _nothing


# A child has none of its parent's threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
