"""The middleware that makes the cache: it asks the strategy before the provider is asked."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from django_llmcache import strategies
from django_llmcache.messages import LLMRequest, LLMResponse

from .base import BaseMiddleware


class CacheMiddleware(BaseMiddleware):
    """Answer from the response cache where the strategy says so."""

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        strategy = strategies.current()  # for good: the pipeline is built anew when the settings change
        self._ask: Any = strategy.awith_cache if self._is_async else strategy.with_cache

    def __call__(self, request: LLMRequest) -> LLMResponse | Awaitable[LLMResponse]:
        answer: LLMResponse | Awaitable[LLMResponse] = self._ask(request, self.get_response)
        return answer
