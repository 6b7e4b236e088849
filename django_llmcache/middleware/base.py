"""What the package's own middleware share: one class for a sync and an async pipeline."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from django_llmcache.messages import LLMRequest, LLMResponse


class BaseMiddleware:
    """Wrap ``get_response``, sync or async as it is. Subclasses write ``handle`` and ``ahandle``."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: LLMRequest) -> LLMResponse | Awaitable[LLMResponse]:
        """Return the answer, or an awaitable of it where the pipeline is async."""
        return self.ahandle(request) if self._is_async else self.handle(request)

    def handle(self, request: LLMRequest) -> LLMResponse:
        """Return the answer."""
        raise NotImplementedError

    async def ahandle(self, request: LLMRequest) -> LLMResponse:
        """Return the answer on the event loop."""
        raise NotImplementedError
