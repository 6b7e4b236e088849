"""One log line for each call, without any content."""

from __future__ import annotations

import logging
import time

from django_llmcache.decisions import key_of
from django_llmcache.exceptions import ProviderError
from django_llmcache.messages import LLMRequest, LLMResponse
from django_llmcache.telemetry import one_line, short

from .base import BaseMiddleware

logger = logging.getLogger("django_llmcache.calls")


class LoggingMiddleware(BaseMiddleware):
    """Log the entry's digest, provider, model, latency and result of each call; never a prompt or an answer.

    Lines go to ``django_llmcache.calls``: INFO, or WARNING where the call failed.
    """

    def handle(self, request: LLMRequest) -> LLMResponse:
        began = time.perf_counter()
        try:
            response: LLMResponse = self.get_response(request)
        except Exception as error:
            _log_failure(request, error, time.perf_counter() - began)
            raise
        _log(request, response, time.perf_counter() - began)
        return response

    async def ahandle(self, request: LLMRequest) -> LLMResponse:
        began = time.perf_counter()
        try:
            response: LLMResponse = await self.get_response(request)
        except Exception as error:
            _log_failure(request, error, time.perf_counter() - began)
            raise
        _log(request, response, time.perf_counter() - began)
        return response


def _log(request: LLMRequest, response: LLMResponse, elapsed: float) -> None:
    if logger.isEnabledFor(logging.INFO):
        info = response.cache
        logger.info(
            "llm %s %s %s %s %.1f ms%s",
            *(short(info.key), request.provider, one_line(request.model), info.status, elapsed * 1000),
            f" ({info.reason})" if info.reason else "",
        )


def _log_failure(request: LLMRequest, error: Exception, elapsed: float) -> None:
    status = error.status if isinstance(error, ProviderError) else None
    logger.warning(
        "llm %s %s %s %s %.1f ms%s",
        *(short(key_of(request)), request.provider, one_line(request.model), type(error).__name__, elapsed * 1000),
        f" (HTTP {status})" if status else "",
    )
