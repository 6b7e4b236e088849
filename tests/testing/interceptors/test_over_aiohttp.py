"""What is peculiar to ``aiohttp``: its many ways to read, its pool, and its websockets."""

from __future__ import annotations

import asyncio
import gzip
import io
import time

import aiohttp
import pytest

from django_llmcache.recorder.faults import Fault
from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

from .uploads import Uploads, uploads

FINE = whole(b'{"id": "x-1"}')
EVENTS = tuple(b'data: {"n": %d}\n\n' % number for number in range(4))
STREAM = chunked_head("text/event-stream") + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n"
STALLED = chunked_head("text/event-stream") + chunk(EVENTS[0])


def answers(*steps):
    return pytest.mark.parametrize("server", [steps], indirect=True, ids=[""])


def path(server: Loopback | Uploads) -> str:
    return f"{server.url}/v1/chat/completions"


def asking(url, read, times=1, **body):
    """Ask some times over one session, and return what was read the last time."""

    async def ask():
        async with aiohttp.ClientSession() as session:
            for _ in range(times):
                async with session.post(url, **(body or {"json": {}})) as answer:
                    seen = await read(answer)
        return seen

    return asyncio.run(ask())


async def lines(answer):
    return [line async for line in answer.content]


async def as_it_comes(answer):
    return b"".join([piece async for piece in answer.content.iter_any()])


async def in_fives(answer):
    return [piece async for piece in answer.content.iter_chunked(5)]


async def exactly(answer):
    return await answer.content.readexactly(7), await answer.content.read()


async def in_chunks(answer):
    return [chunk async for chunk in answer.content.iter_chunks()]


async def text(answer):
    return await answer.text()


async def body(answer):
    return await answer.read()


async def head(answer):
    return answer.status


async def mark(answer):
    return answer.headers["x-llmcache"]


@answers(STREAM)
@pytest.mark.parametrize(
    "read", [lines, as_it_comes, in_chunks, in_fives, exactly, text, body], ids=lambda read: read.__name__
)
def test_however_a_stream_is_read_it_is_the_same_live_recorded_and_replayed(lab, server, read):
    live = asking(path(server), read)
    with lab.recording():
        recorded = asking(path(server), read)
    with lab.replaying():
        replayed = asking(path(server), read)

    assert b"".join(live) == b"".join(recorded) if read is in_fives else live == recorded
    assert replayed == recorded


@answers(FINE)
@pytest.mark.parametrize("read", [body, head], ids=["read", "not read"])
def test_recorded_calls_share_a_connection_as_others_do(lab, server, read):
    with lab.recording() as recorder:
        asking(path(server), read, times=3)

    assert recorder.counts["recorded"] == 3
    assert server.connections == 1


@answers(FINE)
def test_an_answer_that_has_come_frees_its_connection_before_it_is_read(lab, server):
    async def ask():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            first = await session.post(path(server), json={})
            second = await asyncio.wait_for(session.post(path(server), json={}), LONG)
            return await first.read(), await second.read()

    with lab.recording():
        first, second = asyncio.run(ask())

    assert first == second == b'{"id": "x-1"}'


@answers(FINE)
def test_a_replay_puts_nothing_into_the_pool(lab, server):
    async def ask():
        async with aiohttp.ClientSession() as session:
            async with session.post(path(server), json={}) as answer:
                await answer.read()
            return list(session.connector._conns.values())

    with lab.recording():
        asking(path(server), body)
    with lab.replaying():
        pooled = asyncio.run(ask())

    assert pooled == []


@answers(lambda connection: (connection.sendall(STALLED), connection.recv(1)))
def test_a_recorded_stream_that_is_closed_early_gives_up_its_connection(lab, server):
    async def first(answer):
        return await answer.content.readany()

    with lab.recording():
        recorded = asking(path(server), first)
        assert server.closed.acquire(timeout=LONG)
    with lab.replaying():
        replayed = asking(path(server), first)

    assert replayed == recorded == EVENTS[0]


