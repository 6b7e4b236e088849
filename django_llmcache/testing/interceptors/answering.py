"""What the interceptors of all libraries have in common."""

from __future__ import annotations

import http.client
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from django_llmcache.recorder import in_force
from django_llmcache.recorder.exchange import Incoming, Outgoing, Pairs
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.setup import Mode
from django_llmcache.recorder.taping import Taping

from . import pauses

MARK: Final = ("x-llmcache", "replay")
"""The header that a replayed answer bears."""

DROPPED: Final = "peer closed connection without sending complete message body (a recorded stream that broke)"
"""What a client's own error says where a recorded stream had broken."""

TIMED_OUT: Final = "timed out (a fault that the test asked for)"
REFUSED: Final = "connection refused (a fault that the test asked for)"

_BODILESS: Final = frozenset({204, 304})


def begin(outgoing: Outgoing, *, timeout: float | None = None) -> Replay | Taping | None:
    """Return how a request is answered, as ``in_force.begin`` does.

    Raises:
        FixtureMiss: nothing is recorded, in ``replay``; or a cassette of VCR.py is to answer as well.
    """
    refuse_cassette(outgoing)
    answer = in_force.begin(outgoing, timeout=timeout)
    pauses.note(answer)
    return answer


def spoiled(tape: Taping) -> Replay:
    """Return what a client gets in place of an answer that is on its tape: the fault that its test asked for."""
    replay = tape.spoiled()
    pauses.note(replay)
    return replay


def refuse_cassette(outgoing: Outgoing) -> None:
    """Raise where a provider is asked inside a cassette of VCR.py: both would answer, and neither would be whole."""
    if not is_in_cassette():
        return
    current = in_force.current()
    if current is None or current.setup.provider_of(outgoing.host) is None:
        return
    error = FixtureMiss(
        f"A cassette of VCR.py is in use where live_api records: {outgoing.method} {outgoing.host}\n"
        f"  test     {current.filed()}\n"
        "Two recorders can't answer for one test: take one of them away.\n"
        "manage.py llmcache fixtures import-vcr PATH makes fixtures of a cassette."
    )
    current.misses.append(error)  # told at the end too, where somebody catches it
    raise error


def is_in_cassette() -> bool:
    """Return whether a cassette of VCR.py is in use."""
    return hasattr(http.client.HTTPConnection, "cassette")  # a class of VCR's as long as one is


def concerns(url: str) -> bool:
    """Return whether the session in force has a part in requests to an address, or may have.

    Asked before a body is read that is a stream, and would be read into memory in vain.
    """
    current = in_force.current()
    if current is None:
        return False
    setup = current.setup
    return bool(setup.unreadable) or setup.provider_of(Outgoing("", url, (), b"").host) is not None


def is_replaying() -> bool:
    """Return whether the session in force answers from recordings alone."""
    current = in_force.current()
    return current is not None and current.mode is Mode.REPLAY


def is_replayed(url: str) -> bool:
    """Return whether a request to an address is answered from a recording or not at all, so that nobody connects."""
    return is_replaying() and concerns(url)


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
