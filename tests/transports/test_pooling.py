"""Connections are kept and used again, by threads and loops alike."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from django_llmcache import achat, chat, stream
from django_llmcache.exceptions import ServerError
from tests.client.asking import HI, KEY
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

ANSWER = whole(b'{"choices": [{"message": {"content": "Hi"}}]}')
EVENTS = chunked_head("text/event-stream") + chunk(b'data: {"choices": []}\n\n') * 3 + b"0\r\n\r\n"


def words(server, **more):
    return {"model": "m", "api_key": KEY, "base_url": server.url, "cache": False, **more}


def test_calls_one_after_another_share_a_connection():
    with Loopback(ANSWER) as server:
        for _ in range(5):
            chat("openai", HI, **words(server))

        assert (server.connections, len(server.requests)) == (1, 5)


def test_calls_on_one_loop_share_a_connection(on_loop):
    async def ask(server):
        for _ in range(5):
            await achat("openai", HI, **words(server))

    with Loopback(ANSWER) as server:
        asyncio.run(ask(server))

        assert (server.connections, len(server.requests)) == (1, 5)


def test_an_error_gives_its_connection_back():
    with Loopback(whole(b"{}", status="500 No"), ANSWER) as server:
        with pytest.raises(ServerError):
            chat("openai", HI, **words(server))
        chat("openai", HI, **words(server))

        assert (server.connections, len(server.requests)) == (1, 2)


def test_an_error_on_a_loop_gives_its_connection_back(on_loop):
    async def ask(server):
        with pytest.raises(ServerError):
            await achat("openai", HI, **words(server))
        await achat("openai", HI, **words(server))

    with Loopback(whole(b"{}", status="500 No"), ANSWER) as server:
        asyncio.run(ask(server))

        assert (server.connections, len(server.requests)) == (1, 2)


def test_a_stream_read_to_its_end_gives_its_connection_back():
    with Loopback(EVENTS) as server:
        for _ in range(3):
            assert len(list(stream("openai", HI, **words(server)))) == 3

        assert (server.connections, len(server.requests)) == (1, 3)


def test_threads_share_a_pool_safely(provider):
    """A hundred calls from twenty threads: each gets an answer."""

    def ask(number):
        return chat("openai", HI, model="m", api_key=KEY, base_url=f"{provider.url}/v1", seed=number).text

    with ThreadPoolExecutor(20) as pool:
        texts = list(pool.map(ask, range(100)))

    assert (len(texts), provider.calls) == (100, 100)
    assert all(texts)
    assert sorted(sent["body"]["seed"] for sent in provider.requests) == list(range(100))


class Gathering(Loopback):
    """Answers when five requests have come."""

    def __init__(self, *answers):
        super().__init__(*answers)
        self._five = threading.Barrier(5, timeout=LONG)

    def _next(self, request):
        self._five.wait()
        return super()._next(request)


def test_as_many_connections_are_kept_as_were_needed_at_once():
    with Gathering(ANSWER) as server, ThreadPoolExecutor(5) as pool:
        for _ in range(3):
            list(pool.map(lambda number: chat("openai", HI, **words(server, seed=number)), range(5)))

        assert (server.connections, len(server.requests)) == (5, 15)


def test_cookies_are_not_kept_on_a_loop(on_loop):
    async def ask(server):
        for _ in range(2):
            await achat("openai", HI, **words(server))

    with Loopback(whole(b'{"a": 1}', headers=["set-cookie: session=1", "content-type: application/json"])) as server:
        asyncio.run(ask(server))

    assert len(server.requests) == 2
    assert all(b"cookie" not in request.lower() for request in server.requests)


def test_a_connection_that_the_server_closed_is_opened_anew(way):
    def once(connection):
        connection.sendall(ANSWER)  # and close, without a word

    with Loopback(once) as server:
        for _ in range(3):
            assert way.chat("openai", HI, **words(server)).text == "Hi"
            assert server.closed.acquire(timeout=LONG)

        assert (server.connections, len(server.requests)) == (3, 3)


CHILD = """
import os, sys, warnings
warnings.simplefilter("ignore")  # of Python 3.12 and newer, which do not like a fork beside threads
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from django_llmcache import chat
def ask():
    messages = [{"role": "user", "content": "Hi"}]
    return chat("openai", messages, model="m", api_key="k", base_url=sys.argv[1], cache=False)
ask()
child = os.fork()
if child == 0:
    ask()
    os._exit(0)
_, status = os.waitpid(child, 0)
ask()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork.")
def test_a_child_has_connections_of_its_own():
    """A socket that two processes share mixes up their answers."""
    with Loopback(ANSWER) as server:
        done = subprocess.run([sys.executable, "-c", CHILD, server.url], timeout=60, capture_output=True, check=False)

        assert (done.returncode, done.stderr) == (0, b"")
        assert (server.connections, len(server.requests)) == (2, 3)