@pytest.mark.parametrize(
    ("sent", "as_received"),
    [
        (lambda: {"data": b"a=1"}, b"a=1"),
        (lambda: {"data": {"a": "1"}}, b"a=1"),
        (lambda: {"data": io.BytesIO(b"a=1")}, b"a=1"),
        (lambda: {"json": {"a": 1}}, b'{"a": 1}'),
        (lambda: {"data": _pieces()}, b"a=1"),
    ],
    ids=["bytes", "form", "file", "json", "generator"],
)
def test_a_body_of_any_kind_reaches_the_provider_and_finds_its_recording(lab, sent, as_received):
    with uploads() as server:
        lab.knows(server.url)
        with lab.recording():
            asking(path(server), body, **sent())
    with lab.replaying():
        replayed = asking(path(server), mark, **sent())

    assert replayed == "replay"
    assert server.bodies == [as_received]


async def _pieces():
    yield b"a="
    yield b"1"


def test_a_multipart_body_finds_its_recording_whatever_its_boundary(lab):
    def form():
        data = aiohttp.FormData()
        data.add_field("file", b"a=1", filename="a.txt")
        return data

    with uploads() as server:
        lab.knows(server.url)
        with lab.recording():
            asking(path(server), body, data=form())
    with lab.replaying():
        replayed = asking(path(server), mark, data=form())

    assert replayed == "replay"
    assert b"\r\n\r\na=1\r\n" in server.bodies[0]


def test_a_stream_to_another_host_is_sent_as_a_stream(lab):
    async def slowly():
        for piece in server.slowly():
            yield piece
            await asyncio.sleep(0)

    with uploads() as server, lab.recording():
        asking(path(server), body, data=slowly())

    assert (server.bodies, server.framings) == ([b"ab"], ["transfer-encoding"])


@answers(b"HTTP/1.1 100 Continue\r\n\r\n" + FINE)
def test_the_answer_after_a_100_is_the_one_that_is_recorded(lab, server):
    with lab.recording():
        asking(path(server), body)
    with lab.replaying():
        replayed = asking(path(server), body)

    assert replayed == b'{"id": "x-1"}'


@answers(whole(gzip.compress(b'{"id": "x-1"}'), headers=("content-encoding: gzip",)))
def test_a_body_that_its_reader_leaves_compressed_is_recorded_as_what_it_says(lab, server):
    async def ask():
        session = aiohttp.ClientSession(auto_decompress=False)
        async with session, session.post(path(server), json={}) as answer:
            return await answer.read()

    with lab.recording():
        recorded = asyncio.run(ask())
    with lab.replaying():
        replayed = asyncio.run(ask())

    assert gzip.decompress(recorded) == replayed == b'{"id": "x-1"}'


@answers(lambda connection: None)
def test_a_provider_that_hangs_up_is_the_clients_own_error_and_is_not_recorded(lab, server):
    with lab.recording(), pytest.raises(aiohttp.ServerDisconnectedError):
        asking(path(server), body)

    assert not list(lab.folder.rglob("*.json"))


@answers(FINE)
def test_a_websocket_to_a_provider_is_refused_in_a_replay(lab, server):
    async def connect():
        async with aiohttp.ClientSession() as session, session.ws_connect(path(server)):
            pass

    with lab.replaying(), pytest.raises(FixtureMiss, match="aiohttp"):
        asyncio.run(connect())
    assert server.connections == 0


@answers(STREAM)
def test_a_pause_that_a_test_asks_for_is_waited_for(lab, server):
    with lab.recording():
        recorded = asking(path(server), body)
    with lab.replaying(fault=Fault.parse("slow(ttft=0.02, wait=true)")):
        began = time.perf_counter()
        replayed = asking(path(server), body)

    assert time.perf_counter() - began >= 0.02
    assert replayed == recorded
