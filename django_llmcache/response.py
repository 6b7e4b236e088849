"""The answer that comes back: an immutable value, cheap to make, read when asked."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable, Mapping
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any, Final

import orjson

from . import bodies
from .bodies import JSON, ToolCall, Usage, text_of
from .cacheinfo import CacheInfo
from .exceptions import InvalidAnswerError
from .headers import Headers
from .parsing import exactly, parsed, written

if TYPE_CHECKING:
    from .entry import Entry

_new: Final = object.__new__
_NOT_PARSED: Final = object()
_LASTING: Final = frozenset({"content-type", "openai-model", "openai-version"})


class LLMResponse:
    """One answer: status, a few headers and the body's bytes exactly as the provider sent them. Immutable.

    Everything else is read from the body when asked for, whatever the provider's dialect. Where that is no JSON, its
    content (``data``, ``text``, ``tool_calls``, ``embeddings``) is an InvalidAnswerError, and what stands beside it is
    empty. Parsed values belong to this object alone: changing them changes no other answer.

    Args:
        body: the provider's bytes.
        status: HTTP status.
        headers: pairs of name and value.

    Raises:
        TypeError: the body is not bytes.
    """

    __slots__ = ("_backend", "_body", "_data", "_entry", "_exact", "_headers", "_key", "_reason", "_result", "_status")

    def __init__(
        self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    ) -> None:
        if not isinstance(body, bytes | bytearray | memoryview):
            raise TypeError(f"body is a {type(body).__name__}; give the provider's answer as bytes.")
        self._body = bytes(body)
        self._status = status
        self._headers = tuple(headers.items() if isinstance(headers, Mapping) else headers)
        self._data: Any = _NOT_PARSED
        self._entry: Entry | None = None
        self._result = "bypass"
        self._key: str | None = None
        self._reason: str | None = None
        self._backend: str | None = None

    @staticmethod
    def from_entry(entry: Entry, key: str, backend: str | None = None, result: str = "hit") -> LLMResponse:
        """Return the stored answer as a caller's own object."""
        self = _new(LLMResponse)
        self._body = entry.body
        self._status = entry.status
        self._headers = entry.headers
        self._data = _NOT_PARSED
        self._entry = entry
        self._result = result
        self._key = key
        self._reason = None
        self._backend = backend
        return self

    def marked(
        self,
        result: str,
        *,
        key: str | None = None,
        reason: str | None = None,
        entry: Entry | None = None,
        backend: str | None = None,
    ) -> LLMResponse:
        """Return a copy that tells another story of where it came from; the bytes are shared."""
        other = LLMResponse(self._body, status=self._status, headers=self._headers)
        other._entry, other._result, other._key = entry, result, key
        other._reason, other._backend = reason, backend
        return other

    @property
    def body(self) -> bytes:
        """Return the provider's bytes."""
        return self._body

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return self._status

    @property
    def headers(self) -> Headers:
        """Return the response headers that were kept."""
        return Headers(self._headers)

    @property
    def lasting_headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that are as true of a stored answer: no request id, no rate limit, no cookie."""
        return tuple((name, value) for name, value in self._headers if name.lower() in _LASTING)

    @property
    def data(self) -> JSON:
        """Return the parsed body.

        Raises:
            InvalidAnswerError: the body is not JSON.
        """
        data = self._loose()
        if getattr(self, "_exact", None) is not data:  # a text needs no such look, nor does a hit that reads it
            data = self._data = self._exact = exactly(data, self._body)
        return data

    def _loose(self) -> JSON:
        return self._parsed() if self._data is _NOT_PARSED else self._data

    def _beside(self) -> JSON:
        """Return the parsed body for what stands beside the answer, which what is no JSON simply does not have."""
        try:
            return self._loose()
        except InvalidAnswerError:
            return None

    def _parsed(self) -> JSON:
        try:
            data = orjson.loads(self._body)
        except orjson.JSONDecodeError:
            data = self._leniently_parsed()
        self._data = data
        return data

    def _leniently_parsed(self) -> JSON:
        try:
            return parsed(self._body)
        except ValueError as error:
            start = self._body[:60].decode("utf-8", "replace")
            raise InvalidAnswerError(
                f"The answer (HTTP {self._status}) is not JSON: {error}. It starts with {start!r}.",
                provider="",
                status=self._status,
                body=self._body,
            ) from None

    @property
    def text(self) -> str:
        """Return the answer's text."""
        data = self._data
        if data is _NOT_PARSED:
            try:  # as _parsed does, without the call: nearly every answer is read so
                data = self._data = orjson.loads(self._body)
            except orjson.JSONDecodeError:
                data = self._parsed()
        return text_of(data)

    @property
    def usage(self) -> Usage:
        """Return the tokens the provider counted for this answer, as served (a hit does not spend them anew).

        Zeros where it says nothing, as in an error that is a page of HTML.
        """
        return bodies.usage_of(self._beside())

    @property
    def finish_reason(self) -> str | None:
        """Return the provider's own word for why the answer ended."""
        return bodies.finish_reason_of(self._beside())

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return the client-side tool calls that the answer asks for."""
        return bodies.tool_calls_of(self.data)

    @property
    def embeddings(self) -> tuple[list[float], ...]:
        """Return the vectors of an embeddings answer, in the order of the inputs."""
        return bodies.embeddings_of(self._loose())

    @property
    def refused(self) -> bool:
        """Return whether the model said in so many words that it refuses."""
        return bodies.refusal_of(self._beside())

    @property
    def model(self) -> str | None:
        """Return the model that answered, as the provider names it."""
        return bodies.model_of(self._beside())

    @property
    def from_cache(self) -> bool:
        """Return whether the provider was spared."""
        return self._result in ("hit", "stale", "replay")

    @property
    def cache(self) -> CacheInfo:
        """Return where the answer came from."""
        entry = self._entry
        if entry is None:
            return CacheInfo(self._result, key=self._key, reason=self._reason)
        age = max(0.0, time.time() - entry.created) if self.from_cache else 0.0
        return CacheInfo(
            self._result,
            key=self._key,
            age=age,
            ttl=entry.ttl,
            stored_at=entry.created,
            backend=self._backend,
            reason=self._reason,
        )

    def __getstate__(self) -> tuple[Any, ...]:
        """Return what copies and pickles are made from; each parses the body for itself."""
        return tuple(getattr(self, name) for name in _STATE)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(_STATE, state, strict=True):
            setattr(self, name, value)
        self._data = _NOT_PARSED

    def __repr__(self) -> str:
        return f"<LLMResponse {self._status} {self._result} {len(self._body)} bytes>"


_STATE: Final = tuple(name for name in LLMResponse.__slots__ if name not in ("_data", "_exact"))


def awaitable(given: Any) -> Awaitable[Any]:
    """Return what an async ``call`` gave before it is awaited.

    Raises:
        TypeError: it is a plain function, which has answered already.
    """
    if not isawaitable(given):
        raise TypeError("call() is no async function: use `cache.with_cache(request, call)`, or make it one.")
    return given


def as_response(answer: Any) -> LLMResponse:
    """Return what a ``call`` gave as an LLMResponse.

    Raises:
        TypeError: it is neither an LLMResponse nor bytes nor a JSON mapping.
    """
    if isinstance(answer, LLMResponse):
        return answer
    if isinstance(answer, bytes | bytearray | memoryview):
        return LLMResponse(bytes(answer))
    if isinstance(answer, Mapping):
        return LLMResponse(written(dict(answer)), headers=(("content-type", "application/json"),))
    if iscoroutine(answer):
        answer.close()
        raise TypeError("call() is an async function: use `await cache.awith_cache(request, call)`.")
    raise TypeError(f"call() returned a {type(answer).__name__}; return an LLMResponse, bytes or a JSON mapping.")
