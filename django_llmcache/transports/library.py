"""What an HTTP library is to the pipeline: how its requests are read and changed, and its responses read and made."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

from django_llmcache.headers import RawHeaders
from django_llmcache.messages import LLMResponse


class Library(Protocol):
    """What the pipeline has to know of one HTTP library, whose requests and responses it takes as they are."""

    failed: str
    """The attribute of its errors that has the request, which ``request`` sets."""

    errors: type[Exception]
    """What it raises of a call that failed."""

    disconnected: frozenset[type[Exception]]
    """Those that any client would have got: of the connection, and not of what was sent, a proxy or a pool."""

    def outgoing(self, request: Any) -> tuple[str, str, RawHeaders, bytes | None]:
        """Return the method, the address, the headers and the body; ``None`` for a body that is no bytes yet."""
        ...

    def without_control(self, request: Any) -> Any:
        """Return the request less ``x-llmcache-control``; what the caller holds is left as it was."""
        ...

    def changed(self, request: Any, url: str, headers: Mapping[str, str | None], body: bytes) -> Any:
        """Return the request with another address and body, and with these headers; ``None`` takes one out."""
        ...

    def timeout_of(self, request: Any, options: dict[str, Any]) -> float | None:
        """Return the seconds that the caller waits for an answer to begin, ``None`` where it doesn't say."""
        ...

    def ways_of(self, client: Any, request: Any, options: dict[str, Any]) -> Hashable:
        """Return what of a client has a hand in the answers; equal to nothing where nobody knows what it sends."""
        ...

    def answered_by(self, response: Any) -> Any:
        """Return the request that a response answers: before redirects, and not what authentication asked first."""
        ...

    def head_of(self, response: Any) -> tuple[int, list[tuple[str, str]]]:
        """Return the status and the headers of a response."""
        ...

    def read(self, response: Any, *, streamed: bool) -> bytes:
        """Return the body of a response, decoded; where it is streamed, its caller can read it after us in any way."""
        ...

    def settle(self, response: Any) -> None:
        """Read what is to be read of a response in an error, before others get copies of it."""
        ...

    def built(self, answer: LLMResponse, request: Any, options: dict[str, Any]) -> Any:
        """Return a response of the library's for an answer that no connection brought."""
        ...


class AsyncLibrary(Library, Protocol):
    """The same of a library that has async clients."""

    async def aread(self, response: Any, *, streamed: bool) -> bytes:
        """Do what ``read`` does for the response of an async client."""
        ...
