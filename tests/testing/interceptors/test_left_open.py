"""A stream that its reader leaves without closing it, as SDKs let one do: recorded as far as it was read."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import aiohttp
import httpx
import httpx2
import pytest
import requests

from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

EVENTS = tuple(b'data: {"n": %d}\n\n' % number for number in range(3))
HEADERS = {"content-type": "application/json"}
BODY = b'{"model": "m", "messages": []}'

Leave = Callable[[str, ExitStack], Iterator[bytes]]
"""Asks, and returns the body's pieces; what would close it is left to the stack."""


def by_requests(url: str, later: ExitStack) -> Iterator[bytes]:
    session = later.enter_context(requests.Session())
    answer = session.post(url, data=BODY, headers=HEADERS, stream=True, timeout=LONG)
    later.callback(answer.close)
    return answer.iter_content(None)


def by_httpx(library) -> Leave:
    def leave(url: str, later: ExitStack) -> Iterator[bytes]:
        client = later.enter_context(library.Client(verify=False, timeout=LONG))
        answer = client.send(client.build_request("POST", url, content=BODY, headers=HEADERS), stream=True)
        later.callback(answer.close)
        return answer.iter_bytes()

    return leave


def by_httpx_async(library) -> Leave:
    def leave(url: str, later: ExitStack) -> Iterator[bytes]:
        loop = asyncio.new_event_loop()
        later.callback(_ended, loop)
        client = library.AsyncClient(verify=False, timeout=LONG)
        later.callback(lambda: loop.run_until_complete(client.aclose()))
        request = client.build_request("POST", url, content=BODY, headers=HEADERS)
        answer = loop.run_until_complete(client.send(request, stream=True))
        pieces = answer.aiter_bytes()
        later.callback(lambda: loop.run_until_complete(answer.aclose()))
        later.callback(lambda: loop.run_until_complete(pieces.aclose()))
        return _stepped(loop, pieces)

    return leave


def by_aiohttp(url: str, later: ExitStack) -> Iterator[bytes]:
    loop = asyncio.new_event_loop()
    later.callback(_ended, loop)

    async def ask():
        session = aiohttp.ClientSession()
        later.callback(lambda: loop.run_until_complete(session.close()))
        return await session.post(url, data=BODY, headers=HEADERS)

    answer = loop.run_until_complete(ask())
    later.callback(answer.close)
    return _stepped(loop, answer.content.iter_any())


def _ended(loop) -> None:
    """Close a loop as ``asyncio.run`` does, with what async generators inside the libraries still have to close."""
    gc.collect()
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _stepped(loop, pieces) -> Iterator[bytes]:
    while True:
        try:
            yield loop.run_until_complete(anext(pieces))
        except StopAsyncIteration:
            return


LEAVING = {
    "requests": by_requests,
    "httpx2": by_httpx(httpx2),
    "httpx2 async": by_httpx_async(httpx2),
    "httpx": by_httpx(httpx),
    "httpx async": by_httpx_async(httpx),
    "aiohttp": by_aiohttp,
}


@pytest.fixture(params=[pytest.param(leave, id=name) for name, leave in LEAVING.items()])
def leave(request) -> Leave:
    """Return each client in turn."""
    return request.param


@pytest.fixture
def later() -> Iterator[ExitStack]:
    """Return what is closed when the test is over, and not before."""
    with ExitStack() as stack:
        yield stack


@contextmanager
def sending(lab, *events: bytes) -> Iterator[str]:
    """Serve a stream that goes no further than these events for as long as anybody waits."""
    over = threading.Event()

    def serve(connection):
        connection.sendall(chunked_head("text/event-stream"))
        for event in events:
            connection.sendall(chunk(event))
        over.wait(LONG)

    with Loopback(serve) as server:
        lab.knows(server.url)
        yield f"{server.url}/v1/chat/completions"
        over.set()


def fixtures(lab) -> int:
    return len(list(lab.folder.rglob("*.json")))


def test_a_stream_that_is_left_open_is_recorded_as_far_as_it_was_read(lab, leave, later):
    with sending(lab, EVENTS[0]) as url:
        with lab.recording() as session:
            first = next(leave(url, later))
        later.close()

    with lab.replaying() as replayed:
        again = next(leave(url, later))

    assert first == again == EVENTS[0]
    assert session.counts["recorded"] == fixtures(lab) == 1
    assert replayed.counts == {"replayed": 1}
    assert lab.warned == []


def test_the_test_is_told_of_one_that_is_read_on_after_its_end(lab, leave, later):
    is_over = threading.Event()

    def serve(connection):
        connection.sendall(chunked_head("text/event-stream") + chunk(EVENTS[0]))
        is_over.wait(LONG)
        connection.sendall(b"".join(map(chunk, EVENTS[1:])) + b"0\r\n\r\n")

    with Loopback(serve) as server:
        lab.knows(server.url)
        with lab.recording():
            pieces = leave(f"{server.url}/v1/chat/completions", later)
            next(pieces)
        is_over.set()
        rest = b"".join(pieces)

    assert rest == b"".join(EVENTS[1:])
    (said,) = lab.warned
    assert "read it inside" in said


def test_reading_on_where_it_was_left_open_is_a_miss(lab, leave, later):
    with sending(lab, EVENTS[0]) as url:
        with lab.recording():
            next(leave(url, later))
        later.close()

    with pytest.raises(FixtureMiss, match=r"was over before its stream.*reads on"), lab.replaying():
        list(leave(url, later))


def test_one_of_which_nothing_was_read_is_recorded_by_its_head(lab, leave, later):
    with sending(lab) as url:
        with lab.recording() as session:
            pieces = leave(url, later)
        del pieces
        later.close()

    with lab.replaying() as replayed:
        leave(url, later)

    assert session.counts["recorded"] == fixtures(lab) == 1
    assert replayed.counts == {"replayed": 1}


def test_a_body_that_came_whole_is_whole_though_nobody_read_its_end(lab, leave, later):
    with Loopback(whole(b'{"text": "Paris"}')) as server:
        lab.knows(server.url)
        url = f"{server.url}/v1/chat/completions"
        with lab.recording():
            next(leave(url, later))
        later.close()

    with lab.replaying():
        assert b"".join(leave(url, later)) == b'{"text": "Paris"}'
