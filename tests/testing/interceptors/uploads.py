"""A server on loopback that says what bodies it got, however they were framed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.transports.loopback import LONG


class Uploads(ThreadingHTTPServer):
    """Attributes:
    bodies: each body that came.
    framings: how the length of each was told: ``content-length`` or ``transfer-encoding``.
    came: released once for each chunk.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self.framings: list[str] = []
        self.came = threading.Semaphore(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def slowly(self) -> Iterator[bytes]:
        """Yield a body whose second piece is there when the first has come: nobody can read it beforehand."""
        yield b"a"
        assert self.came.acquire(timeout=LONG)
        yield b"b"


@contextmanager
def uploads() -> Iterator[Uploads]:
    with Uploads() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Uploads

    def do_POST(self) -> None:
        length = self.headers.get("content-length")
        self.server.framings.append("transfer-encoding" if length is None else "content-length")
        self.server.bodies.append(b"".join(self._chunks()) if length is None else self.rfile.read(int(length)))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"id": "x-1"}')

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
            self.server.came.release()
        self.rfile.readline()

    def log_message(self, format, *args) -> None:  # noqa: A002 - its base's name for it
        """Say nothing."""
