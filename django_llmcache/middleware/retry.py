"""Ask again where waiting helps. Belongs below the cache: name it after ``CacheMiddleware`` in ``MIDDLEWARE``.

It is for ``chat()`` and its like. What comes through the client of an SDK passes as it came, an error too: an SDK tries
again by itself, and would do so for each of our attempts.
"""

from __future__ import annotations

import asyncio
import random
import time

from django_llmcache.exceptions import ProviderConnectionError, ProviderError, RateLimitError, ServerError
from django_llmcache.messages import LLMRequest, LLMResponse

from .base import BaseMiddleware


class RetryMiddleware(BaseMiddleware):
    """Ask again for ``chat()`` and its like after 429, 5xx and broken connections, and honour Retry-After.

    Subclass it to change the numbers.

    Attributes:
        attempts: calls in all, the first one included.
        first_wait: seconds before the second call, at most; doubled for each further one.
        longest_wait: seconds; a provider that asks for more gets its error raised at once.
        sleep, asleep: what waits, in a sync and in an async pipeline.
    """

    attempts = 3
    first_wait = 0.5
    longest_wait = 30.0

    def handle(self, request: LLMRequest) -> LLMResponse:
        for attempt in range(1, self.attempts):
            try:
                response: LLMResponse = self.get_response(request)
            except ProviderError as error:
                self.sleep(self.wait_after(error, attempt))
            else:
                return response
        last: LLMResponse = self.get_response(request)
        return last

    async def ahandle(self, request: LLMRequest) -> LLMResponse:
        for attempt in range(1, self.attempts):
            try:
                response: LLMResponse = await self.get_response(request)
            except ProviderError as error:
                await self.asleep(self.wait_after(error, attempt))
            else:
                return response
        last: LLMResponse = await self.get_response(request)
        return last

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(seconds)

    @staticmethod
    async def asleep(seconds: float) -> None:
        await asyncio.sleep(seconds)

    def wait_after(self, error: ProviderError, attempt: int) -> float:
        """Return the seconds to wait after this failure; raise it where another call would not help.

        Without Retry-After: a random part of a wait that doubles ("full jitter", so that callers who failed together
        don't come back together).
        """
        if not _may_pass(error):
            raise error
        wait = error.retry_after
        if wait is None:
            wait = random.uniform(0, min(self.longest_wait, self.first_wait * 2 ** (attempt - 1)))  # noqa: S311
        if wait > self.longest_wait:
            raise error
        return wait


def _may_pass(error: ProviderError) -> bool:
    """Return whether time may heal it; an exhausted quota comes as 429, too, and it does not."""
    if isinstance(error, RateLimitError):
        return b"insufficient_quota" not in error.body
    return isinstance(error, ServerError | ProviderConnectionError)
