"""Tell middleware for web requests from the LLM pipeline's: both are named in a setting called ``MIDDLEWARE``."""

from __future__ import annotations

from typing import Any

from .base import BaseMiddleware
from .scope import RequestScopeMiddleware


def problem_of_place(path: str, factory: Any) -> str | None:
    """Return what is wrong where ``LLMCACHE["MIDDLEWARE"]`` names what serves web requests; ``None`` for all else.

    That is Django's own, which fail each call, and our one for scopes, which would pass all on and keep nobody's
    answers apart. What a project makes of Django's ``MiddlewareMixin`` may serve either.
    """
    of_django = path.startswith(("django.contrib.", "django.middleware."))
    if of_django or (isinstance(factory, type) and issubclass(factory, RequestScopeMiddleware)):
        return (
            f"settings.LLMCACHE['MIDDLEWARE'] has {path!r}, which serves web requests: name it in Django's MIDDLEWARE."
        )
    return None


def serves_llm_calls(factory: Any) -> bool:
    """Return whether a middleware is one of ours for ``LLMCACHE["MIDDLEWARE"]``, or made of one."""
    return isinstance(factory, type) and issubclass(factory, BaseMiddleware)
