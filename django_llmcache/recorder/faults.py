"""What goes wrong in a test that asks for it: errors in a provider's own words, broken and slow streams."""

from __future__ import annotations

import math
import re
from typing import Any, Final, NamedTuple

from django_llmcache.exceptions import ConfigurationError

from .errors import error_answer
from .exchange import Chunk, Incoming
from .garbling import EVENTS, LINES, garbled
from .replay import Replay

KNOWN: Final = (
    '"429", "500x2", "429(retry_after=2)", "timeout", "refused", "cut@3", "garble@2", '
    '"slow(ttft=2)", "slow(ttft=2, wait=true)"'
)
_STATUS: Final = re.compile(
    r"(?P<status>[45]\d\d)(?:x(?P<times>[1-9]\d*))?(?:\(\s*retry_after\s*=\s*(?P<after>\d+)\s*\))?"
)
_NAMED: Final = re.compile(r"(?P<kind>timeout|refused)(?:x(?P<times>[1-9]\d*))?")
_AT: Final = re.compile(r"(?P<kind>cut|garble)@(?P<at>\d+)")
_SLOW: Final = re.compile(
    r"slow\(\s*ttft\s*=\s*(?P<ttft>\d+(?:\.\d+)?)\s*(?:,\s*wait\s*=\s*(?P<wait>true|false)\s*)?\)"
)


class Fault(NamedTuple):
    """One thing that goes wrong.

    Attributes:
        kind: ``status``, ``timeout``, ``refused``, ``cut``, ``garble`` or ``slow``.
        status: the HTTP status of ``status``.
        times: how many calls it befalls, ``-1`` for all.
        at: the chunk, from 1: the last that comes before a ``cut``, the one that is damaged by ``garble``.
        ttft: seconds until the first chunk of a ``slow`` answer.
        wait: whether they are really waited for; else only a client whose time-out is shorter notices.
        retry_after: seconds after which a 429, 503 or 529 says to come again; clients wait for them.
    """

    kind: str
    status: int = 0
    times: int = -1
    at: int = 0
    ttft: float = 0.0
    wait: bool = False
    retry_after: int = 0

    @classmethod
    def parse(cls, text: Any) -> Fault:
        """Return the fault that a text such as ``"429x2"`` names.

        Raises:
            ConfigurationError: it names none; the message shows the forms there are.
        """
        if not isinstance(text, str):
            raise ConfigurationError(f"fault is {text!r}; give one such as {KNOWN}.")
        if found := _STATUS.fullmatch(text):
            times, after = int(found["times"] or -1), int(found["after"] or 0)
            return cls("status", status=int(found["status"]), times=times, retry_after=after)
        if found := _NAMED.fullmatch(text):
            return cls(found["kind"], times=int(found["times"] or -1))
        if (found := _AT.fullmatch(text)) and int(found["at"]) > 0:
            return cls(found["kind"], at=int(found["at"]))
        if found := _SLOW.fullmatch(text):
            return cls("slow", ttft=float(found["ttft"]), wait=found["wait"] == "true")
        raise ConfigurationError(f"fault is {text!r}; give one such as {KNOWN}.")

    @property
    def needs_recording(self) -> bool:
        """Return whether it is cut from a recording of the same request."""
        return self.kind in ("cut", "garble", "slow")

    def replay(self, provider: str, recorded: Incoming | None, *, timeout: float | None) -> Replay:
        """Return what the client gets.

        Args:
            provider: whose words an error is in.
            recorded: the recording that it is cut from, where it needs one.
            timeout: seconds that the client would wait for the first byte, where it is known.
        """
        answer = (recorded or _NOTHING)._replace(unread=False)
        if self.kind == "status":
            answer = error_answer(provider, self.status, retry_after=self.retry_after)
        elif self.kind in ("timeout", "refused"):
            return Replay(answer, failure=self.kind, retried_at_once=True)
        elif self.kind == "cut":
            answer = answer._replace(chunks=_pieces(answer, self.at + 1)[: self.at], truncated=True)
        elif self.kind == "garble":
            answer = answer._replace(chunks=garbled(answer, _pieces(answer, self.at), self.at))
        elif timeout is not None and timeout < self.ttft:
            return Replay(answer, failure="timeout", retried_at_once=not self.wait)
        at_once = not self.wait and not self.retry_after
        return Replay(answer, wait=self.ttft if self.wait else 0.0, retried_at_once=at_once)


_EVENT: Final = re.compile(rb".+?(?:\r?\n\r?\n|\Z)", re.DOTALL)

_NOTHING: Final = Incoming(200, "OK", (), ())


def _pieces(answer: Incoming, least: int) -> tuple[Chunk, ...]:
    """Return the chunks, and of an answer that came in fewer than asked for, its events or pieces of about one size."""
    if len(answer.chunks) >= least:
        return answer.chunks
    body = answer.body
    if answer.content_type in LINES:
        events = _EVENT.findall(body) if answer.content_type == EVENTS else body.splitlines(keepends=True)
        if len(events) >= least:
            return tuple(Chunk(0.0, event) for event in events)
    size = max(1, math.ceil(len(body) / least))
    return tuple(Chunk(0.0, body[start : start + size]) for start in range(0, len(body), size))
