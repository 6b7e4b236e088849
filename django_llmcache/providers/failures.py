"""Make the error that tells of a failed answer, less the credential where the provider echoed it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import orjson

from django_llmcache.exceptions import InvalidAnswerError, ProviderError, provider_error_class
from django_llmcache.transports.wire import WireAnswer, shown

from .base import Provider

SHORTEST: Final = 8
"""Characters from which a credential in an answer is one, and not a word by chance."""

REDACTED: Final = "[redacted]"
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
        key: the credential sent; it appears in no error.
        base_url: where it was asked.
    """

    __slots__ = ("_base_url", "_key", "provider")

    def __init__(self, provider: Provider, key: str | None, base_url: str) -> None:
        self.provider = provider
        self._base_url = shown(base_url)
        self._key = key

    def of(self, answer: WireAnswer) -> ProviderError:
        """Return the error for an answer that says what is wrong."""
        body = self._redacted(answer.body)
        status = _meant_status(answer.status, answer.body)
        error_class = provider_error_class(status) if status >= 300 else InvalidAnswerError
        said = self._hidden(self.provider.error_message(body)) or "no reason given"
        headers = self._headers_of(answer)
        moved = f" It has moved to {headers['location']}: set BASE_URL." if "location" in headers else ""
        lost = f" (BASE_URL is {self._base_url}: is it right, and the model's name?)" if answer.status == 404 else ""
        return self._made(error_class, f"answered HTTP {answer.status}: {said}{moved}{lost}", answer, body, status)

    def is_echoed_in(self, body: bytes) -> bool:
        """Return whether an answer has the credential in it."""
        return self._key is not None and len(self._key) >= SHORTEST and self._key.encode("utf-8", "replace") in body

    def not_json(self, answer: WireAnswer) -> ProviderError:
        """Return the error for an answer that is not what the API promises, such as an HTML page."""
        body = self._redacted(answer.body)
        start = body[:60].decode("utf-8", "replace")
        message = (
            f"answered HTTP {answer.status} with something that is not JSON, beginning {start!r}. "
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
        return {name.lower(): self._hidden(value) for name, value in answer.headers}

    def _hidden(self, text: str) -> str:
        return text.replace(self._key, REDACTED) if self._key else text

    def _redacted(self, body: bytes) -> bytes:
        if not self._key:
            return body
        for spelling in (self._key, self._key.replace("/", "\\/")):  # as some write it in JSON
            body = body.replace(spelling.encode(), REDACTED.encode())
        return body


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
    if status >= 300:
        return status
    error: Any = orjson.loads(body)["error"]
    if not isinstance(error, dict):
        return status
    code = error.get("code")
    if isinstance(code, int) and 400 <= code <= 599:
        return code
    words = (code, error.get("type"))
    return next((STATUSES[word] for word in words if isinstance(word, str) and word in STATUSES), status)
