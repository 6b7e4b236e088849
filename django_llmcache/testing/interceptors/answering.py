"""What the interceptors of all libraries have in common."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from django_llmcache.recorder import session
from django_llmcache.recorder.exchange import Incoming, Outgoing, Pairs
from django_llmcache.recorder.setup import Mode

MARK: Final = ("x-llmcache", "replay")
"""The header that a replayed answer bears."""

DROPPED: Final = "peer closed connection without sending complete message body (a recorded stream that broke)"
"""What a client's own error says where a recorded stream had broken."""

TIMED_OUT: Final = "timed out (a fault that the test asked for)"
REFUSED: Final = "connection refused (a fault that the test asked for)"

_BODILESS: Final = frozenset({204, 304})


def concerns(url: str) -> bool:
    """Return whether the session in force has a part in requests to an address.

    Asked before a body is read that is a stream, and would be read into memory in vain.
    """
    current = session.current()
    return current is not None and current.setup.provider_of(Outgoing("", url, (), b"").host) is not None


def is_replayed(url: str) -> bool:
    """Return whether a request to an address is answered from a recording or not at all, so that nobody connects."""
    current = session.current()
    return current is not None and current.mode is Mode.REPLAY and concerns(url)


def lowered(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """Return headers with their names in lower case."""
    return tuple([(name.lower(), value) for name, value in pairs])


def is_stream(answer: Incoming) -> bool:
    """Return whether an answer is replayed in pieces, its length not known beforehand."""
    return len(answer.chunks) > 1 or answer.truncated or answer.unread


def headers_of(answer: Incoming, method: str) -> Pairs:
    """Return the headers that a replay gives: those recorded, our mark, and how the body is framed."""
    if is_stream(answer):
        return (*answer.headers, MARK, ("transfer-encoding", "chunked"))
    if method == "HEAD" or answer.status in _BODILESS:
        return (*answer.headers, MARK)
    return (*answer.headers, MARK, ("content-length", str(sum(len(chunk.data) for chunk in answer.chunks))))


def reason_of(answer: Incoming) -> str:
    """Return the words beside the status: the standard ones where none are recorded."""
    try:
        return answer.reason or HTTPStatus(answer.status).phrase
    except ValueError:
        return ""


def latin(text: str) -> bytes:
    """Return a header's text as bytes: as it came, or as UTF-8 where it was written by hand."""
    line = " ".join(text.splitlines())
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode()
