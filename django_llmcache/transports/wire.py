"""What goes over the wire and what comes back, whatever the HTTP library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from django_llmcache.credentials import shown

KEPT: Final = (
    "content-type", "retry-after", "retry-after-ms", "openai-version", "openai-processing-ms", "x-llmcache",
    "x-ratelimit-", "anthropic-ratelimit-", "x-request-id", "request-id", "x-should-retry",
    "location",
)  # fmt: skip
"""How the names of such headers begin."""


class WireRequest(NamedTuple):
    """One POST, ready to send."""

    provider: str
    url: str
    headers: dict[str, str]
    body: bytes
    timeout: float | None
    """Seconds to wait for a connection, and for each piece of the answer."""

    def __repr__(self) -> str:
        """Leave the headers out, which have the credential, and the body, which has the conversation."""
        return f"<WireRequest {self.provider} {shown(self.url)}>"


class WireAnswer(NamedTuple):
    """One whole HTTP answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        """Leave out what may echo the credential, and the answer."""
        return f"<WireAnswer HTTP {self.status}, {len(self.body)} bytes>"


class WireStream(Protocol):
    """One HTTP answer whose body is still coming."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def pieces(self) -> Iterator[bytes]:
        """Yield the body's bytes as they arrive."""
        ...

    def close(self) -> None:
        """Give the connection back, or cut it where the body has not ended."""
        ...


class AsyncWireStream(Protocol):
    """The same on an event loop."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they arrive."""
        ...

    async def close(self) -> None:
        """Give the connection back, or cut it where the body has not ended."""
        ...


def kept(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the headers of an answer that its reader may want; no cookie."""
    return tuple((name, value) for name, value in headers if name.lower().startswith(KEPT))
