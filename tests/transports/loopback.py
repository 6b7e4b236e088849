"""A server on loopback that answers with any bytes at all, and says who connected and what came."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

Answer = bytes | Callable[[socket.socket], None]
"""What one request gets: bytes, after which the connection stays open, or a function, after which it is closed."""

LONG = 10.0
"""Seconds that nothing here takes, unless it hangs."""


class Loopback:
    """Answers requests one after another as it was told; the last answer holds for all further ones.

    Attributes:
        connections: how many were accepted.
        requests: each request as it came, head and body.
        tls: with which it speaks, where it does.
        gone: released once for each connection that its client closed.
        closed: released once for each connection that is closed on this side.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.gone = threading.Semaphore(0)
        self.closed = threading.Semaphore(0)
        self._answers = list(answers)
        self._tls = tls
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def address(self) -> str:
        """Return ``host:port``."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        # A connection wakes the acceptor everywhere; closing the listener does not.
        with self._lock:
            self._closing = True
        with suppress(OSError):
            socket.create_connection(self._listener.getsockname(), timeout=LONG).close()
        self._threads[0].join(LONG)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(LONG)

    _closing = False

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        self._answer(connection)
        self.closed.release()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.settimeout(LONG)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
        with connection, suppress(OSError):
            while request := _read(connection):
                answer = self._next(request)
                if not isinstance(answer, bytes):
                    answer(connection)
                    return
                connection.sendall(answer)
            self.gone.release()

    def _next(self, request: bytes) -> Answer:
        with self._lock:
            self.requests.append(request)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def whole(
    body: bytes, *, status: str = "200 OK", headers: Iterable[str] = ("content-type: application/json",)
) -> bytes:
    """Return an HTTP answer with its length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(body: bytes, content_type: str, *, size: int) -> bytes:
    """Return an HTTP answer in chunks of ``size`` bytes, whatever they cut through."""
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return chunked_head(content_type) + chunks + b"0\r\n\r\n"


def chunked_head(content_type: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def self_signed(folder: Path) -> Path:
    """Return the file of a key and a certificate for this machine."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate]
    subprocess.run(["openssl", "req", *made, *names], check=True, capture_output=True, timeout=60)
    certificate.write_bytes(key.read_bytes() + certificate.read_bytes())
    return certificate


def _read(connection: socket.socket) -> bytes:
    """Return one request, or nothing where the client has gone."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0].partition(b":")[2]) - len(body) if lengths else 0
    while missing > 0:
        piece = connection.recv(missing)
        if not piece:
            return b""
        received += piece
        missing -= len(piece)
    return received
