"""What is peculiar to ``httpx2`` and ``httpx``: two libraries with one API, streams that are closed, tasks that end."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import time
from types import FunctionType
from unittest.mock import Mock

import httpx
import httpx2
import pytest

from django_llmcache.recorder.faults import Fault
from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

from .uploads import Uploads, uploads

FINE = whole(b'{"id": "x-1"}')
EVENTS = tuple(b'data: {"n": %d}\n\n' % number for number in range(4))
STREAM = chunked_head("text/event-stream") + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n"
STALLED = chunked_head("text/event-stream") + chunk(EVENTS[0])


@pytest.fixture(params=[httpx2, httpx], ids=["httpx2", "httpx"])
def library(request):
    return request.param


@pytest.fixture
def pools(library):
    """Return a library's own pools, sync and async: where respx puts its mocks."""
    with library.HTTPTransport(verify=False) as transport:
        return type(transport._pool), type(library.AsyncHTTPTransport(verify=False)._pool)


def answers(*steps):
    return pytest.mark.parametrize("server", [steps], indirect=True, ids=[""])


def path(server: Loopback | Uploads) -> str:
    return f"{server.url}/v1/chat/completions"


@answers(FINE, STREAM, FINE)
def test_recorded_calls_share_a_connection_as_others_do(lab, library, server):
    with lab.recording() as recorder, library.Client(verify=False) as client:
        for _ in range(3):
            client.post(path(server), json={})

    assert recorder.counts["recorded"] == 3
    assert server.connections == 1


@answers(lambda connection: (connection.sendall(STALLED), connection.recv(1)))
def test_a_recorded_stream_that_is_closed_early_gives_up_its_connection(lab, library, server):
    with lab.recording(), library.Client(verify=False) as client:
        with client.stream("POST", path(server), json={}) as answer:
            next(answer.iter_bytes())

        assert server.closed.acquire(timeout=LONG)


@answers(lambda connection: (connection.sendall(STALLED), connection.recv(1)))
def test_a_recorded_async_stream_that_is_closed_early_gives_up_its_connection(lab, library, server):
    async def ask():
        async with library.AsyncClient(verify=False) as client:
            async with client.stream("POST", path(server), json={}) as answer:
                pieces = answer.aiter_bytes()  # held: a generator that goes away closes what it reads from
                await anext(pieces)

            return await asyncio.to_thread(server.closed.acquire, timeout=LONG)

    with lab.recording():
        assert asyncio.run(ask())


@answers(FINE)
def test_a_live_answer_keeps_what_the_library_knows_of_its_connection(lab, library, server):
    with lab.recording(), library.Client(verify=False) as client:
        answer = client.post(path(server), json={})

    assert answer.http_version == "HTTP/1.1"
    assert "network_stream" in answer.extensions


@answers(FINE)
def test_a_replay_says_which_http_it_speaks(lab, library, server):
    with library.Client(verify=False) as client:
        with lab.recording():
            client.post(path(server), json={})
        with lab.replaying():
            answer = client.post(path(server), json={})

    assert (answer.http_version, answer.reason_phrase) == ("HTTP/1.1", "OK")


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (lambda: {"content": iter([b"a=", b"1"])}, b"a=1"),
        (lambda: {"files": {"file": ("a.txt", b"a=1")}, "data": {"purpose": "batch"}}, b"\r\n\r\na=1\r\n"),
        (lambda: {"data": {"a": "1"}}, b"a=1"),
    ],
    ids=["generator", "multipart", "form"],
)
def test_a_body_of_any_kind_reaches_the_provider_and_finds_its_recording(lab, library, body, sent):
    with uploads() as server:
        lab.knows(server.url)
        with lab.recording(), library.Client(verify=False) as client:
            client.post(path(server), **body())
    with lab.replaying(), library.Client(verify=False) as client:
        replayed = client.post(path(server), **body())

    assert replayed.json() == {"id": "x-1"}
    assert len(server.bodies) == 1
    assert sent in server.bodies[0]


