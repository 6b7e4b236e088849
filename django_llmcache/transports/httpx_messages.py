"""How the requests and responses of ``httpx2`` and ``httpx`` are read, and made."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import cache
from types import ModuleType
from typing import Any

from django_llmcache.control import HEADER
from django_llmcache.headers import RawHeaders
from django_llmcache.messages import LLMResponse

from .answers import headers_of


class HTTPXMessages:
    """How the pipeline reads and makes what one of the two libraries sends and gets."""

    failed = "_request"  # ``request`` raises where there is none

    def __init__(self, library: ModuleType) -> None:
        self._library = library
        self.errors = library.HTTPError
        self._with_credential_alone = (library.BasicAuth, library.DigestAuth, library.NetRCAuth)
        self.disconnected: frozenset[type[Exception]] = frozenset({
            library.ConnectError, library.ConnectTimeout, library.ReadError, library.ReadTimeout,
            library.RemoteProtocolError, library.WriteError, library.WriteTimeout,
        })  # fmt: skip

    def outgoing(self, request: Any) -> tuple[str, str, RawHeaders, bytes | None]:
        try:
            body = request.content
        except self._library.RequestNotRead:  # it is sent as it is made; what an SDK asks is whole beforehand
            body = None
        return request.method, str(request.url), request.headers.raw, body

    def without_control(self, request: Any) -> Any:
        return self.copied(request, less=HEADER.encode())

    def copied(self, request: Any, *, less: bytes = b"") -> Any:
        """Return a copy of a request, less the headers of one name."""
        headers = [(name, value) for name, value in request.headers.raw if name.lower() != less]
        try:
            whole = {"content": request.content}
        except self._library.RequestNotRead:
            whole = {"stream": request.stream}
        return self._library.Request(
            request.method, request.url, headers=headers, extensions=dict(request.extensions), **whole
        )

    def ways_of(self, client: Any, request: Any, options: dict[str, Any]) -> Hashable:
        auth, follows = (self._said(client, options, name) for name in ("auth", "follow_redirects"))
        hooks = client.event_hooks
        if hooks["request"] or (auth is not None and type(auth) is not self._library.BasicAuth):
            return object()  # each request may get a credential of its own
        return id(auth), follows, *map(id, hooks["response"])

    def auth_of(self, client: Any, options: dict[str, Any]) -> Any:
        """Return what authenticates a request where it may change more than the credential, else ``None``."""
        auth = self._said(client, options, "auth")
        return None if isinstance(auth, tuple) or type(auth) in self._with_credential_alone else auth

    def _said(self, client: Any, options: dict[str, Any], name: str) -> Any:
        """Return an option of ``send``, or the client's own where that is left to it."""
        said = options.get(name, self._library.USE_CLIENT_DEFAULT)
        return getattr(client, name) if said is self._library.USE_CLIENT_DEFAULT else said

    def answered_by(self, response: Any) -> Any:
        for earlier in reversed(response.history):
            if not earlier.has_redirect_location or earlier.next_request is not None:  # which was not followed
                break
            response = earlier
        return response.request

    def changed(self, request: Any, url: str, headers: Mapping[str, str | None], body: bytes) -> Any:
        less = {b"content-length", b"transfer-encoding", *map(str.encode, headers)}
        kept = [(name, value) for name, value in request.headers.raw if name.lower() not in less]
        kept += [(name.encode(), text.encode("latin-1")) for name, text in headers.items() if text is not None]
        return self._library.Request(request.method, url, headers=kept, content=body, extensions=request.extensions)

    def timeout_of(self, request: Any, options: dict[str, Any]) -> float | None:
        seconds: float | None = request.extensions.get("timeout", {}).get("read")
        return seconds

    def head_of(self, response: Any) -> tuple[int, list[tuple[str, str]]]:
        return response.status_code, response.headers.multi_items()

    def read(self, response: Any, *, streamed: bool) -> bytes:
        if streamed and not response.is_stream_consumed:  # as it is where a hook has read it
            return self._held(response, b"".join(response.iter_raw()))
        body: bytes = response.read()
        return body

    async def aread(self, response: Any, *, streamed: bool) -> bytes:
        if streamed and not response.is_stream_consumed:
            return self._held(response, b"".join([piece async for piece in response.aiter_raw()]))
        body: bytes = await response.aread()
        return body

    def _held(self, response: Any, raw: bytes) -> bytes:
        """Return a body that has been read, decoded; put it back, so that its caller reads it in whatever way."""
        whole = self._library.Response(
            response.status_code, headers=response.headers, content=raw, request=response.request
        )
        body: bytes = whole.content
        if (elapsed := getattr(response.stream, "elapsed", None)) is not None:  # where httpx2 keeps it
            response.elapsed = elapsed
        response.stream = self._library.ByteStream(raw)
        response.is_stream_consumed = response.is_closed = False
        return body

    def settle(self, response: Any) -> None:
        """Do nothing: where a hook raises, the client closes the response, read or not."""

    def built(self, answer: LLMResponse, request: Any, options: dict[str, Any]) -> Any:
        stream = self._library.ByteStream(answer.body)
        response = self._library.Response(answer.status, headers=headers_of(answer), request=request, stream=stream)
        if not options.get("stream"):  # else its caller reads it, in whatever way
            response.read()
        return response


@cache
def reader_of(library: ModuleType) -> HTTPXMessages:
    """Return the reader of ``httpx2`` or ``httpx``."""
    return HTTPXMessages(library)
