"""Connections of clients that the recorder doesn't know: refused in a replay, reported elsewhere, all others let be."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import smtplib
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from unittest.mock import Mock

import pytest
import requests
import urllib3

from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import LONG, Loopback, whole

FINE = whole(b"{}")


def port(server: Loopback) -> int:
    return int(server.address.rpartition(":")[2])


def by_http_client(server: Loopback) -> None:
    with contextlib.closing(http.client.HTTPConnection(server.address, timeout=LONG)) as connection:
        connection.request("GET", "/v1/models")
        connection.getresponse().read()


def by_urllib(server: Loopback) -> None:
    urllib.request.urlopen(f"{server.url}/v1/models", timeout=LONG).close()


def by_connecting(server: Loopback) -> None:
    with socket.socket() as connection:
        connection.connect(("127.0.0.1", port(server)))


def by_connecting_with_a_code(server: Loopback) -> None:
    with socket.socket() as connection:
        connection.connect_ex(("127.0.0.1", port(server)))


def on_a_loop(server: Loopback) -> None:
    async def connect():
        _, writer = await asyncio.open_connection("127.0.0.1", port(server))
        writer.close()
        await writer.wait_closed()

    asyncio.run(connect())


def on_a_loop_by_name(server: Loopback) -> None:
    async def connect():
        _, writer = await asyncio.open_connection("localhost", port(server), family=socket.AF_INET)
        writer.close()
        await writer.wait_closed()

    asyncio.run(connect())


CLIENTS = {
    by_http_client: "http.client, called by tests",
    by_urllib: "urllib.request, called by tests",
    by_connecting: "tests",
    by_connecting_with_a_code: "tests",
    on_a_loop: "asyncio, called by tests",
    on_a_loop_by_name: "asyncio, called by tests",
}
ways = pytest.mark.parametrize("connect", CLIENTS, ids=lambda way: way.__name__.replace("_", " "))


@ways
def test_a_replay_refuses_a_connection_to_a_provider_and_names_who_asked(lab, server, connect):
    lab.hosts.append(f"localhost:{port(server)}")

    with pytest.raises(FixtureMiss) as error, lab.replaying():
        connect(server)
    scheme = "http://" if connect in (by_http_client, by_urllib) else ""
    host = "localhost" if connect is on_a_loop_by_name else "127.0.0.1"
    said = f"asked for a connection to a provider: {CLIENTS[connect]} connects to {scheme}{host}:{port(server)}"
    assert str(error.value).splitlines()[0].endswith(said)
    assert server.connections == 0


def by_mail(server: Loopback) -> None:
    smtplib.SMTP("127.0.0.1", port(server))


def in_a_pool(server: Loopback) -> None:
    with ThreadPoolExecutor() as pool:
        pool.submit(urllib.request.urlopen, f"{server.url}/v1/models").result()


def over_tls(server: Loopback) -> None:
    http.client.HTTPSConnection(server.address).request("GET", "/v1/models")


def over_tls_of_urllib3(server: Loopback) -> None:
    urllib3.PoolManager(retries=False).request("GET", f"https://{server.address}/v1/models")


def handed_to_the_runner(server: Loopback) -> None:
    pytest.raises(ValueError, urllib.request.urlopen, f"{server.url}/v1/models")  # noqa: RUF061 - so


def behind_a_mock(server: Loopback) -> None:
    Mock(side_effect=by_urllib)(server)


@pytest.mark.parametrize(
    ("connect", "said"),
    [
        (by_mail, "smtplib, called by tests connects to 127.0.0.1:"),
        (in_a_pool, "urllib.request connects to http://127.0.0.1:"),
        (over_tls, "http.client, called by tests connects to https://127.0.0.1:"),
        (over_tls_of_urllib3, "urllib3, called by tests connects to 127.0.0.1:"),
        (handed_to_the_runner, "urllib.request, called by tests connects to http://127.0.0.1:"),
        (behind_a_mock, "urllib.request, called by tests connects to http://127.0.0.1:"),
    ],
    ids=lambda value: value.__name__.replace("_", " ") if callable(value) else "",
)
def test_a_client_is_told_with_who_called_it_and_with_no_more_than_is_known(lab, server, connect, said):
    with pytest.raises(FixtureMiss, match=f": {said}{port(server)}\n"), lab.replaying():
        connect(server)


def test_a_connection_from_before_is_refused_too(lab, server):
    with contextlib.closing(http.client.HTTPConnection(server.address, timeout=LONG)) as connection:
        connection.connect()

        with lab.replaying() as session, pytest.raises(FixtureMiss, match="A client that the recorder does not know"):
            connection.request("POST", "/v1/chat/completions", b"{}")
        assert len(session.misses) == 1


@pytest.mark.parametrize("tunnel", [True, False], ids=["CONNECT", "absolute address"])
def test_a_provider_behind_a_proxy_is_refused_too(lab, tunnel):
    lab.hosts.append("api.example.com")
    with Loopback(FINE, whole(b"{}")) as proxy, lab.replaying():
        connection = http.client.HTTPConnection(proxy.address, timeout=LONG)
        if tunnel:
            connection.set_tunnel("api.example.com", 80)
        with contextlib.closing(connection), pytest.raises(FixtureMiss):
            connection.request("POST", "/v1" if tunnel else "http://api.example.com/v1", b"{}")


def test_a_socket_whose_connection_was_refused_is_closed(lab, server):
    with lab.replaying(), socket.socket() as connection:
        with contextlib.suppress(FixtureMiss):
            connection.connect(("127.0.0.1", port(server)))

        assert connection.fileno() == -1


def test_a_connection_that_was_refused_is_noted_also_where_somebody_hides_it(lab, server):
    with lab.replaying() as session:
        with contextlib.suppress(BaseException):
            by_http_client(server)

        assert len(session.misses) == 1


@ways
def test_a_connection_past_the_recorder_is_reported_while_recording(lab, server, connect):
    lab.hosts.append(f"localhost:{port(server)}")

    with lab.recording() as session:
        connect(server)
        connect(server)

    assert len(session.leaks) == 1
    assert session.leaks[0].startswith(f"{CLIENTS[connect]} connected to ")
    assert session.leaks[0].endswith(f":{port(server)}")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_recorded_call_is_no_leak(lab, server, name):
    lab.hosts.append(f"localhost:{port(server)}")

    with lab.recording() as session:
        requests.get(f"http://{name}:{port(server)}/v1/models", timeout=LONG)

    assert session.counts["recorded"] == 1
    assert session.leaks == []


@ways
def test_a_live_test_is_told_of_a_client_that_the_recorder_does_not_know(lab, server, connect):
    lab.hosts.append(f"localhost:{port(server)}")

    with lab.live() as session:
        connect(server)

    assert len(session.leaks) == 1
    assert session.leaks[0].endswith(f":{port(server)}")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_live_call_is_no_leak(lab, server, name):
    lab.hosts += [f"{each}:{port(server)}" for each in ("localhost", "127.0.0.1")]

    with lab.live() as session:
        requests.get(f"http://{name}:{port(server)}/v1/models", timeout=LONG)

    assert session.counts == {"live": 1}
    assert session.leaks == []


def test_a_live_call_on_a_loop_is_not_refused_what_a_newer_session_replays_elsewhere(lab, server):
    lab.hosts.append(f"localhost:{port(server)}")
    elsewhere, replay = Context(), lab.replaying()

    with lab.live() as live, contextlib.ExitStack() as ending:
        replaying = elsewhere.run(replay.__enter__)
        ending.callback(elsewhere.run, replay.__exit__, None, None, None)
        live.calls.goes_live(f"localhost:{port(server)}")
        on_a_loop_by_name(server)

    assert replaying.misses == []


@ways
def test_a_server_that_is_no_provider_is_connected_to_as_ever(lab, connect):
    with Loopback(FINE) as server, lab.replaying() as session:
        connect(server)

        assert server.gone.acquire(timeout=LONG)
    assert session.leaks == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("api.openai.com", 443), "https://api.openai.com"),
        ((b"api.openai.com", "https"), "https://api.openai.com"),
        (("API.openai.com.", None), "api.openai.com"),
        (("api.openai.com", "smtp"), "api.openai.com"),
    ],
)
def test_the_name_of_a_provider_is_not_even_looked_up(lab, asked, said):
    lab.hosts.append("api.openai.com")

    with pytest.raises(FixtureMiss, match=f" connects to {re.escape(said)}\n"), lab.replaying():
        socket.getaddrinfo(*asked)


@pytest.mark.parametrize(
    "asked",
    [("127.0.0.1", 8000), (None, 0), ("::1", 8000), (b"127.0.0.1", None), ("127.0.0.1", "smtp"), ("::1", b"25")],
)
def test_other_names_are_looked_up_as_ever(lab, asked):
    lab.hosts.append("api.openai.com")

    with lab.replaying():
        found = socket.getaddrinfo(*asked, type=socket.SOCK_STREAM)

    assert found == socket.getaddrinfo(*asked, type=socket.SOCK_STREAM)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no such sockets")
def test_sockets_that_have_no_host_are_connected_as_ever(lab, tmp_path):
    address = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as connection:
        listener.bind(address)
        listener.listen()
        with lab.replaying():
            connection.connect(address)

        assert connection.getpeername() == address