def test_an_async_body_reaches_the_provider_and_finds_its_recording(lab, library):
    async def body():
        yield b"a="
        yield b"1"

    async def ask():
        async with library.AsyncClient(verify=False) as client:
            return await client.post(path(server), content=body())

    with uploads() as server:
        lab.knows(server.url)
        with lab.recording():
            asyncio.run(ask())
    with lab.replaying():
        replayed = asyncio.run(ask())

    assert replayed.json() == {"id": "x-1"}
    assert server.bodies == [b"a=1"]


def test_a_stream_to_another_host_is_sent_as_a_stream(lab, library):
    with uploads() as server, lab.recording(), library.Client(verify=False) as client:
        client.post(path(server), content=server.slowly())

    assert (server.bodies, server.framings) == ([b"ab"], ["transfer-encoding"])


@answers(lambda connection: (connection.sendall(STALLED), connection.recv(1)))
def test_of_a_stream_in_which_a_task_is_cancelled_nothing_is_recorded(lab, library, server):
    async def read(came: asyncio.Event):
        async with library.AsyncClient(verify=False) as client, client.stream("POST", path(server), json={}) as answer:
            async for _ in answer.aiter_bytes():
                came.set()

    async def cancel():
        came = asyncio.Event()
        task = asyncio.create_task(read(came))
        await asyncio.wait_for(came.wait(), LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with lab.recording() as session:
        asyncio.run(cancel())

    assert session.counts == {"live": 1}
    assert list(lab.folder.rglob("*.json")) == []


@answers(FINE)
def test_many_tasks_at_once_get_each_their_own_answer(lab, library, server):
    async def ask():
        async with library.AsyncClient(verify=False) as client:
            calls = [client.post(path(server), json={"n": number}) for number in range(8)]
            return await asyncio.gather(*calls)

    with lab.recording() as first:
        asyncio.run(ask())
    with lab.replaying() as second:
        replayed = asyncio.run(ask())

    assert first.counts["recorded"] == second.counts["replayed"] == 8
    assert [answer.json() for answer in replayed] == [{"id": "x-1"}] * 8


@answers(FINE)
def test_a_miss_leaves_neither_a_connection_nor_a_stream_open(lab, library, server):
    with lab.replaying(), library.Client(verify=False) as client:
        for _ in range(3):
            with pytest.raises(FixtureMiss):
                client.post(path(server), json={})
        transport = client._transport_for_url(library.URL(server.url))

        assert transport._pool.connections == []
    assert server.connections == 0


def mocking(pools, monkeypatch, body: bytes) -> None:
    """Let a mock answer in the place of both pools, as respx does."""
    core = sys.modules[pools[0].__module__]

    def answer(self, request):
        return core.Response(200, content=body)

    async def aanswer(self, request):
        return core.Response(200, content=body)

    monkeypatch.setattr(pools[0], "handle_request", of_respx(answer))
    monkeypatch.setattr(pools[1], "handle_async_request", of_respx(aanswer))


def of_respx(function):
    """Return a function as if respx had written it."""
    namespace = {**function.__globals__, "__name__": "respx.mocks"}
    return FunctionType(function.__code__, namespace, function.__name__, closure=function.__closure__)


def by_client(library, url):
    with library.Client(verify=False) as client:
        return client.post(url, json={}).content


def by_async_client(library, url):
    async def ask():
        async with library.AsyncClient(verify=False) as client:
            return (await client.post(url, json={})).content

    return asyncio.run(ask())


both = pytest.mark.parametrize("post", [by_client, by_async_client], ids=["sync", "async"])


@both
@answers(FINE)
def test_a_mock_of_the_tests_own_has_its_way_and_the_recording_goes_on_after_it(
    lab, library, server, pools, monkeypatch, post
):
    with lab.recording():
        post(library, path(server))
    with lab.replaying() as recorder:
        with monkeypatch.context() as patch:
            mocking(pools, patch, b"the mock")
            mocked = post(library, path(server))
        replayed = post(library, path(server))

    assert (mocked, replayed) == (b"the mock", b'{"id": "x-1"}')
    assert recorder.counts == {"replayed": 1}


@both
@answers(FINE)
def test_nothing_of_a_mock_is_recorded(lab, library, server, pools, monkeypatch, post):
    mocking(pools, monkeypatch, b"the mock")
    with lab.recording() as recorder:
        post(library, path(server))

    assert recorder.counts["recorded"] == 0
    assert recorder.leaks == []


@both
@answers(FINE)
def test_what_is_only_wrapped_below_is_recorded_as_ever(lab, library, server, pools, monkeypatch, post):
    for pool, name in zip(pools, ("handle_request", "handle_async_request"), strict=True):
        real = getattr(pool, name)
        monkeypatch.setattr(pool, name, functools.wraps(real)(lambda *args, real=real: real(*args)))
    with lab.recording() as recorder:
        post(library, path(server))

    assert recorder.counts["recorded"] == 1


@both
@answers(FINE)
def test_nor_does_it_matter_whether_the_wrapper_says_what_it_is_around(lab, library, server, pools, monkeypatch, post):
    for pool, name in zip(pools, ("handle_request", "handle_async_request"), strict=True):
        real = getattr(pool, name)
        monkeypatch.setattr(pool, name, lambda *args, real=real: real(*args))
    with lab.recording() as recorder:
        post(library, path(server))

    assert recorder.counts["recorded"] == 1


@answers(FINE)
def test_a_stand_in_for_the_whole_transport_answers(lab, library, server, monkeypatch):
    answer = library.Response(200, content=b"the stand-in")
    monkeypatch.setattr(library.HTTPTransport, "handle_request", Mock(return_value=answer))
    with lab.recording():
        assert by_client(library, path(server).replace("127.0.0.1", "localhost")) == b"the stand-in"


@answers(FINE, FINE)
def test_what_a_mock_passes_on_is_refused_in_a_replay_over_a_connection_from_before_too(
    lab, library, server, pools, monkeypatch
):
    real = pools[0].handle_request

    def pass_through(self, request):
        return real(self, request)

    with library.Client(verify=False) as client:
        client.post(path(server), json={})
        monkeypatch.setattr(pools[0], "handle_request", of_respx(pass_through))
        with pytest.raises(FixtureMiss, match="asked for a connection to a provider"), lab.replaying():
            client.post(path(server), json={})


@answers(STREAM)
def test_a_pause_that_a_test_asks_for_is_waited_for(lab, library, server):
    async def ask():
        async with library.AsyncClient(verify=False) as client:
            return await client.post(path(server), json={})

    with lab.recording(), library.Client(verify=False) as client:
        client.post(path(server), json={})
        recorded = client.post(path(server), json={})
    with lab.replaying(fault=Fault.parse("slow(ttft=0.02, wait=true)")), library.Client(verify=False) as client:
        began = time.perf_counter()
        answers = [client.post(path(server), json={}), asyncio.run(ask())]
        took = time.perf_counter() - began

    assert [answer.content for answer in answers] == [recorded.content] * 2
    assert took >= 0.04


ALIASED = """
import httpx2
httpx2.alias_httpx()
import httpx
from django_llmcache.testing import interceptors

assert httpx is httpx2
before = httpx2.HTTPTransport.handle_request
with interceptors.armed():
    assert httpx2.HTTPTransport.handle_request.__wrapped__ is before
assert httpx2.HTTPTransport.handle_request is before
"""


@pytest.mark.skipif(not hasattr(httpx2, "alias_httpx"), reason="this httpx2 does not stand in for httpx")
def test_a_library_under_two_names_is_replaced_once():
    done = subprocess.run([sys.executable, "-c", ALIASED], capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr == ""
    assert done.returncode == 0
