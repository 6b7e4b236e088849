"""Ask the strategy before the rest of the pipeline is asked."""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from django_llmcache import strategies
from django_llmcache.messages import LLMRequest, LLMResponse


class CacheMiddleware:
    """Answer from the response cache where the strategy says so."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: LLMRequest) -> Any:
        """Return the answer, or an awaitable of it where the pipeline is async."""
        if self._is_async:
            return self._acall(request)
        return strategies.current().with_cache(request, self.get_response)

    async def _acall(self, request: LLMRequest) -> LLMResponse:
        return await strategies.current().awith_cache(request, self.get_response)
