"""Calls and streams that are left early: they end at once, store nothing and keep no connection."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing
from time import perf_counter

import pytest

from django_llmcache import achat, astream, cache, stream
from django_llmcache.contrib.demo.standin import Stall, StandIn
from tests.client.asking import HI, KEY
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

ANSWER = whole(b'{"choices": [{"message": {"content": "Hi"}}]}')


def words(server, **more):
    return {"model": "m", "api_key": KEY, "base_url": f"{server.url}/v1", **more}


class Late:
    """Answers when it is told to, and says when it was asked."""

    def __init__(self, answer):
        self.asked, self.due, self._answer = threading.Event(), threading.Event(), answer

    def __call__(self, connection):
        self.asked.set()
        self.due.wait(LONG)
        connection.sendall(self._answer)


HALF = chunked_head("text/event-stream") + chunk(b'data: {"choices": [{"delta": {"content": "half"}}]}\n\n')


class Half:
    """Sends half an answer, and says when its client has gone."""

    def __init__(self):
        self.gone = threading.Event()

    def __call__(self, connection):
        connection.sendall(HALF)
        connection.settimeout(LONG)
        if not connection.recv(1):
            self.gone.set()


def test_a_cancelled_call_ends_at_once_and_stores_nothing(on_loop):
    answer = Late(ANSWER)

    async def ask(server):
        task = asyncio.create_task(achat("openai", HI, **words(server, timeout=LONG)))
        await asyncio.to_thread(answer.asked.wait, LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Loopback(answer, ANSWER) as server:
        asyncio.run(ask(server))
        answer.due.set()
        assert server.closed.acquire(timeout=LONG)

        assert cache.stats().entries == 0
        assert asyncio.run(achat("openai", HI, **words(server))).text == "Hi"


def test_wait_for_bounds_a_call(on_loop):
    with StandIn(latency=0) as provider:
        provider.script(Stall(0.4))

        with pytest.raises(TimeoutError):
            asyncio.run(asyncio.wait_for(achat("openai", HI, **words(provider)), 0.05))

        assert cache.stats().entries == 0


def test_leaving_a_stream_half_way_cuts_its_connection(on_loop):
    answer = Half()

    async def ask(server):
        async with aclosing(astream("openai", HI, **words(server, timeout=LONG))) as events:
            event = await anext(events)
        # While the loop runs, which takes its connections with it.
        assert await asyncio.to_thread(answer.gone.wait, LONG / 2)
        return event.text

    with Loopback(answer) as server:
        assert asyncio.run(ask(server)) == "half"


def test_closing_a_stream_that_nobody_read_cuts_its_connection():
    answer = Half()

    with Loopback(answer) as server:
        events = stream("openai", HI, **words(server, timeout=LONG))
        events.close()

        assert answer.gone.wait(LONG / 2)
        assert events.status == 200


@pytest.mark.parametrize("leave", ["close", "with", "loop"])
def test_leaving_a_sync_stream_half_way_cuts_its_connection(leave):
    answer = Half()

    with Loopback(answer) as server:
        events = stream("openai", HI, **words(server, timeout=LONG))
        if leave == "with":
            with events:
                text = next(iter(events)).text
        elif leave == "close":
            text = next(iter(events)).text
            events.close()
        else:
            for event in events:
                text = event.text
                break

        assert answer.gone.wait(LONG / 2)
        assert (text, events.status) == ("half", 200)


def test_cancelling_a_stream_that_waits_cuts_its_connection(on_loop):
    answer = Half()

    async def ask(server):
        came = asyncio.Event()

        async def read():
            async with aclosing(astream("openai", HI, **words(server, timeout=LONG))) as events:
                async for _ in events:
                    came.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(came.wait(), LONG)
        began = perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return perf_counter() - began

    with Loopback(answer) as server:
        assert asyncio.run(ask(server)) < LONG / 4
        assert answer.gone.wait(LONG / 4)


def test_cancelling_a_stream_that_has_not_begun_leaves_nothing_open(on_loop):
    answer = Late(HALF)

    async def ask(server):
        task = asyncio.create_task(anext(astream("openai", HI, **words(server, timeout=LONG))))
        await asyncio.to_thread(answer.asked.wait, LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer.due.set()

    with Loopback(answer) as server:
        asyncio.run(ask(server))
