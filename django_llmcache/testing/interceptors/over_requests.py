"""Sees what ``requests`` sends, with ``responses`` as the engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import wraps
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from responses import BaseResponse, RequestsMock
from responses.registries import FirstMatchRegistry
from urllib3 import HTTPConnectionPool, HTTPResponse, Retry
from urllib3.exceptions import MaxRetryError, NewConnectionError, ReadTimeoutError

from django_llmcache.recorder import in_force
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.taping import Taping

from .answering import REFUSED, TIMED_OUT, begin, concerns, is_replayed, spoiled
from .patching import replace, replace_unless_mocked
from .wire import replayed, taped

_ANY: Final = re.compile("")
_POSITIONAL: Final = ("stream", "timeout", "verify", "cert", "proxies")


def install() -> None:
    """Let requests pass by the recorder."""
    replace_unless_mocked(HTTPAdapter, "send", _engine_over)
    replace(requests.sessions, "get_environ_proxies", _proxies_over)
    replace(requests.sessions, "get_netrc_auth", _login_over)


def _proxies_over(real: Callable[..., dict[str, str]]) -> Callable[..., dict[str, str]]:
    """Look for no proxy where nobody connects: that goes through the whole environment, twice for each call."""

    @wraps(real)
    def get_environ_proxies(url: str, *args: Any, **kwargs: Any) -> dict[str, str]:
        return {} if is_replayed(url) else real(url, *args, **kwargs)

    return get_environ_proxies


def _login_over(real: Callable[..., Any]) -> Callable[..., Any]:
    """Look for no login in ``~/.netrc`` where nobody needs one: that asks the disk, and no recording has it."""

    @wraps(real)
    def get_netrc_auth(url: str, *args: Any, **kwargs: Any) -> Any:
        return None if is_replayed(url) else real(url, *args, **kwargs)

    return get_netrc_auth


def _engine_over(real: Any) -> Any:
    return _Engine(assert_all_requests_are_fired=False, registry=_Registry, real_adapter_send=real).unbound_on_send()


class _Engine(RequestsMock):
    """One for the whole run: nothing is ever registered with it, and it keeps no list of calls."""

    def unbound_on_send(self) -> Any:
        real: Any = self._real_send
        on_request: Any = super().unbound_on_send()

        def send(adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
            if in_force.current() is None:
                return real(adapter, request, *args, **kwargs)
            outgoing = _outgoing(request)
            if outgoing is None:
                return real(adapter, request, *args, **kwargs)
            kwargs.update(zip(_POSITIONAL, args, strict=False))
            exchange = begin(outgoing, timeout=_read_timeout(kwargs.get("timeout")))
            if exchange is None:
                return real(adapter, request, **kwargs)
            sending = _Sending(real, adapter, outgoing, kwargs, exchange)
            token = _under_way.set(sending)
            try:
                return on_request(adapter, request, **kwargs)
            except BaseException:
                sending.drain()
                raise
            finally:
                _under_way.reset(token)
                self.calls.reset()

        return send


class _Registry(FirstMatchRegistry):
    """Answers each request from the session: no search, however many fixtures there are."""

    def find(self, request: requests.PreparedRequest) -> tuple[BaseResponse | None, list[str]]:
        return _under_way.get(), []


class _Sending(BaseResponse):
    """One ``send`` of an adapter: one exchange, and another for each time that its ``max_retries`` asks for."""

    def __init__(
        self,
        real: Callable[..., Any],
        adapter: HTTPAdapter,
        outgoing: Outgoing,
        options: dict[str, Any],
        exchange: Replay | Taping,
    ) -> None:
        super().__init__(outgoing.method, _ANY)
        self._real = real
        self._adapter = adapter
        self._outgoing = outgoing
        self._options = options
        self._exchange: Replay | Taping | None = exchange
        self._retries = adapter.max_retries
        self._last: HTTPResponse | None = None
        self._live = False

    def get_response(self, request: requests.PreparedRequest) -> HTTPResponse:
        """Return the answer of an exchange, the first or the next one."""
        if self._last is not None:
            self._retry(self._last)
        answer = self._answer(request)
        while answer is None:
            self._exchange = self._begin()
            answer = self._answer(request)
        self._last = answer
        return answer

    def _answer(self, request: requests.PreparedRequest) -> HTTPResponse | None:
        """Return the answer of this exchange, ``None`` where it failed and is to be tried again."""
        exchange = self._exchange
        self._live = not isinstance(exchange, Replay)
        if exchange is None:
            return self._ask(request)
        if isinstance(exchange, Taping):
            live = self._taped(request, exchange)
            if not exchange.is_spoiled:
                return live
            live.drain_conn()  # a fault is cut from the whole answer
            self._live, exchange = False, spoiled(exchange)
        if exchange.failure is not None:
            self._fail(request, exchange.failure)
            return None
        return replayed(exchange, method=self._outgoing.method, url=self._outgoing.url)

    def _taped(self, request: requests.PreparedRequest, tape: Taping) -> HTTPResponse:
        try:
            with tape.calling():
                live = self._ask(request)
        except Exception as error:
            tape.broke(error)
            raise
        return taped(live, tape, method=self._outgoing.method, url=self._outgoing.url)

    def drain(self) -> None:
        """Read the last answer to its end, so that its connection is free again."""
        if self._last is not None:
            self._last.drain_conn()

    def _ask(self, request: requests.PreparedRequest) -> HTTPResponse:
        live: HTTPResponse = self._real(_without_status_retries(self._adapter), request, **self._options).raw
        return live

    def _begin(self) -> Replay | Taping | None:
        return begin(self._outgoing, timeout=_read_timeout(self._options.get("timeout")))

    def _retry(self, last: HTTPResponse) -> None:
        """Wait as ``urllib3`` would, except after an answer that is a replay."""
        self.drain()
        self._retries = self._retries.increment(self._outgoing.method, self._outgoing.url, response=last)
        if self._live:
            self._retries.sleep(last)
        self._exchange = self._begin()

    def _fail(self, request: requests.PreparedRequest, failure: str) -> None:
        """Raise what the client would of a connection that failed, unless it would have tried again."""
        pool = HTTPConnectionPool(self._outgoing.parts.hostname or "", self._outgoing.parts.port)
        error: Exception = ReadTimeoutError(pool, self._outgoing.url, TIMED_OUT)
        if failure == "refused":
            error = NewConnectionError(pool, REFUSED)  # type: ignore[arg-type] # it is only shown
        try:
            self._retries = self._retries.increment(self._outgoing.method, self._outgoing.url, error=error, _pool=pool)
        except MaxRetryError as failed:
            raise requests.ConnectionError(failed, request=request) from failed
        except ReadTimeoutError as failed:
            raise requests.ReadTimeout(failed, request=request) from failed


_under_way: ContextVar[_Sending | None] = ContextVar("llmcache_sending", default=None)


def _outgoing(request: requests.PreparedRequest) -> Outgoing | None:
    """Return the request, ``None`` for one with a stream as its body that goes elsewhere."""
    method, url = (request.method or "GET").upper(), request.url or ""
    body: Any = request.body
    if isinstance(body, str):
        body = body.encode()
    elif isinstance(body, bytearray):
        body = request.body = bytes(body)
    elif body and not isinstance(body, bytes):
        if not concerns(url):
            return None
        body = request.body = _read(body)
    headers: Any = request.headers
    if not isinstance(headers, CaseInsensitiveDict):  # somebody has put a plain dictionary there
        headers = CaseInsensitiveDict(headers)
    pairs = tuple([(_text(name), _text(value)) for name, value in headers.lower_items()])
    return Outgoing(method, url, pairs, body or b"")


def _read(body: Any) -> bytes:
    if hasattr(body, "read"):
        read = body.read()
        return read.encode() if isinstance(read, str) else bytes(read)
    pieces: Iterable[bytes | str] = body
    return b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _read_timeout(timeout: Any) -> float | None:
    if isinstance(timeout, tuple):
        timeout = timeout[1]
    return timeout if isinstance(timeout, int | float) else getattr(timeout, "read_timeout", None)


def _without_status_retries(adapter: HTTPAdapter) -> HTTPAdapter:
    """Return the adapter, over the same connections, so that it leaves retries after an answer to the engine.

    The engine does them one by one, so that each answer is seen; those of a connection that fails stay below.
    """
    retries: Retry = adapter.max_retries
    if not retries.status_forcelist and not (retries.total and retries.respect_retry_after_header):
        return adapter
    other = object.__new__(type(adapter))
    other.__dict__.update(vars(adapter))
    other.max_retries = retries.new(status_forcelist=frozenset(), respect_retry_after_header=False)
    return other
