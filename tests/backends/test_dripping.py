"""A store whose answers come byte by byte, each of them in time, costs its deadline and no more."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache.backends.django_cache import DjangoCacheBackend
from tests import stores

from .contract import entry_of

DEADLINE = 0.2
SLACK = 0.5
"""Seconds that a busy machine may add."""


class Line:
    """A slow line to a server: what it answers comes byte by byte, as soon as ``slow`` is set."""

    def __init__(self, port: int) -> None:
        self.slow = threading.Event()
        self._ended = threading.Event()
        self._server = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._ends = [self._socket]
        self._threads: list[threading.Thread] = []

    @contextmanager
    def open(self):
        self._begin(self._accept)
        try:
            yield self
        finally:
            self._ended.set()
            for end in self._ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # wakes who waits for it
            for thread in self._threads:
                thread.join()
            for end in self._ends:
                end.close()

    def _begin(self, act, *args) -> None:
        thread = threading.Thread(target=act, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(("127.0.0.1", self._server))
                self._ends += (client, server)
                self._begin(self._pass_on, client, server, False)
                self._begin(self._pass_on, server, client, True)

    def _pass_on(self, one: socket.socket, other: socket.socket, drips: bool) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if not (drips and self.slow.is_set()):
                    other.sendall(data)
                    continue
                for number in range(len(data)):
                    other.sendall(data[number : number + 1])
                    if self._ended.wait(DEADLINE / 10):
                        return
            other.shutdown(socket.SHUT_RDWR)


@pytest.fixture(params=["redis", "django-redis", "memcached"])
def kind(request):
    return request.param


@pytest.fixture
def line(kind):
    server = (stores.memcached() if kind == "memcached" else stores.redis()).start()
    with Line(server.port).open() as line:
        yield line
    server.stop()


@pytest.mark.parametrize("do", ["look", "put"])
def test_it_costs_its_deadline(kind, line, tmp_path, do):
    alias = stores.alias_for(kind, tmp_path, server=line)
    with override_settings(CACHES={"default": caches.settings["default"], "llm": alias}):
        backend = DjangoCacheBackend({"ALIAS": "llm", "READ_TIMEOUT": DEADLINE, "WRITE_TIMEOUT": DEADLINE})
        backend.put(entry_of())
        line.slow.set()
        started = time.perf_counter()
        with pytest.raises(Exception, match=r"imeout|timed out|took longer"):
            backend.find(entry_of().key) if do == "look" else backend.put(entry_of())
        took = time.perf_counter() - started
        backend.close()

    assert DEADLINE * 0.9 < took < DEADLINE + SLACK
