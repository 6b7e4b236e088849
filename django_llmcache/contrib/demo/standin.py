"""A stand-in LLM provider: a real HTTP server on loopback that answers with recorded provider bodies.

It needs the standard library only, so a plain script can use it as well as a test::

    with StandIn(latency=0.4) as provider:
        requests.post(f"{provider.url}/v1/chat/completions", json={...}, timeout=10)
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from time import monotonic
from typing import Any, Self
from urllib.parse import urlsplit

from django_llmcache.contrib.demo.answers import (
    Recording,
    choose,
    model_list,
    new_request_id,
    provider_headers,
    read_question,
)

__all__ = ["HangUp", "Reply", "Stall", "StandIn"]

MAX_STALL = 60.0
MAX_REQUESTS = 1000


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer one request with just this; content-type is application/json unless `headers` say otherwise."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection of one request without answering."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Answer one request as usual, this many seconds (at most 60) later than the latency says."""

    seconds: float

    def __post_init__(self) -> None:
        if not 0 <= self.seconds <= MAX_STALL:
            raise ValueError(f"Stall(seconds={self.seconds!r}): give 0 to {MAX_STALL:g} seconds.")


class StandIn:
    """A provider on 127.0.0.1 that counts its requests; a context manager, or `start()` and `stop()`.

    Args:
        latency: seconds from a whole request to the first byte of its answer; may be changed at any time.
        port: the TCP port; 0 takes a free one.
        event_delay: seconds between two events of a stream.
    """

    def __init__(self, latency: float = 0.4, port: int = 0, *, event_delay: float = 0.01) -> None:
        self.latency = latency
        self.event_delay = event_delay
        self._port = port
        self._lock = threading.Lock()
        self._requests: deque[dict[str, Any]] = deque(maxlen=MAX_REQUESTS)
        self._steps: deque[Reply | HangUp | Stall] = deque()
        self._calls = 0
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """The base of every path, `http://127.0.0.1:PORT`; a RuntimeError while it doesn't run."""
        if self._server is None:
            raise RuntimeError("The stand-in provider is not running: call start(), or use it in a `with`.")
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def calls(self) -> int:
        """How many requests came in since the beginning or the last `reset()`."""
        with self._lock:
            return self._calls

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The last thousand requests: `method`, `path` (with its query), `headers` (lower case), `body`.

        `body` is the parsed JSON, the text where it is not JSON, or None where there is none.
        """
        with self._lock:
            return list(self._requests)

    def script(self, *steps: Reply | HangUp | Stall) -> None:
        """Queue what the next requests get, one step each; after the last one all is as usual."""
        with self._lock:
            self._steps.extend(steps)

    def reset(self) -> None:
        """Forget the requests, their count and the steps that are still queued."""
        with self._lock:
            self._requests.clear()
            self._steps.clear()
            self._calls = 0

    def start(self) -> Self:
        """Serve from a thread of its own; does nothing while it runs already."""
        if self._server is None:
            self._server = _Server(self._port, self)
            self._server.begin()
        return self

    def stop(self) -> None:
        """Cut every connection, end every thread and give the port back."""
        if self._server is not None:
            self._server.end()
            self._server = None

    def receive(self, request: dict[str, Any]) -> Reply | HangUp | Stall | None:
        """Note a request, and return the step that was queued for it (the server calls this)."""
        with self._lock:
            self._calls += 1
            self._requests.append(request)
            return self._steps.popleft() if self._steps else None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    allow_reuse_port = False

    def __init__(self, port: int, owner: StandIn) -> None:
        self.owner = owner
        self.closing = threading.Event()
        self._live: dict[threading.Thread, Any] = {}
        self._acceptor = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        super().__init__(("127.0.0.1", port), _Handler)

    def begin(self) -> None:
        self._acceptor.start()

    def end(self) -> None:
        self.closing.set()
        self.shutdown()
        self._acceptor.join()
        for thread, connection in list(self._live.items()):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()
        self.server_close()

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for the host's name, which can take seconds on a machine without one.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        # The base class keeps no list of daemon threads, and end() has to wait for each of them.
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._live[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._live.pop(threading.current_thread(), None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away is no news: time-outs are among the things that are tested.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "standin"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = -1

    def _serve(self) -> None:
        began = monotonic()
        owner = self.server.owner
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        step = owner.receive(self._noted(raw))
        pause = owner.latency + (step.seconds if isinstance(step, Stall) else 0)
        if isinstance(step, HangUp) or self.server.closing.wait(pause):
            self.close_connection = True
            return
        answer = step if isinstance(step, Reply) else _answer(self.command, self.path, raw)
        if isinstance(answer, Reply):
            self._send(answer)
        else:
            self._send_recording(answer, elapsed=monotonic() - began)

    do_DELETE = do_GET = do_PATCH = do_POST = do_PUT = _serve  # noqa: N815 - the names http.server calls

    def _noted(self, raw: bytes) -> dict[str, Any]:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return {"method": self.command, "path": self.path, "headers": headers, "body": _parsed(raw)}

    def _send_recording(self, recording: Recording, *, elapsed: float) -> None:
        family, calls = recording.question.family, self.server.owner.calls
        headers = provider_headers(family, calls=calls, elapsed=elapsed)
        headers["content-type"] = recording.content_type
        if recording.question.form == "json":
            self._send(Reply(200, recording.body, headers))
        else:
            self._stream(recording.events(), headers)

    def _send(self, reply: Reply) -> None:
        headers = {"content-type": "application/json", "x-request-id": new_request_id()}
        headers |= {name.lower(): value for name, value in reply.headers.items()}
        self._begin(reply.status, headers | {"content-length": str(len(reply.body))})
        self.wfile.write(reply.body)

    def _stream(self, events: list[bytes], headers: dict[str, str]) -> None:
        self._begin(200, headers | {"transfer-encoding": "chunked"})
        for event in events:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.flush()
            if self.server.closing.wait(self.server.owner.event_delay):
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def finish(self) -> None:
        # Flushing to a client that has gone fails, and must not leave the other half of the socket open.
        with suppress(OSError):
            super().finish()
        self.rfile.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its base's name for it
        """Say nothing: the requests are noted on the StandIn."""


def _answer(method: str, target: str, raw: bytes) -> Reply | Recording:
    path = urlsplit(target).path
    if method == "GET" and path.endswith("/models"):
        return Reply(200, model_list())
    payload = _parsed(raw)
    question = read_question(target, payload if isinstance(payload, dict) else {})
    if method != "POST" or question is None:
        return _refusal(404, f"Unexpected endpoint or method. ({method} {path})")
    if not question.payload:
        return _refusal(400, "The request body is not a JSON object.")
    return choose(question)


def _refusal(status: int, message: str) -> Reply:
    error = {"message": message, "type": "invalid_request_error"}
    return Reply(status, json.dumps({"error": error}).encode())


def _parsed(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")
