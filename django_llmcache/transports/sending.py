"""Put the pipeline around what an HTTP client of the user's own sends, whichever library it is of."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Final

from django_llmcache import pipeline
from django_llmcache.control import HEADER, policy_of
from django_llmcache.credentials import account_of
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.headers import joined
from django_llmcache.messages import LLMRequest, LLMResponse
from django_llmcache.policies import NOTHING_SAID
from django_llmcache.providers.traffic import request_of
from django_llmcache.sharing import Who
from django_llmcache.upstream import Upstream, under_way

from . import told_errors
from .answers import CarriedAnswer, echoes, is_events
from .library import AsyncLibrary, Library
from .wanted import as_wanted

logger = logging.getLogger("django_llmcache")

_CONTROL: Final = frozenset({HEADER.encode()})
_FRAMING: Final = frozenset({b"content-length", b"host"})


class Sending:
    """One request of an HTTP library on its way through the pipeline: what the pipeline's innermost call sends.

    Args:
        library: how its requests and responses are read and made.
        send: what the library would have done: takes the request, and the options.
        http: the library's request.
        options: the other arguments of ``send``.
        by_chance: whether a common port of this machine is a provider's though the settings don't say so.
        client: whose ``send`` it is.
    """

    __slots__ = ("_asked", "_by_chance", "_client", "_http", "_library", "_options", "_send")

    def __init__(
        self,
        library: Library,
        send: Callable[..., Any],
        http: Any,
        options: dict[str, Any],
        *,
        by_chance: bool,
        client: Any = None,
    ) -> None:
        self._library = library
        self._client = client
        self._send = send
        self._http = http
        self._options = options
        self._by_chance = by_chance
        self._asked: LLMRequest | None = None

    def request(self) -> LLMRequest | None:
        """Return what is asked, ``None`` where it is no LLM call, or one that is inside another already."""
        method, url, headers, body = self._library.outgoing(self._http)
        control = joined(headers, _CONTROL).get(HEADER)
        if control is not None:
            self._http = self._library.without_control(self._http)
        if body is None or under_way.get():
            return None
        policy = NOTHING_SAID if control is None else policy_of(control)
        try:
            self._asked = request_of(method, url, headers, body, policy=policy, target=self, by_chance=self._by_chance)
        except ConfigurationError as error:
            if self._by_chance:  # a client that was made to be cached
                raise
            _warn(str(error))
        return self._asked

    @property
    def timeout(self) -> float | None:
        """Return the seconds that the caller waits for an answer to begin, ``None`` where it doesn't say."""
        return self._library.timeout_of(self._http, self._options)

    @property
    def who(self) -> Who:
        """Return who asks, as far as a failure may be theirs alone."""
        _, url, headers, _ = self._library.outgoing(self._http)
        ways = self._library.ways_of(self._client, self._http, self._options)
        return Who(self._library, account_of(joined(headers), url), ways)

    @property
    def _is_streamed(self) -> bool:
        """Return whether the caller reads the answer itself, whatever the provider makes of it."""
        return bool(self._options.get("stream"))

    def untouched(self) -> Any:
        """Send it as it would have been sent without us."""
        return self._send(self._http, **self._options)

    def send(self, request: LLMRequest) -> LLMResponse:
        """Return the provider's answer, with the library's own response in it."""
        wanted = self._as_wanted(request)
        asked = self._snapshot(wanted, request)
        try:
            response = self._send(wanted, **self._options)
        except Exception as error:
            if (failed := vars(error).get("response")) is not None:  # no property, which may be of anybody's making
                self._library.settle(failed)
            raise
        if (stream := self._stream_of(request, response)) is not None:
            return stream
        body = self._library.read(response, streamed=self._is_streamed)
        return self._whole(response, body, wanted, changed=self._was_changed(response, request, asked))

    def told(self, error: BaseException, *, alike: bool) -> BaseException | None:
        """Return an error like the one in which another's call has ended; ``None`` where this caller asks itself."""
        return told_errors.told(error, self._library, self._http, alike=alike)

    def response(self, answer: LLMResponse) -> Any:
        """Return what the library's caller gets of an answer."""
        if isinstance(answer, CarriedAnswer):
            return answer.carried
        return self._library.built(answer, self._http, self._options)

    def _stream_of(self, request: LLMRequest, response: Any) -> CarriedAnswer | None:
        """Return an answer that its caller reads as it arrives; ``None`` for one that may be read here."""
        status, headers = self._library.head_of(response)
        kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        if request.stream or (self._is_streamed and is_events(kind)):
            return CarriedAnswer(response, b"", status=status, headers=headers, reason="streaming")
        return None

    def is_as_asked(self, http: Any) -> bool:
        """Return whether a request, which hooks of the client have seen, still asks what was looked up."""
        asked = self._asked
        return asked is None or self._snapshot(http, asked) == self._snapshot(self._http, asked)

    def _snapshot(self, http: Any, request: LLMRequest) -> tuple[Any, ...]:
        """Return all of a request that counts. Hooks and authentication change it where it lies."""
        method, url, headers, body = self._library.outgoing(http)
        return method, url, body, joined(headers, request._endpoint.rules._raw_headers | _FRAMING)

    def _was_changed(self, response: Any, request: LLMRequest, asked: tuple[Any, ...]) -> bool:
        return self._snapshot(self._library.answered_by(response), request) != asked

    def _whole(self, response: Any, body: bytes, wanted: Any, *, changed: bool) -> CarriedAnswer:
        status, headers = self._library.head_of(response)
        _, url, sent, _ = self._library.outgoing(wanted)
        reason = "secret" if echoes(sent, url, body) else "changed" if changed else None
        return CarriedAnswer(response, body, status=status, headers=headers, reason=reason)

    def _as_wanted(self, request: LLMRequest) -> Any:
        """Return the library's request: as it came, or as a middleware has changed it."""
        return self._http if self._asked is None else as_wanted(self._library, self._http, self._asked, request)


