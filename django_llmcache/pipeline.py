"""The onion of middleware around the call that leaves, as Django builds its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.utils.module_loading import import_string

from . import conf
from .exceptions import ConfigurationError
from .messages import LLMRequest, LLMResponse

Handler = Callable[[LLMRequest], LLMResponse]
AsyncHandler = Callable[[LLMRequest], Awaitable[LLMResponse]]


def _send(request: LLMRequest) -> LLMResponse:
    response: LLMResponse = request._target.send(request)
    return response


async def _asend(request: LLMRequest) -> LLMResponse:
    response: LLMResponse = await request._target.asend(request)
    return response


def build(paths: tuple[str, ...], *, is_async: bool) -> Any:
    """Return the handler that runs ``paths``, first outermost, around the call that leaves.

    A factory may be a class or function with ``sync_capable`` (default true) and ``async_capable`` (default
    false); what cannot run as the pipeline does is adapted.

    Raises:
        ConfigurationError: a path does not import.
    """
    handler: Any = _asend if is_async else _send
    for path in reversed(paths):
        try:
            factory = import_string(path)
        except ImportError as error:
            raise ConfigurationError(
                f"settings.LLMCACHE['MIDDLEWARE'] has {path!r}, which does not import: {error}"
            ) from error
        handler = _adapted(factory, handler, is_async=is_async)
    return handler


def _adapted(factory: Any, handler: Any, *, is_async: bool) -> Any:
    capable = getattr(factory, "async_capable", False) if is_async else getattr(factory, "sync_capable", True)
    if not capable:
        handler = async_to_sync(handler) if is_async else sync_to_async(handler, thread_sensitive=False)
    made = factory(handler)
    if is_async and not iscoroutinefunction(made):
        return sync_to_async(made, thread_sensitive=False)
    return async_to_sync(made) if not is_async and iscoroutinefunction(made) else made


_built: dict[bool, tuple[conf.Settings, Any]] = {}


def handler() -> Handler:
    """Return the sync pipeline of the settings in force."""
    return _current(is_async=False)  # type: ignore[no-any-return]


def ahandler() -> AsyncHandler:
    """Return the async pipeline of the settings in force."""
    return _current(is_async=True)  # type: ignore[no-any-return]


def _current(*, is_async: bool) -> Any:
    settings = conf.current()
    built = _built.get(is_async)
    if built is None or built[0] is not settings:
        built = _built[is_async] = (settings, build(settings.middleware, is_async=is_async))
    return built[1]
