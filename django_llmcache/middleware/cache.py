"""The middleware that makes the cache: it asks the strategy before the provider is asked."""

from __future__ import annotations

from django_llmcache import strategies
from django_llmcache.messages import LLMRequest, LLMResponse

from .base import BaseMiddleware


class CacheMiddleware(BaseMiddleware):
    """Answer from the response cache where the strategy says so."""

    def handle(self, request: LLMRequest) -> LLMResponse:
        return strategies.current().with_cache(request, self.get_response)

    async def ahandle(self, request: LLMRequest) -> LLMResponse:
        return await strategies.current().awith_cache(request, self.get_response)
