"""An answer that is being recorded while its caller reads it."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from .decoding import decoded
from .exchange import STATUSES, Chunk, Incoming, Outgoing, Pairs, first
from .fixture import Fixture
from .heads import lasting
from .leaks import leaks
from .matcher import FORMAT
from .redaction import Redactor, SecretError
from .replay import Replay
from .tasks import running_task

Spoil = Callable[[Incoming], Replay]
"""Makes of an answer that came what a client gets of it where something is to go wrong."""

STREAMS: Final = frozenset({
    "application/stream+json", "application/vnd.amazon.eventstream", "application/x-ndjson", "text/event-stream",
})  # fmt: skip
"""Media types whose chunks are kept apart, with the time at which each came."""


LAST: Final = re.compile(
    rb"""data:[ ]*\[DONE\]|"type":[ ]*"(message_stop|response\.(completed|failed|incomplete))"|"done":[ ]*true"""
)
"""What the last line of a stream says at its end: SDKs stop reading there, before the connection is at its own."""


GIVEN_UP: Final = {
    "timed out": "the client's time was out before the answer's end; fault=\"timeout\" tests what follows from that",
    "cancelled": "its reader was cancelled before the answer's end; stop by what was read, not by time",
}
"""How an answer ends of which nothing is kept, for that end is nothing of the provider's, with what a test is told."""


