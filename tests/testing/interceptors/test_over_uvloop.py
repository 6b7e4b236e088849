"""Connections on uvloop's loops, which use none of Python's sockets: refused in a replay, reported elsewhere."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import httpx
import httpx2
import pytest

from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.testing import interceptors
from tests.transports.loopback import LONG, Loopback, whole

uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed: pip install uvloop")


@pytest.fixture
def server(lab, server):
    """Return a provider that is known by both of its names."""
    lab.knows(server.url.replace("127.0.0.1", "localhost"))
    return server


def port(server: Loopback) -> int:
    return int(server.address.rpartition(":")[2])


async def by_address(server: Loopback) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port(server))
    writer.close()
    await writer.wait_closed()


async def by_name(server: Loopback) -> None:
    _, writer = await asyncio.open_connection("localhost", port(server), family=socket.AF_INET)
    writer.close()
    await writer.wait_closed()


async def by_a_socket_of_its_own(server: Loopback) -> None:
    with socket.socket() as connection:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port(server)))


ways = pytest.mark.parametrize(
    "connect", [by_address, by_name, by_a_socket_of_its_own], ids=lambda way: way.__name__.replace("_", " ")
)


@ways
def test_a_replay_refuses_a_connection_to_a_provider_and_names_who_asked(lab, server, connect):
    client = "tests" if connect is by_a_socket_of_its_own else "asyncio, called by tests"
    host = "localhost" if connect is by_name else "127.0.0.1"

    with (
        pytest.raises(FixtureMiss, match=f"does not know.*: {client} connects to {host}:{port(server)}\n"),
        lab.replaying(),
    ):
        uvloop.run(connect(server))

    assert server.connections == 0


@ways
def test_a_connection_past_the_recorder_is_reported_while_recording(lab, server, connect):
    async def twice():
        await connect(server)
        await connect(server)

    with lab.recording() as session:
        uvloop.run(twice())

    assert len(session.leaks) == 1
    assert "tests" in session.leaks[0]
    assert session.leaks[0].endswith(f":{port(server)}")


def test_its_parameters_keep_their_names(lab, server):
    async def ask():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(
            protocol_factory=asyncio.Protocol, host="127.0.0.1", port=port(server)
        )
        transport.close()
        return transport.get_extra_info("peername")

    assert uvloop.run(ask()) == ("127.0.0.1", port(server))


def test_a_loop_from_before_is_watched_too(lab, server):
    interceptors.disarm()
    loop = uvloop.new_event_loop()
    interceptors.arm()

    with pytest.raises(FixtureMiss), lab.replaying():
        loop.run_until_complete(by_address(server))
    loop.close()


def test_the_name_of_a_provider_is_not_even_looked_up(lab):
    lab.hosts.append("api.openai.com")

    async def look_up():
        await asyncio.get_running_loop().getaddrinfo("api.openai.com", 443)

    with pytest.raises(FixtureMiss, match=r"https://api\.openai\.com"), lab.replaying():
        uvloop.run(look_up())


async def by_httpx(url: str) -> None:
    async with httpx.AsyncClient() as client:
        await client.get(url)


async def by_httpx2(url: str) -> None:
    async with httpx2.AsyncClient() as client:
        await client.get(url)


async def by_aiohttp(url: str) -> None:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        await answer.read()


@pytest.mark.parametrize("ask", [by_httpx, by_httpx2, by_aiohttp], ids=lambda way: way.__name__.replace("_", " "))
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_recorded_call_is_no_leak_and_is_replayed(lab, server, ask, name):
    url = f"http://{name}:{port(server)}/v1/models"
    with lab.recording() as first:
        uvloop.run(ask(url))
    with lab.replaying() as second:
        uvloop.run(ask(url))

    assert (first.counts["recorded"], first.leaks) == (1, [])
    assert second.counts == {"replayed": 1}
    assert len(server.requests) == 1


@ways
def test_a_server_that_is_no_provider_is_connected_to_as_ever(lab, connect):
    with Loopback(whole(b"{}")) as server, lab.replaying() as session:
        uvloop.run(connect(server))

        assert server.gone.acquire(timeout=LONG)
    assert session.misses == []


def test_the_loops_are_put_back_as_they_were():
    before = uvloop.Loop.create_connection, uvloop.Loop.getaddrinfo
    with interceptors.armed():
        assert uvloop.Loop.create_connection is not before[0]

    assert (uvloop.Loop.create_connection, uvloop.Loop.getaddrinfo) == before
