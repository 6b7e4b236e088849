"""Send over ``requests``: pooled connections, timeouts always set, no cookies, no redirects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from django_llmcache.credentials import shown
from django_llmcache.exceptions import ProviderConnectionError, ProviderError, ProviderTimeoutError

from .wire import WireAnswer, WireRequest

POOL: Final = 100
"""Connections kept open to one host, at most."""

FAILURES: Final = (requests.RequestException, HTTPError, OSError)
"""What it raises, with what escapes it from the library below: such as for a host that is no name."""

_sessions: dict[str, requests.Session] = {}


def send(wire: WireRequest) -> WireAnswer:
    """Send, and return the whole answer.

    Raises:
        ProviderTimeoutError: nothing came for ``wire.timeout`` seconds.
        ProviderConnectionError: no connection, or it broke.
    """
    try:
        answer = _open(wire, stream=False)
        return WireAnswer(answer.status_code, tuple(answer.headers.items()), answer.content)
    except FAILURES as error:
        failure = connection_error(wire, error, timed_out=isinstance(error, requests.Timeout))
    raise failure


class RequestsStream:
    """An answer that is read as it arrives."""

    def __init__(self, wire: WireRequest) -> None:
        self._wire = wire
        failure = None
        try:
            self._answer = _open(wire, stream=True)
        except FAILURES as error:
            failure = connection_error(wire, error, timed_out=isinstance(error, requests.Timeout))
        if failure is not None:
            raise failure
        self.status = self._answer.status_code
        self.headers = tuple(self._answer.headers.items())

    def pieces(self) -> Iterator[bytes]:
        """Yield the body's bytes as they arrive."""
        try:
            yield from self._answer.iter_content(chunk_size=None)
            return
        except FAILURES as error:
            failure = connection_error(self._wire, error, timed_out="timed out" in str(error))
        raise failure

    def close(self) -> None:
        """Give the connection back."""
        self._answer.close()

    def cut(self) -> None:
        """Close it while another thread waits for its next piece, which is woken."""
        shutdown = getattr(self._answer.raw, "shutdown", None)  # urllib3 2.3 and newer; before, this waits for a piece
        if shutdown is not None:
            with suppress(OSError, RuntimeError, ValueError):  # it has just ended by itself
                shutdown()
        self.close()


def connection_error(wire: WireRequest, error: BaseException, *, timed_out: bool) -> ProviderError:
    """Return the error of this package that tells of ``error``, without any header or body in its message.

    Raise it outside the ``except`` block, neither from that error nor in its context: the frames of the HTTP library
    hold the headers, and a report that shows the variables of each frame would show the API key.
    """
    place = shown(wire.url)
    if timed_out:
        return ProviderTimeoutError(
            f"{wire.provider} did not answer within {wire.timeout:g} s at {place}. "
            f"Give more time with timeout=… or LLMCACHE['PROVIDERS'][{wire.provider!r}]['TIMEOUT'].",
            provider=wire.provider,
        )
    return ProviderConnectionError(
        f"The connection to {wire.provider} at {place} failed ({type(error).__name__}: {_reason(error)}). "
        f"Check the network and BASE_URL.",
        provider=wire.provider,
    )


def _reason(error: BaseException) -> str:
    """Return what went wrong, from the inside: what ``requests`` puts around it says the address once more."""
    inner = getattr(error.args[0], "reason", None) if error.args else None
    return shown(str(inner or error))[:300]


def _open(wire: WireRequest, *, stream: bool) -> requests.Response:
    return _session(wire.provider).post(
        wire.url,
        data=wire.body,
        headers=wire.headers,
        timeout=wire.timeout,
        stream=stream,
        allow_redirects=False,
        auth=_keep_headers,
    )


def _keep_headers(request: Any) -> Any:
    """Stand in for an auth handler: neither a ``.netrc`` nor a password in the address replaces the API key."""
    return request


def _session(provider: str) -> requests.Session:
    session = _sessions.get(provider)
    if session is None:
        session = requests.Session()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_maxsize=POOL)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        session = _sessions.setdefault(provider, session)
    return session


# A child must not share its parent's sockets.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_sessions.clear)
