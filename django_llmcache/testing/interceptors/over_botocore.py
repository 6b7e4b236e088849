"""Sees what ``botocore`` sends, for Bedrock: event streams too, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from urllib3.exceptions import ProtocolError

from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.taping import Taping

from .answering import REFUSED, TIMED_OUT, begin, concerns, lowered, spoiled
from .patching import replace_unless_mocked
from .wire import replayed, taped


def install() -> None:
    """Let botocore pass by the recorder."""
    replace_unless_mocked(URLLib3Session, "send", _sending)


def _sending(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def send(http: URLLib3Session, request: Any) -> Any:
        if not concerns(request.url):
            return original(http, request)
        exchange = begin(_outgoing(request), timeout=_read_timeout(http))
        if isinstance(exchange, Replay):
            return _answer(exchange, request)
        if exchange is None:
            return original(http, request)
        try:
            with exchange.calling():
                response = original(http, request)
        except Exception as error:
            exchange.broke(error)
            raise
        response = _tapped(response, exchange, request)
        if not exchange.is_spoiled:
            return response
        response.raw.drain_conn()  # a fault is cut from the whole answer
        return _answer(spoiled(exchange), request)

    return send


def _answer(replay: Replay, request: Any) -> AWSResponse:
    if replay.failure == "timeout":
        raise ReadTimeoutError(endpoint_url=request.url, error=TIMED_OUT)
    if replay.failure is not None:
        raise EndpointConnectionError(endpoint_url=request.url, error=REFUSED)
    raw = replayed(replay, method=request.method, url=request.url)
    response = AWSResponse(request.url, raw.status, raw.headers, raw)
    if not request.stream_output:
        try:
            _ = response.content  # read now, as the original does
        except ProtocolError as error:
            raise ConnectionClosedError(error=error, request=request, endpoint_url=request.url) from error
    return response


def _tapped(response: AWSResponse, tape: Taping, request: Any) -> AWSResponse:
    if request.stream_output:
        raw = taped(response.raw, tape, method=request.method, url=request.url)
        return AWSResponse(response.url, response.status_code, raw.headers, raw)
    tape.began(response.status_code, response.raw.reason or "", tuple(response.raw.headers.items()))
    tape.chunk(response.content)
    tape.ended()
    return response


def _outgoing(request: Any) -> Outgoing:
    headers = lowered((name, _text(value)) for name, value in request.headers.items())
    return Outgoing(request.method.upper(), request.url, headers, _body(request))


def _body(request: Any) -> bytes:
    body = request.body
    if hasattr(body, "read"):
        body = request.body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body or b"")


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _read_timeout(http: Any) -> float | None:
    timeout = getattr(getattr(http, "_timeout", None), "read_timeout", None)
    return timeout if isinstance(timeout, int | float) else None
