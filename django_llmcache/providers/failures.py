"""Make the error that tells of a failed answer, less the credential where the provider echoed it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from django_llmcache.credentials import Credentials, shown
from django_llmcache.events import error_of
from django_llmcache.exceptions import (
    InvalidAnswerError,
    ProviderConnectionError,
    ProviderError,
    provider_error_class,
)
from django_llmcache.messages import LLMResponse
from django_llmcache.parsing import parsed
from django_llmcache.transports.wire import WireAnswer

from .base import Provider

REQUEST_IDS: Final = ("x-request-id", "request-id", "x-goog-request-id", "cf-ray")
STATUSES: Final[Mapping[str, int]] = {
    "api_error": 500,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
}
"""What a provider's own word for an error means as a status, where it came inside a 200 or a stream."""


class Failure:
    """Makes the errors of one call.

    Args:
        provider: who failed.
        credentials: those sent; they appear in no error.
        base_url: where it was asked.
    """

    __slots__ = ("_base_url", "_credentials", "provider")

    def __init__(self, provider: Provider, credentials: Credentials, base_url: str) -> None:
        self.provider = provider
        self._base_url = shown(base_url)
        self._credentials = credentials

    def of(self, answer: WireAnswer) -> ProviderError:
        """Return the error for an answer that says what is wrong."""
        body = self._credentials.redacted(answer.body)
        status = _meant_status(answer.status, answer.body)
        error_class = provider_error_class(status) if status >= 300 else InvalidAnswerError
        interim = " (an interim answer, which requests takes for the whole)" if answer.status < 200 else ""
        said = self._credentials.hidden(self.provider.error_message(body)) or "no reason given"
        headers = self._headers_of(answer)
        moved = f" It has moved to {shown(headers['location'])}: set BASE_URL." if "location" in headers else ""
        lost = f" (BASE_URL is {self._base_url}: is it right, and the model's name?)" if answer.status == 404 else ""
        message = f"answered HTTP {answer.status}{interim}: {said}{moved}{lost}"
        return self._made(error_class, message, answer, body, status)

    def is_echoed_in(self, response: LLMResponse) -> bool:
        """Return whether an answer has a credential in it with which it was asked for."""
        return self._credentials.are_in(response.body)

    def not_json(self, answer: WireAnswer) -> ProviderError:
        """Return the error for an answer that is not what the API promises, such as an HTML page."""
        return self._unpromised(answer, "something that is not JSON, beginning")

    def no_answer(self, answer: WireAnswer) -> ProviderError:
        """Return the error for JSON that can be no answer, such as ``null``."""
        return self._unpromised(answer, "JSON that is no answer, beginning")

    def no_event(self, answer: WireAnswer) -> ProviderError:
        """Return the error for a stream that was empty."""
        return self._unpromised(answer, "a stream without any event:")

    def cut_short(self, answer: WireAnswer, end: str) -> ProviderError:
        """Return the error for a stream that ended before its end mark."""
        message = f"ended a stream before its end mark, {end}. What came of it is not the whole answer: ask again."
        return self._made(ProviderConnectionError, message, answer, b"", answer.status)

    def _unpromised(self, answer: WireAnswer, what: str) -> ProviderError:
        body = self._credentials.redacted(answer.body)
        start = body[:60].decode("utf-8", "replace")
        message = (
            f"answered HTTP {answer.status} with {what} {start!r}. "
            f"Is BASE_URL ({self._base_url}) the API, and not a web page or a proxy?"
        )
        return self._made(InvalidAnswerError, message, answer, body, answer.status)

    def _made(
        self, error_class: type[ProviderError], message: str, answer: WireAnswer, body: bytes, status: int
    ) -> ProviderError:
        headers = self._headers_of(answer)
        return error_class(
            f"{self.provider.name} {message}",
            provider=self.provider.name,
            status=status,
            body=body,
            request_id=next((headers[name] for name in REQUEST_IDS if name in headers), None),
            retry_after=retry_after(headers),
        )

    def _headers_of(self, answer: WireAnswer) -> dict[str, str]:
        """Return the headers with lower-case names, less the credential."""
        return {name.lower(): self._credentials.hidden(value) for name, value in answer.headers}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the provider asks to wait, or ``None``.

    Args:
        headers: with lower-case names. ``retry-after-ms`` is OpenAI's; ``retry-after`` has seconds or a date
            (RFC 9110, section 10.2.3).
    """
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after", "").strip()
        if not value:
            return None
        wait = float(value) if value[0].isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
        return max(0.0, wait)
    except ValueError:
        return None


def _meant_status(status: int, body: bytes) -> int:
    """Return the status, or the one that the error object names where the answer came as a success."""
    if not 200 <= status < 300:
        return status
    data = parsed(body)
    error: Any = error_of(data) or data
    if not isinstance(error, dict):
        return status
    code = error.get("code")
    if isinstance(code, int) and 400 <= code <= 599:
        return code
    words = (code, error.get("type"))
    return next((STATUSES[word] for word in words if isinstance(word, str) and word in STATUSES), status)
