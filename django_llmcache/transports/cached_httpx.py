"""The response cache under ``httpx2`` and ``httpx``: ordinary clients whose LLM calls go through the pipeline.

A subclass that overrides the public ``send``, not a transport: a client that is given a transport drops the proxies of
the environment, and its mounts, limits and TLS settings are the transport's alone.
"""

from __future__ import annotations

import time
from datetime import timedelta
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from django_llmcache.control import HEADER
from django_llmcache.exceptions import ConfigurationError

from .httpx_auth import aauthenticated, authenticated
from .httpx_messages import reader_of
from .sending import AsyncSending, Sending, aanswered, answered

if TYPE_CHECKING:
    import httpx
    import httpx2

LIBRARIES: Final = ("httpx2", "httpx")
_CONNECTIONS: Final = {"max_connections": 1000, "max_keepalive_connections": 100}
"""What the SDKs of OpenAI and Anthropic give the clients that they make for themselves."""


@overload
def cached_client(*, library: Literal["httpx2"] = ..., **options: Any) -> httpx2.Client: ...
@overload
def cached_client(*, library: Literal["httpx"], **options: Any) -> httpx.Client: ...
def cached_client(*, library: str = "httpx2", **options: Any) -> Any:
    """Return a client whose LLM calls are answered from the response cache where they may.

    Give it to an SDK, ``OpenAI(http_client=cached_client())``, or use it as any other. A call that is none passes
    untouched, and so does a stream of events. A hit has the headers ``x-llmcache``, ``x-llmcache-age`` (seconds) and
    ``x-llmcache-id``; it calls the client's event hooks as a live call does.

    Args:
        library: ``"httpx2"``, or ``"httpx"`` for SDKs that are still on it.
        options: of the library's ``Client``. Not said, up to 1000 connections and redirects that are followed, as
            in the clients that the SDKs make for themselves.

    Raises:
        ImportError: the library is not installed; the message names what to install.
        ConfigurationError: ``library`` is another word.
    """
    module = _library(library)
    return _client_class(module, module.Client)(**_with_defaults(module, options))


@overload
def cached_async_client(*, library: Literal["httpx2"] = ..., **options: Any) -> httpx2.AsyncClient: ...
@overload
def cached_async_client(*, library: Literal["httpx"], **options: Any) -> httpx.AsyncClient: ...
def cached_async_client(*, library: str = "httpx2", **options: Any) -> Any:
    """Return what ``cached_client`` does for an event loop, which a hit never leaves."""
    module = _library(library)
    return _async_client_class(module, module.AsyncClient)(**_with_defaults(module, options))


class Cached:
    """What every cached client is, whichever library it is of."""

    def _send_single_request(self, request: Any) -> Any:
        """Take out what an event hook or authentication has put in since the look-up: nothing public is as late."""
        request.headers.pop(HEADER, None)
        return super()._send_single_request(request)  # type: ignore[misc] # of a client


def class_for(client: Any) -> tuple[type, bool]:
    """Return the class of cached clients that do what a client's own class does, and whether it is an async one.

    Raises:
        TypeError: it is no client of ``httpx2`` or ``httpx``.
    """
    own: Any = type(client)
    for name in LIBRARIES:
        module = _installed(name)
        if module is not None and isinstance(client, module.Client):
            return _client_class(module, own), False
        if module is not None and isinstance(client, module.AsyncClient):
            return _async_client_class(module, own), True
    raise TypeError(f"{own.__name__} is no client of httpx2 or httpx.")


def send(
    library: ModuleType, original: Any, client: Any, request: Any, options: dict[str, Any], *, by_chance: bool = True
) -> Any:
    """Answer a request of a client's from the cache where it may, else by ``original``.

    Args:
        library: ``httpx2`` or ``httpx``.
        original: what sends it: ``send`` of a client.
        client: whose event hooks a stored answer calls.
        request: what is sent.
        options: the other arguments of ``send``.
        by_chance: as ``Sending`` takes it.
    """
    if client.is_closed:
        return original(request, **options)  # which says so
    _complete(request, client)
    started, reader = time.perf_counter(), reader_of(library)
    sending = Sending(reader, original, request, options, by_chance=by_chance, client=client)

    def hooked(response: Any) -> Any:
        response.elapsed = timedelta(seconds=time.perf_counter() - started)
        hooks, auth = client.event_hooks["request"], reader.auth_of(client, options)
        if hooks or auth is not None:
            seen = reader.copied(response.request)
            if auth is not None and (seen := authenticated(auth, seen, original)) is None:
                return None
            response.request = seen
            for hook in hooks:
                hook(seen)
            if not sending.is_as_asked(seen):
                return None
        for hook in client.event_hooks["response"]:
            hook(response)
        return response

    return answered(sending, hooked)


async def asend(
    library: ModuleType, original: Any, client: Any, request: Any, options: dict[str, Any], *, by_chance: bool = True
) -> Any:
    """Do what ``send`` does for an async client."""
    if client.is_closed:
        return await original(request, **options)  # which says so
    _complete(request, client)
    started, reader = time.perf_counter(), reader_of(library)
    sending = AsyncSending(reader, original, request, options, by_chance=by_chance, client=client)

    async def hooked(response: Any) -> Any:
        response.elapsed = timedelta(seconds=time.perf_counter() - started)
        hooks, auth = client.event_hooks["request"], reader.auth_of(client, options)
        if hooks or auth is not None:
            seen = reader.copied(response.request)
            if auth is not None and (seen := await aauthenticated(auth, seen, original)) is None:
                return None
            response.request = seen
            for hook in hooks:
                await hook(seen)
            if not sending.is_as_asked(seen):
                return None
        for hook in client.event_hooks["response"]:
            await hook(response)
        return response

    return await aanswered(sending, hooked)


def _complete(request: Any, client: Any) -> None:
    """Let a request that says no time-out have the client's, as ``send`` of the library does."""
    if "timeout" not in request.extensions:
        request.extensions = {**request.extensions, "timeout": client.timeout.as_dict()}


@cache
def _client_class(library: ModuleType, kind: Any) -> Any:
    class CachedClient(Cached, kind):  # type: ignore[misc] # of whichever library
        """A client that answers LLM calls from the response cache where it may."""

        def send(self, request: Any, **options: Any) -> Any:
            return send(library, super().send, self, request, options)

    return CachedClient


@cache
def _async_client_class(library: ModuleType, kind: Any) -> Any:
    class CachedAsyncClient(Cached, kind):  # type: ignore[misc] # of whichever library
        """An async client that answers LLM calls from the response cache where it may."""

        async def send(self, request: Any, **options: Any) -> Any:
            return await asend(library, super().send, self, request, options)

    return CachedAsyncClient


def _with_defaults(library: ModuleType, options: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"follow_redirects": True}
    if "limits" not in options:
        defaults["limits"] = library.Limits(**_CONNECTIONS)
    return defaults | options


def _installed(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


def _library(name: str) -> ModuleType:
    if name not in LIBRARIES:
        raise ConfigurationError(f"library is {name!r}; give one of {', '.join(map(repr, LIBRARIES))}.")
    module = _installed(name)
    if module is not None:
        return module
    other = "" if name == "httpx" else " For an SDK that is still on httpx, say library='httpx'."
    install = "pip install 'django-llmcache[httpx]'" if name == "httpx2" else "pip install httpx"
    raise ImportError(f"A cached client is one of {name}, which is not installed: {install}.{other}")