class AsyncSending(Sending):
    """The same on an event loop: ``send`` gives an awaitable."""

    __slots__ = ()

    _library: AsyncLibrary

    async def asend(self, request: LLMRequest) -> LLMResponse:
        """Return the provider's answer, with the library's own response in it."""
        wanted = self._as_wanted(request)
        asked = self._snapshot(wanted, request)
        response = await self._send(wanted, **self._options)
        if (stream := self._stream_of(request, response)) is not None:
            return stream
        body = await self._library.aread(response, streamed=self._is_streamed)
        return self._whole(response, body, wanted, changed=self._was_changed(response, request, asked))


def answered(sending: Sending, hook: Callable[[Any], Any]) -> Any:
    """Return the library's response: from the cache where it may.

    Args:
        sending: what is to be sent.
        hook: called with a response that no connection brought; returns what becomes of it, ``None`` where it can't
            be: then the request is sent.
    """
    request = sending.request()
    if request is None:
        return sending.untouched()
    answer = pipeline.handler()(request)
    response = sending.response(answer)
    if isinstance(answer, CarriedAnswer):
        return response
    hooked = hook(response)
    if hooked is not None:
        return hooked
    with Upstream():  # as any call that leaves: under INSTRUMENT, a cached client would look it up again
        return sending.untouched()


async def aanswered(sending: AsyncSending, hook: Callable[[Any], Awaitable[Any]]) -> Any:
    """Do what ``answered`` does on an event loop; a hit never leaves it."""
    request = sending.request()
    if request is None:
        return await sending.untouched()
    answer = await pipeline.ahandler()(request)
    response = sending.response(answer)
    if isinstance(answer, CarriedAnswer):
        return response
    hooked = await hook(response)
    if hooked is not None:
        return hooked
    with Upstream():
        return await sending.untouched()


@cache
def _warn(problem: str) -> None:
    """Log once what is wrong with the settings: what the project sends elsewhere must not fail for it."""
    logger.warning("Nothing is cached under the ordinary clients (INSTRUMENT): %s", problem)
