"""The response cache under ``requests``: an ordinary session whose LLM calls go through the pipeline."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cache
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.hooks import dispatch_hook
from requests.utils import resolve_proxies
from urllib3 import HTTPResponse, Timeout
from urllib3.exceptions import TimeoutStateError

from django_llmcache.control import HEADER
from django_llmcache.headers import RawHeaders
from django_llmcache.messages import LLMResponse

from .answers import headers_of
from .sending import Sending, answered


class CachedSession(requests.Session):
    """A session of ``requests`` that answers LLM calls from the response cache where it may."""

    inner: requests.Session | None = None
    """The session that it asks through, where it is made around one."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a prepared request, or answer it from the cache; everything else is as in ``requests.Session``."""
        return send(super().send if self.inner is None else self.inner.send, self, request, options)


def cached_session() -> requests.Session:
    """Return a session whose LLM calls are answered from the response cache where they may.

    Any call that is none passes untouched, and so does an answer that comes as a stream of events. Adapters, proxies,
    certificates, cookies and hooks are the session's own, as ever. A hit has the headers ``x-llmcache``,
    ``x-llmcache-age`` (seconds) and ``x-llmcache-id``.
    """
    return CachedSession()


def around(session: requests.Session) -> requests.Session:
    """Return a session that asks through another, with all that the other has: adapters, headers, its class' ways."""
    if isinstance(session, CachedSession):
        return session
    own: Any = type(session)
    kind = _kind_of(own)
    made = kind.__new__(kind)
    vars(made).update(vars(session))
    made.inner = session
    return made


@cache
def _kind_of(kind: type[requests.Session]) -> type[CachedSession]:
    """Return a cached session's class that does what a class of the user's own does beside sending."""
    return CachedSession if kind is requests.Session else type(f"Cached{kind.__name__}", (CachedSession, kind), {})


def send(
    original: Any,
    session: requests.Session,
    request: requests.PreparedRequest | requests.Request,
    options: dict[str, Any],
    *,
    by_chance: bool = True,
) -> requests.Response:
    """Answer a request of ``requests`` from the cache where it may, else by ``original``.

    Args:
        original: what sends it: ``Session.send`` of a session.
        session: whose ways hold where the options say nothing; the hooks of the request are told them.
        request: what is sent.
        options: the other arguments of ``send``.
        by_chance: as ``Sending`` takes it.
    """
    if isinstance(request, requests.Request):
        return original(request, **options)  # type: ignore[no-any-return] # it raises: that is not prepared
    options = {"stream": session.stream, "verify": session.verify, "cert": session.cert} | options
    started = time.perf_counter()

    def hooked(response: requests.Response) -> requests.Response:
        response.elapsed = timedelta(seconds=time.perf_counter() - started)
        hooks = request.hooks
        if hooks and hooks.get("response"):
            words = _words_for_hooks(session, request, options)
            response = dispatch_hook("response", hooks, response, **words)  # type: ignore[no-untyped-call]
        return response

    response: requests.Response = answered(Sending(_LIBRARY, original, request, options, by_chance=by_chance), hooked)
    return response


def _words_for_hooks(
    session: requests.Session, request: requests.PreparedRequest, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the keywords with which ``Session.send`` calls the hooks of a response."""
    words = {name: value for name, value in options.items() if name != "allow_redirects"}
    if "proxies" not in words:
        words["proxies"] = resolve_proxies(request, session.proxies, session.trust_env)  # type: ignore[arg-type] # the stub's
    return words


_VERSION: Final = 11
"""HTTP/1.1, as urllib3 writes it."""

_CODED: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class _Requests:
    """How the pipeline reads and makes what ``requests`` sends and gets."""

    failed = "request"
    errors: type[Exception] = requests.RequestException
    disconnected: frozenset[type[Exception]] = frozenset({
        requests.ConnectionError, requests.ConnectTimeout, requests.ReadTimeout,
    })  # fmt: skip

    def outgoing(self, request: requests.PreparedRequest) -> tuple[str, str, RawHeaders, bytes | None]:
        body: Any = request.body
        if isinstance(body, str):
            body = body.encode()
        headers = [(_raw(name), _raw(value)) for name, value in (request.headers or {}).items()]
        return request.method or "", request.url or "", headers, body if isinstance(body, bytes) else None

    def without_control(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        other = request.copy()
        del other.headers[HEADER]
        return other

    def changed(
        self, request: requests.PreparedRequest, url: str, headers: Mapping[str, str | None], body: bytes
    ) -> requests.PreparedRequest:
        other = request.copy()
        other.url = url
        for name, value in headers.items():
            other.headers.pop(name, None)
            if value is not None:
                other.headers[name] = value
        other.prepare_body(body, None)
        return other

    def timeout_of(self, request: requests.PreparedRequest, options: dict[str, Any]) -> float | None:
        said: Any = options.get("timeout")
        if isinstance(said, Timeout):
            return _seconds_of(said)
        seconds = said[1] if isinstance(said, tuple) else said
        return seconds if isinstance(seconds, int | float) else None

    def ways_of(self, client: Any, request: requests.PreparedRequest, options: dict[str, Any]) -> Hashable:
        hooks = map(id, request.hooks.get("response", ()))
        return options.get("allow_redirects", True), repr(options.get("cert")), *hooks

    def answered_by(self, response: requests.Response) -> requests.PreparedRequest:
        for earlier in reversed(response.history):
            if not earlier.is_redirect:
                break
            response = earlier
        return response.request

    def head_of(self, response: requests.Response) -> tuple[int, list[tuple[str, str]]]:
        return response.status_code, list(response.headers.items())

    def read(self, response: requests.Response, *, streamed: bool) -> bytes:
        body = response.content
        if streamed:  # for who reads ``raw``: it comes decoded, and its headers say so
            headers = {name: value for name, value in response.raw.headers.items() if name.lower() not in _CODED}
            version = getattr(response.raw, "version", _VERSION)
            response.raw = _held(body, response.status_code, headers, response.request, version=version)
        return body

    def settle(self, response: requests.Response) -> None:
        with suppress(Exception):  # whoever reads it is told
            _ = response.content

    def built(
        self, answer: LLMResponse, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        raw = _held(answer.body, answer.status, dict(headers_of(answer)), request)
        response = HTTPAdapter().build_response(request, raw)
        if not options.get("stream"):
            response.content  # noqa: B018 - reads it
        return response


def _seconds_of(timeout: Timeout) -> float | None:
    """Return the seconds that urllib3 waits for an answer to begin, ``None`` where it waits for ever."""
    try:
        read: Any = timeout.read_timeout
    except TimeoutStateError:  # it says how long all may take and no more, and has not begun
        read = None
    said = [seconds for seconds in (read, timeout.total) if isinstance(seconds, int | float)]
    return min(said, default=None)


def _held(
    body: bytes, status: int, headers: dict[str, str], request: requests.PreparedRequest, *, version: int = _VERSION
) -> HTTPResponse:
    """Return a response of urllib3's whose body is here already."""
    return HTTPResponse(
        BytesIO(body), headers=headers, status=status, reason=_reason(status), preload_content=False,
        version=version, request_method=request.method,
    )  # fmt: skip


def _raw(text: object) -> bytes:
    # What is put into a prepared request is checked by nobody, and http.client writes numbers too.
    return text if isinstance(text, bytes) else str(text).encode("latin-1", "replace")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


_LIBRARY: Final = _Requests()
