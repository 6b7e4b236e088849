"""The middleware that makes the cache: it asks the strategy before the provider is asked."""

from __future__ import annotations

from collections.abc import Awaitable

from django_llmcache import strategies
from django_llmcache.messages import LLMRequest, LLMResponse

from .base import BaseMiddleware


class CacheMiddleware(BaseMiddleware):
    """Answer from the response cache where the strategy says so."""

    def __call__(self, request: LLMRequest) -> LLMResponse | Awaitable[LLMResponse]:
        strategy = strategies.current()
        if self._is_async:
            return strategy.awith_cache(request, self.get_response)
        return strategy.with_cache(request, self.get_response)
