"""Whether a call failed because the provider is away, and not because of what was asked."""

from __future__ import annotations

from typing import Any, Final

from .exceptions import ConfigurationError, InvalidAnswerError, ProviderConnectionError, ProviderError

_SIGNS: Final = ("Connect", "Timeout", "TransportError", "ProtocolError")
"""Parts of the names that HTTP libraries and SDKs give to errors of a connection, whatever they derive from."""


def is_outage(error: BaseException) -> bool:
    """Return whether an error says that the provider is overloaded, failing or not to be had: 429, 5xx, no answer.

    Args:
        error: ours, or that of whatever client a call was made with; SDKs have the status in ``status_code``.
    """
    if isinstance(error, ConfigurationError):
        return False
    if isinstance(error, ProviderError) and error.status is None:
        return isinstance(error, ProviderConnectionError | InvalidAnswerError)
    status: Any = getattr(error, "status_code", getattr(error, "status", None))
    if isinstance(status, int):
        return is_outage_status(status)
    return isinstance(error, ConnectionError | TimeoutError) or any(
        sign in kind.__name__ for kind in type(error).__mro__ for sign in _SIGNS
    )


def is_outage_status(status: int) -> bool:
    """Return whether an HTTP status says so."""
    return status == 429 or status >= 500
