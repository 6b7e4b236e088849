"""Whose answer it is, told by the web request: for Django's own ``MIDDLEWARE``, not for the LLM pipeline's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model
from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import LazyObject, empty

from django_llmcache.policies import asker

_served: ContextVar[HttpRequest | None] = ContextVar("llmcache_served", default=None)
web_request = _served.get
"""Return the web request that is being served, ``None`` outside of one: for a ``SCOPE`` of one's own."""


class RequestScopeMiddleware:
    """Keep apart what LLM calls answer while different users, sites or tenants are served.

    Name it in ``MIDDLEWARE`` behind those that find out who asks: Django's ``AuthenticationMiddleware``,
    ``CurrentSiteMiddleware``, a tenant's. The scope is ``tenant:…/site:…/user:…``, of these what the request has; who
    is logged in and none of the site's user model has another name than ``user``. A request that has none of them, such
    as an anonymous visitor's, gets shared answers, or with ``REQUIRE_SCOPE`` none from the cache. A
    ``policy(scope=…)`` or a call's own ``scope=…`` goes before it. Subclass it for another scope.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        else:
            own = getattr(self, "process_view", None)  # of a subclass
            self.process_view = partial(_before_view, async_to_sync(own) if iscoroutinefunction(own) else own)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Return the response, or an awaitable of it where the view is served asynchronously."""
        if self._is_async:
            return self._acall(request)
        with self._asking_for(request):
            response: HttpResponseBase = self.get_response(request)
        if getattr(response, "is_async", False):  # streamed on a loop of its own
            _find_out(request)
        return self._streamed(request, response)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        await _afind_out(request)  # now: a look-up in the cache can't wait for a database
        with self._asking_for(request):
            response: HttpResponseBase = await self.get_response(request)
        return self._streamed(request, response)

    def scope_of(self, request: HttpRequest) -> str | None:
        """Return whose answers a web request gets; ``None`` for shared ones. Asked at each LLM call.

        Args:
            request: what is served.

        Raises:
            LookupError: one of these has no primary key, and can't be told from others like it.
        """
        tenant, site, user = getattr(request, "tenant", None), getattr(request, "site", None), user_of(request)
        parts = []
        if tenant is not None:
            parts.append(f"tenant:{_quoted(getattr(tenant, 'schema_name', None) or _identity(tenant))}")
        if site is not None:
            parts.append(f"site:{_quoted(_identity(site))}")
        if user is not None and user.is_authenticated:
            parts.append(f"{_quoted(_kind_of(user))}:{_quoted(_identity(user))}")
        return "/".join(parts) or None

    @contextmanager
    def _asking_for(self, request: HttpRequest) -> Iterator[None]:
        served, ask = _served.set(request), asker.set(partial(self.scope_of, request))
        try:
            yield
        finally:
            asker.reset(ask)
            _served.reset(served)

    def _streamed(self, request: HttpRequest, response: Any) -> HttpResponseBase:
        """Return the response; one that is made while it is sent, long after this, is made for the same user."""
        if getattr(response, "streaming", False) and getattr(response, "file_to_stream", None) is None:
            each = self._aeach if response.is_async else self._each
            response.streaming_content = each(request, response.streaming_content)
        return response  # type: ignore[no-any-return]

    def _each(self, request: HttpRequest, content: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            with self._asking_for(request):
                try:
                    piece = next(content)
                except StopIteration:
                    return
            yield piece

    async def _aeach(self, request: HttpRequest, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            with self._asking_for(request):
                try:
                    piece = await anext(content)
                except StopAsyncIteration:
                    return
            yield piece


def user_of(request: HttpRequest) -> Any:
    """Return the user of a web request, ``None`` where nobody has found out."""
    return getattr(request, "user", None)


def _before_view(own: Callable[..., Any] | None, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
    """Find out who asks before an async view runs on a loop of its own, as under WSGI. For a sync one its calls do.

    Args:
        own: what a subclass does before a view.
        request: what is served.
        view: what answers it.
        args: of the view.
        kwargs: of the view.
    """
    if iscoroutinefunction(view):
        _find_out(request)
    return own(request, view, args, kwargs) if own is not None else None


def _find_out(request: HttpRequest) -> None:
    """Find out who the user is, in sync code: whoever set ``request.user`` may ask a database when it is first read."""
    if _is_unknown(user := user_of(request)):
        _read(user)


async def _afind_out(request: HttpRequest) -> None:
    """Find out who the user is, in a thread: who asks a database may not do so on a loop."""
    if _is_unknown(user := user_of(request)):
        await sync_to_async(_read)(user)


def _is_unknown(user: Any) -> bool:
    return isinstance(user, LazyObject) and user._wrapped is empty


def _read(user: Any) -> None:
    """Read the user for the first time. What fails fails again where a call needs to know, and is told there."""
    with suppress(Exception):
        _ = user.is_authenticated


def _kind_of(user: Any) -> str:
    """Return what tells a user from one of another class with the same primary key: a customer, a device, a token's.

    It has a dot in it, where it is not ``user``, and so is like no other part of a scope.
    """
    try:
        if isinstance(user, get_user_model()):
            return "user"
    except ImproperlyConfigured:  # a site that has no user model
        pass
    kind = user.__class__  # of what is looked up lazily, that of what was found
    if isinstance(user, Model):
        label: str = kind._meta.concrete_model._meta.label_lower
        return label
    return f"{kind.__module__}.{kind.__qualname__}"


def _quoted(name: Any) -> str:
    """Return a name in which nothing looks like another part of a scope: a primary key may be any text."""
    return str(name).replace("%", "%25").replace("/", "%2F")


def _identity(owner: Any) -> Any:
    if owner.pk is None:
        raise LookupError(f"{type(owner).__name__} has no primary key: nothing tells it from another.")
    return owner.pk
