"""What every client meets where it makes an LLM call to a host that no setting names as a provider's."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from io import BytesIO
from unittest.mock import patch

import aiohttp
import httpx
import httpx2
import pytest
import requests
import responses
import urllib3

from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import Loopback, whole

from .clients import Wish
from .test_clients import JSON, serving

URL = "https://gateway.invalid/v1/chat/completions"
CALL = {"model": "m", "messages": []}

modes = pytest.mark.parametrize("mode", ["recording", "replaying", "live"])


@pytest.fixture
def elsewhere(lab):
    """Return a server that is no provider's."""
    with Loopback(whole(JSON)) as server:
        yield server


def test_a_replay_refuses_it_before_anything_leaves(lab, ask):
    with pytest.raises(FixtureMiss, match=r'"HOSTS": \["gateway\.invalid"\]'), lab.replaying():
        ask(Wish(URL))


@modes
def test_this_machine_answers_it_in_every_mode_and_is_told_of(lab, ask, elsewhere, mode):
    with getattr(lab, mode)() as session:
        answer = ask(Wish(f"{elsewhere.url}/v1/chat/completions"))

    assert answer.body == JSON
    assert session.unnamed.hosts == {elsewhere.url.removeprefix("http://")}
    assert not session.counts


@modes
def test_a_provider_that_is_named_is_not_told_of(lab, ask, mode):
    with serving(lab, whole(JSON)) as server, getattr(lab, mode)() as session, suppress(FixtureMiss):
        ask(Wish(f"{server.url}/v1/chat/completions"))

    assert session.unnamed.hosts == set()


@modes
def test_what_a_mock_of_the_users_own_answers_is_no_call(lab, mode):
    with getattr(lab, mode)() as session, responses.RequestsMock() as mock:
        mock.post(URL, body=JSON)
        answer = requests.post(URL, json=CALL, timeout=1)

    assert answer.content == JSON
    assert session.unnamed.hosts == set()


@modes
@pytest.mark.parametrize("place", ["urllib3.connectionpool.HTTPConnectionPool.urlopen", "socket.socket"])
def test_nor_what_a_mock_below_the_client_answers(lab, mode, place):
    class Socket(socket.socket):
        """What a library puts in its place that answers by itself."""

        def connect(self, address) -> None:
            raise ConnectionRefusedError

    answer = urllib3.HTTPResponse(BytesIO(JSON), status=200, preload_content=False)
    mock = {"return_value": answer} if place.endswith("urlopen") else {"new": Socket}
    with getattr(lab, mode)() as session, patch(place, **mock), suppress(requests.ConnectionError):
        requests.post("http://192.0.2.1/v1/chat/completions", json=CALL, timeout=1)

    assert session.unnamed.hosts == set()
    assert session.misses == []


@modes
@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_nor_is_what_a_transport_of_ones_own_answers(lab, library, mode):
    transport = library.MockTransport(lambda request: library.Response(200, content=JSON))
    with getattr(lab, mode)() as session, library.Client(transport=transport) as client:
        answer = client.post(URL, json=CALL)

    assert answer.content == JSON
    assert session.unnamed.hosts == set()


@modes
def test_nor_what_respx_answers(lab, mode):
    respx = pytest.importorskip("respx", reason="respx is not installed: pip install respx")
    with getattr(lab, mode)() as session, respx.mock:
        respx.post(URL).respond(200, content=JSON)
        answer = httpx.post(URL, json=CALL)

    assert answer.content == JSON
    assert session.unnamed.hosts == set()


@modes
def test_nor_what_a_cassette_answers(lab, tmp_path, mode):
    vcr = pytest.importorskip("vcr", reason="vcrpy is not installed: pip install vcrpy")
    cassette = tmp_path / "cassette.yaml"
    cassette.write_text(
        "version: 1\ninteractions:\n"
        f"- request: {{method: POST, uri: '{URL}', headers: {{}}, body: ''}}\n"
        "  response: {status: {code: 200, message: OK}, headers: {}, body: {string: '{}'}}\n"
    )
    with getattr(lab, mode)() as session, vcr.use_cassette(str(cassette), record_mode="none"):
        answer = requests.post(URL, json=CALL, timeout=1)

    assert answer.content == b"{}"
    assert session.unnamed.hosts == set()


@pytest.mark.parametrize(
    "body",
    [{"json": CALL}, {"data": b'{"model": "m"}'}, {"data": bytearray(b'{"model": "m"}')},
     {"data": memoryview(b'{"model": "m"}')}],
    ids=["json", "bytes", "bytearray", "memoryview"],
)  # fmt: skip
def test_a_body_of_aiohttps_own_making_is_read_too(lab, body):
    async def post() -> None:
        async with aiohttp.ClientSession() as client:
            await client.post(URL, **body)

    with pytest.raises(FixtureMiss), lab.replaying():
        asyncio.run(post())
