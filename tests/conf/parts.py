"""What settings of the check tests name: strategies, backends, middleware, good and bad."""

from __future__ import annotations

from django.utils.deprecation import MiddlewareMixin

from django_llmcache.backends.dummy import DummyBackend
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.middleware.retry import RetryMiddleware
from django_llmcache.middleware.scope import RequestScopeMiddleware
from django_llmcache.strategies import ProductionStrategy

NOT_CALLABLE = 5


class TestsOnlyStrategy(ProductionStrategy):
    """A strategy that says that it is meant for tests."""

    tests_only = True


class SharedBackend(DummyBackend):
    """One that is not in process, and knows one option."""

    def __init__(self, options=None, **settings):
        super().__init__(options, **settings)
        if set(self.options) - {"URL"}:
            raise ConfigurationError(f"settings.LLMCACHE['OPTIONS'] has {', '.join(self.options)}; give URL.")


class TeamScopeMiddleware(RequestScopeMiddleware):
    """One for scopes of the project's own."""


class Hooks(MiddlewareMixin):
    """One as projects have had them since Django 1.10: what it does may be right for either."""


class Patient(RetryMiddleware):
    """One for LLM calls of the project's own."""

    attempts = 5


def public(request):
    """Give every request the same scope."""
    return "public"
