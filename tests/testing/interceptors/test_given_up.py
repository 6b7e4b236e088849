"""An answer that its client gives up half way, for its time is out or it is cancelled: nothing of the provider's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import aiohttp
import httpx
import httpx2
import pytest

from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

from .clients import CLIENTS, Wish

EVENT = b'data: {"n": 0}\n\n'
HEADS = {"a stream": chunked_head("text/event-stream") + chunk(EVENT), "an answer at once": whole(b"{}" * 10)[:-10]}
ON_A_LOOP = ("httpx2 async", "httpx async", "aiohttp")
SOON = 0.2
"""Seconds that a client waits which is to give up."""


@contextmanager
def stopping(lab, begun: bytes, *before: bytes) -> Iterator[str]:
    """Serve an answer that goes no further than its beginning for as long as anybody waits."""
    over = threading.Event()

    def serve(connection):
        connection.sendall(begun)
        over.wait(LONG)

    with Loopback(*before, serve) as server:
        lab.knows(server.url)
        yield f"{server.url}/v1/chat/completions"
        over.set()


def fixtures(lab) -> int:
    return len(list(lab.folder.rglob("*.json")))


@pytest.mark.parametrize("begun", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("streamed", [True, False], ids=["in pieces", "at once"])
def test_one_whose_client_has_no_more_time_is_not_recorded(lab, ask, begun, streamed):
    with stopping(lab, begun) as url, lab.recording() as session:
        seen = ask(Wish(url, timeout=SOON, streamed=streamed))

    assert seen.error == "timeout"
    assert fixtures(lab) == 0
    assert session.counts == {"live": 1}
    assert len(lab.warned) == 1


@pytest.mark.parametrize("ask", [pytest.param(CLIENTS[name], id=name) for name in ON_A_LOOP])
def test_one_whose_reader_is_cancelled_is_not_recorded(lab, ask):
    def cancel(piece):
        asyncio.current_task().cancel()

    with stopping(lab, HEADS["a stream"]) as url, lab.recording() as session, pytest.raises(asyncio.CancelledError):
        ask(Wish(url, told=cancel))

    assert fixtures(lab) == 0
    assert session.counts == {"live": 1}
    assert "its reader was cancelled" in lab.warned[0]


async def work() -> None:
    """Be cancelled while a piece is worked on."""
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def working_over_httpx(library, url):
    async with library.AsyncClient(verify=False) as client, client.stream("POST", url, json={}) as answer:
        async for _ in answer.aiter_bytes():
            await work()


async def working_over_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as answer:
        async for _ in answer.content.iter_any():
            await work()


WORKING = {
    "httpx2": partial(working_over_httpx, httpx2), "httpx": partial(working_over_httpx, httpx),
    "aiohttp": working_over_aiohttp,
}  # fmt: skip


@pytest.mark.parametrize("ask", WORKING.values(), ids=WORKING)
def test_nor_is_one_whose_reader_is_cancelled_while_it_works_on_a_piece(lab, ask):
    with stopping(lab, HEADS["a stream"]) as url, lab.recording(), pytest.raises(asyncio.CancelledError):
        asyncio.run(ask(url))

    assert fixtures(lab) == 0
    assert "its reader was cancelled" in lab.warned[0]


def test_one_that_is_asked_because_of_a_cancellation_and_left_early_is_recorded(lab):
    async def ask(url):
        try:
            raise asyncio.CancelledError
        except asyncio.CancelledError:
            async with httpx2.AsyncClient(verify=False) as client, client.stream("POST", url, json={}) as answer:
                async for _ in answer.aiter_bytes():
                    break

    with stopping(lab, HEADS["a stream"]) as url, lab.recording():
        asyncio.run(ask(url))

    assert fixtures(lab) == 1


async def words_over_httpx(library, url):
    async with library.AsyncClient(verify=False) as client, client.stream("POST", url, json={}) as answer:
        async for piece in answer.aiter_bytes():
            yield piece


async def words_over_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as answer:
        async for piece in answer.content.iter_any():
            yield piece


WORDS = {
    "httpx2": partial(words_over_httpx, httpx2), "httpx": partial(words_over_httpx, httpx),
    "aiohttp": words_over_aiohttp,
}  # fmt: skip


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_one_that_is_left_early_is_recorded_though_its_generator_goes_with_the_loop(lab, words):
    async def first(url):
        return await anext(words(url))

    with stopping(lab, HEADS["a stream"]) as url, lab.recording():
        asyncio.run(first(url))  # which cancels the task that closes the generator

    assert fixtures(lab) == 1
    assert lab.warned == []


def test_one_that_says_its_end_is_recorded_though_its_reader_is_cancelled_then(lab):
    last = chunked_head("text/event-stream") + chunk(b"data: [DONE]\n\n")
    with stopping(lab, last) as url, lab.recording(), pytest.raises(asyncio.CancelledError):
        asyncio.run(working_over_httpx(httpx2, url))

    assert fixtures(lab) == 1
    assert lab.warned == []


def test_before_an_answer_has_begun_its_time_out_takes_nothing_from_one_that_came(lab):
    async def ask(url, **time):
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, **time)) as session:
            with suppress(aiohttp.ServerTimeoutError):
                async with session.post(url, json={}) as answer:
                    await answer.read()

    with stopping(lab, b"", whole(b"{}")) as url, lab.recording():
        asyncio.run(ask(url))
        asyncio.run(ask(url, sock_read=SOON))

    assert fixtures(lab) == 1


def test_after_an_answer_that_came_one_that_was_given_up_keeps_both_away(lab, ask):
    with stopping(lab, HEADS["a stream"], whole(b"{}")) as url, lab.recording():
        seen = [ask(Wish(url)), ask(Wish(url, timeout=SOON))]

    assert [one.error for one in seen] == ["", "timeout"]
    assert fixtures(lab) == 0