class Taping:
    """A tee beside the client: it is told of each piece as it passes, and keeps none back.

    Args:
        request: the request, redacted.
        key, provider, endpoint: what it is filed under.
        redactor: takes credentials out of the answer.
        during: held while the call is made.
        now: seconds since the epoch.
        fault: what the client gets in place of an answer that is kept.
        record_errors: whether an answer that is an error is kept.
    """

    def __init__(
        self,
        request: Outgoing,
        *,
        key: str,
        provider: str,
        endpoint: str,
        redactor: Redactor,
        during: Callable[[str], AbstractContextManager[None]],
        now: Callable[[], float],
        fault: Spoil | None = None,
        record_errors: bool = False,
    ) -> None:
        self.request = request
        self.key = key
        self.provider = provider
        self.endpoint = endpoint
        self._redactor = redactor
        self._during = during
        self._fault = fault
        self._record_errors = record_errors
        self._recorded_at = now()
        self._started = time.perf_counter()
        self._handled = id(sys.exc_info()[1])
        self._lock = threading.Lock()
        self._head: tuple[int, str, Pairs] | None = None
        self._chunks: list[Chunk] = []
        self._end: str | None = None
        self._elapsed = 0.0
        self._late: Callable[[Outgoing], None] | None = None
        self._reader: weakref.ref[asyncio.Task[object]] | None = None

    def calling(self) -> AbstractContextManager[None]:
        """Return what is held while the request is sent, so that nothing below records it once more."""
        return self._during(self.request.host)

    def began(self, status: int, reason: str, headers: Pairs) -> None:
        """Take the head of the answer."""
        self._head = (status, reason, headers)

    def chunk(self, data: bytes) -> None:
        """Take one piece of the body, as it came over the wire."""
        if not data:
            return
        with self._lock:
            if self._end is None:
                self._chunks.append(Chunk(self._milliseconds(), bytes(data)))
                task = running_task()
                self._reader = None if task is None else weakref.ref(task)
                return
            late, self._late = self._late, None
        if late is not None:
            late(self.request)

    def ended(self, *, complete: bool = True) -> None:
        """Take the end; ``complete=False`` where the caller stops reading before it, as one that is cancelled does."""
        self._close("complete" if complete else "cancelled" if self._is_cancelled() else "unread")

    def broke(self, error: BaseException, *, timeout: type[BaseException] = TimeoutError) -> None:
        """Take what stopped the reading short; before any answer came, there is nothing to record.

        Args:
            error: of a connection that broke, of a client whose time is out, or of a reader that is cancelled.
            timeout: what the client's library raises when its time is out, besides Python's own.
        """
        if isinstance(error, GeneratorExit):  # its reader has had enough, which the end of the test shows too
            return
        if isinstance(error, timeout | TimeoutError):
            self._close("timed out")
        else:
            self._close("truncated" if isinstance(error, Exception) else "cancelled")

    def cut(self, late: Callable[[Outgoing], None]) -> None:
        """End it where its test ends, and nobody else has; ``late`` is told once where its reader reads on."""
        with self._lock:
            self._late = late if self._end is None and self.wanted else None
        self._close("unread")  # says nothing new where the end was reached

    @property
    def finished(self) -> bool:
        """Return whether there is an answer to keep."""
        return self._head is not None and self._head[0] in STATUSES and self._end is not None and not self.given_up

    @property
    def given_up(self) -> str:
        """Return why nothing is kept of an answer that its client gave up half way, ``""`` for any other."""
        why = GIVEN_UP.get(self._end or "", "")
        return why if self._head is not None and why and not self._has_all(self._decoded()) else ""

    @property
    def status(self) -> int | None:
        """Return the answer's status, ``None`` where no answer came."""
        return self._head[0] if self._head else None

    @property
    def wanted(self) -> bool:
        """Return whether the answer is one to keep: no error, unless the test asks for those too."""
        return self._head is not None and (self._record_errors or 200 <= self._head[0] < 400)

    @property
    def is_spoiled(self) -> bool:
        """Return whether the client gets a fault in place of this answer, as soon as all of it is on the tape."""
        return self._fault is not None and self.wanted

    def spoiled(self) -> Replay:
        """Return what the client gets in place of the answer: the same that it will get of the recording."""
        assert self._fault is not None  # noqa: S101 - is_spoiled was asked
        return self._fault(self._redactor.response(self._incoming()))

    def fixture(
        self,
        *,
        take: str,
        sequence: int,
        answers: int,
        test: str,
        sample: int,
        version: str,
        ignore: tuple[str, ...] = (),
    ) -> Fixture:
        """Return the recording as a fixture.

        Raises:
            SecretError: something in it still looks like a credential; the message names the places.
        """
        response = self._redactor.response(self._incoming())
        found = [*leaks(self.request), *leaks(response)] or self._redactor.left(self.request, response)
        if found:
            raise SecretError(
                f"The recording of {self.request.method} {self.request.parts.path} was not written: "
                f"{', '.join(found)} looks like a credential. Send a made-up one instead."
            )
        return Fixture(
            key=self.key, provider=self.provider, endpoint=self.endpoint, request=self.request, response=response,
            recorded_at=self._recorded_at, recorded_by=version, take=take, sequence=sequence, answers=answers,
            tests=(test,), sample=sample, key_format=FORMAT, ignore=ignore,
        )  # fmt: skip

    def _incoming(self) -> Incoming:
        assert self._head is not None  # noqa: S101 - finished() was asked
        status, reason, headers = self._head
        encoding, chunks = self._header("content-encoding"), self._decoded()
        truncated = self._end == "truncated"
        unread = self._end == "unread" and not self._has_all(chunks)
        answer = Incoming(
            status, reason, lasting(headers), chunks, encoding=encoding, truncated=truncated,
            unread=unread, elapsed=self._elapsed,
        )  # fmt: skip
        if answer.content_type in STREAMS or ":stream" in self.request.parts.path or truncated or unread:
            return answer
        at = self._chunks[-1].offset if self._chunks else self._elapsed
        return answer._replace(chunks=(Chunk(at, answer.body),) if answer.body else ())

    def _is_cancelled(self) -> bool:
        """Return whether a cancellation is on its way through the caller: asyncio's, trio's or gevent's.

        One that was there before the request is over, and somebody asks because of it.
        """
        error = sys.exc_info()[1]
        if error is None or id(error) == self._handled or isinstance(error, Exception | GeneratorExit | SystemExit):
            return False
        # A loop that ends cancels the tasks that close what was left: of those none is the reader.
        task = running_task()
        return self._reader is None or (task is not None and task is self._reader())

    def _decoded(self) -> tuple[Chunk, ...]:
        return decoded(self._chunks, self._header("content-encoding"))

    def _has_all(self, chunks: tuple[Chunk, ...]) -> bool:
        """Return whether all came that the answer said it has: of that, many a reader asks for no end."""
        length = str(sum(len(chunk.data) for chunk in self._chunks))
        return self._header("content-length") == length or _says_its_end(chunks)

    def _header(self, name: str) -> str:
        return first(self._head[2], name) if self._head is not None else ""

    def _close(self, how: str) -> None:
        with self._lock:
            if self._end is None:
                self._end = how
                self._elapsed = self._milliseconds()

    def _milliseconds(self) -> float:
        return round((time.perf_counter() - self._started) * 1000, 3)


def _says_its_end(chunks: tuple[Chunk, ...]) -> bool:
    """Return whether the last line of a stream is its last by its own word."""
    lines = b"".join(chunk.data for chunk in chunks[-2:]).rstrip().splitlines()
    return bool(lines) and LAST.search(lines[-1]) is not None
