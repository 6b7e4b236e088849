"""Every error that django-llmcache raises, grouped by what the reader can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LLMCacheError(Exception):
    """Root of every error of this package."""


class ConfigurationError(LLMCacheError, ValueError):
    """A setting or an argument has a value that cannot work; mend it where the message says it was set."""


class UncacheableRequest(LLMCacheError):  # noqa: N818 - the request is at fault, and the call goes on
    """The request cannot be given a key. It still goes through; ``reason`` is the reason code."""

    def __init__(self, message: str, *, reason: str = "unencodable") -> None:
        super().__init__(message)
        self.reason = reason


class EntryFormatError(LLMCacheError):
    """Stored bytes are damaged, or of another format version. Read as a miss, never shown to a caller."""


class RunDirError(LLMCacheError):
    """The folder that the processes of this machine share can't be used or trusted; the message says the cure."""


class EntryTooLargeError(LLMCacheError):
    """A backend's store takes no value of this size."""


class BackendTimeoutError(LLMCacheError):
    """A backend's store took longer than it may."""


class BackendUnavailableError(LLMCacheError):
    """The backend can't do what is asked: its store failed, or did lately and is not asked for a while.

    Attributes:
        asked: whether it was asked now. What was raised then is the ``__cause__``, where it may be shown.
    """

    def __init__(self, message: str, *, asked: bool = False) -> None:
        super().__init__(message)
        self.asked = asked


class ProviderError(LLMCacheError):
    """The provider did not give a usable answer.

    Attributes:
        provider: registered name, such as ``"openai"``; empty where the body alone was read and nobody said whose.
        status: HTTP status, or ``None`` when no answer arrived.
        body: the answer's bytes as sent, less any credential of ours that it echoed.
        request_id: the provider's own id of the exchange, for its support, or ``None``.
        retry_after: seconds the provider asked to wait, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int | None = None,
        body: bytes = b"",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.status = status
        self.body = body
        self.request_id = request_id
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        """Allow ``copy`` and pickle, which would otherwise call the class without its keywords."""
        return _same_error, (type(self), self.args, dict(self.__dict__))


def _same_error(kind: type[ProviderError], args: tuple[Any, ...], state: Mapping[str, Any]) -> ProviderError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class MissingAPIKeyError(ProviderError, ConfigurationError):
    """No API key for this provider in the call, the settings or the environment; nothing was sent."""


class BadRequestError(ProviderError):
    """The provider refused the request as it is (400, 404, 413, 422 and other 4xx): change the request."""


class AuthenticationError(ProviderError):
    """The provider refused the credential (401, 403): check the API key and its rights."""


class RateLimitError(ProviderError):
    """The provider asks for patience (429): wait ``retry_after`` seconds, or add RetryMiddleware."""


class ServerError(ProviderError):
    """The provider failed (5xx): try again later, or add RetryMiddleware."""


class ProviderConnectionError(ProviderError):
    """No connection, or it broke before the answer was whole."""


class ProviderTimeoutError(ProviderConnectionError):
    """The provider did not answer within the timeout."""


class InvalidAnswerError(ProviderError):
    """The provider answered, but not with what its API promises (such as an HTML page where JSON is due)."""


def provider_error_class(status: int) -> type[ProviderError]:
    """Return the error class that a provider's HTTP status stands for; 4xx and below ask for another request."""
    if status == 429:
        return RateLimitError
    if status in (401, 403):
        return AuthenticationError
    return ServerError if status >= 500 else BadRequestError
