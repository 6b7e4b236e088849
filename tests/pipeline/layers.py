"""Middleware for the tests of the onion, each named by its dotted path."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.utils.decorators import async_only_middleware, sync_and_async_middleware

from django_llmcache import LLMRequest, LLMResponse

trail: list[str] = []
"""What the middleware did, in order."""
barrier: list[threading.Barrier] = []
"""Where ``OuterWaits`` meets the other calls, if anywhere."""


def where() -> str:
    """Return "loop" on an event loop, else "thread"."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return "thread"
    return "loop"


def plain(get_response: Any) -> Any:
    """Sync only: Django's default for a function that says nothing."""

    def middleware(request: LLMRequest) -> LLMResponse:
        trail.append(f"plain in {where()}")
        return get_response(request)

    return middleware


@async_only_middleware
def async_only(get_response: Any) -> Any:
    async def middleware(request: LLMRequest) -> LLMResponse:
        trail.append(f"async_only in {where()}")
        return await get_response(request)

    return middleware


@sync_and_async_middleware
def both(get_response: Any) -> Any:
    if iscoroutinefunction(get_response):

        async def middleware(request: LLMRequest) -> LLMResponse:
            trail.append(f"both awaits in {where()}")
            return await get_response(request)

    else:

        def middleware(request: LLMRequest) -> LLMResponse:
            trail.append(f"both calls in {where()}")
            return get_response(request)

    return middleware


class First:
    """A class, as most middleware are."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: LLMRequest) -> LLMResponse:
        trail.append(f"{type(self).__name__} before")
        response = self.get_response(request)
        trail.append(f"{type(self).__name__} after")
        return response


class Second(First):
    pass


class InThread(First):
    """Sync only; notes which thread it ran in."""

    def __call__(self, request: LLMRequest) -> LLMResponse:
        trail.append(threading.current_thread().name)
        return self.get_response(request)


class OuterWaits(First):
    """Sync only; goes on when as many calls are here as the barrier wants."""

    def __call__(self, request: LLMRequest) -> LLMResponse:
        barrier[0].wait(timeout=8)
        return self.get_response(request)


class AsyncClass:
    """Async only, as a class."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: LLMRequest) -> LLMResponse:
        trail.append(f"AsyncClass in {where()}")
        return await self.get_response(request)


class Unmarked:
    """Async only, written as Django's documentation shows it."""

    sync_capable = False
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    async def __call__(self, request: LLMRequest) -> LLMResponse:
        trail.append(f"{type(self).__name__} in {where()}")
        return await self.get_response(request)


class Slotted:
    """The same, with no place for a mark."""

    sync_capable = False
    async_capable = True
    __slots__ = ("get_response",)

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    async def __call__(self, request: LLMRequest) -> LLMResponse:
        trail.append(f"Slotted in {where()}")
        return await self.get_response(request)


def passes_on(get_response: Any) -> Any:
    trail.append("passes_on in loop")
    return lambda request: get_response(request.replace())


passes_on.sync_capable, passes_on.async_capable = False, True


class ForgetsToSayAsync:
    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    async def __call__(self, request: LLMRequest) -> LLMResponse:
        return await self.get_response(request)


class Neither:
    sync_capable = False
    async_capable = False


def unused(get_response: Any) -> Any:
    raise MiddlewareNotUsed


def breaks(get_response: Any) -> Any:
    raise RuntimeError("no licence")


def returns_none(get_response: Any) -> Any:
    return None


def answers_itself(get_response: Any) -> Any:
    return lambda request: LLMResponse(b'{"said": "by the middleware"}')


def asks_for_less(get_response: Any) -> Any:
    return lambda request: get_response(request.replace(payload={**request.payload, "max_tokens": 7}))


NOT_CALLABLE = "text"


class CountTokens:
    """The middleware of README.md, which asks each answer for its tokens."""

    spent = 0

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: LLMRequest) -> LLMResponse:
        response = self.get_response(request)
        CountTokens.spent += response.usage.total_tokens
        return response


TOKENS = f"{__name__}.CountTokens"
