"""How long a store may take: on an event loop that has other work as well, and on a socket."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from django_llmcache.backends.stores import deadline
from django_llmcache.backends.stores.deadline import TimedSocket, within


def test_a_store_that_does_not_answer_is_given_up():
    async def work():
        async with within(0.05):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(work(), 60))


def test_what_the_loop_computes_meanwhile_does_not_count(monkeypatch):
    monkeypatch.setattr(time, "thread_time", time.monotonic)  # as of a loop that computes all the time

    async def work():
        answer = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.12, answer.set_result, None)
        async with within(0.05):
            await answer
        return "answered"

    assert asyncio.run(work()) == "answered"


def test_a_loop_that_is_held_up_does_not_count():
    async def work():
        answer = asyncio.get_running_loop().create_future()
        async with within(0.05):
            asyncio.get_running_loop().call_soon(hold_up, answer)
            await answer
        return "answered"

    def hold_up(answer):
        asyncio.get_running_loop().call_soon(answer.set_result, None)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass

    assert asyncio.run(work()) == "answered"


def test_a_loop_that_is_always_busy_ends_too():
    async def work():
        with pytest.raises(TimeoutError):
            async with within(0.005):
                while True:  # noqa: ASYNC110
                    await asyncio.sleep(0)

    asyncio.run(work())


EITHER = pytest.mark.parametrize(
    "read",
    [lambda sock: sock.recv(10), lambda sock: b"1"[: sock.recv_into(bytearray(10))]],
    ids=["recv", "recv_into"],
)


class TestTimedSocket:
    @pytest.fixture
    def ends(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(1.0)
            yield TimedSocket(ours), theirs

    @EITHER
    def test_what_came_in_time_is_read_by_a_thread_that_comes_late(self, ends, monkeypatch, read):
        ours, theirs = ends
        ours.sendall(b"GET")
        theirs.sendall(b"1")
        late(monkeypatch)

        assert read(ours) == b"1"

    @EITHER
    def test_what_has_not_come_by_then_is_not_waited_for(self, ends, monkeypatch, read):
        ours, _ = ends
        ours.sendall(b"GET")
        late(monkeypatch)

        with pytest.raises(TimeoutError, match="took longer than 1 s"):
            read(ours)

    def test_a_thread_that_waits_for_its_turn_while_it_sends_has_the_time_of_its_answer(self, monkeypatch):
        class Busy(socket.socket):
            def sendall(self, *args):
                super().sendall(*args)
                late(monkeypatch)

        ours, theirs = socket.socketpair()
        with Busy(fileno=ours.detach()) as busy, theirs:
            busy.settimeout(1.0)
            timed = TimedSocket(busy)
            timed.sendall(b"GET")
            answering = threading.Timer(0.05, theirs.sendall, (b"1",))
            answering.start()

            assert timed.recv(10) == b"1"
            answering.join()

    def test_the_next_command_has_its_own_time(self, ends, monkeypatch):
        ours, theirs = ends
        ours.sendall(b"GET")
        late(monkeypatch)
        ours.sendall(b"GET")
        answering = threading.Timer(0.05, theirs.sendall, (b"2",))
        answering.start()

        assert ours.recv(10) == b"2"
        answering.join()


def late(monkeypatch):
    """Let a minute pass."""
    now = time.monotonic
    monkeypatch.setattr(deadline.time, "monotonic", lambda: now() + 60)
