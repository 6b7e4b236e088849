"""A call that goes through two libraries the recorder knows: it is one call, recorded once and replayed once."""

from __future__ import annotations

import io

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from tests.transports.loopback import LONG, Loopback, whole

from .clients import Wish

FINE = whole(b'{"id": "x-1"}')


@pytest.fixture
def server(lab):
    """Return a provider."""
    with Loopback(FINE) as server:
        lab.knows(server.url)
        yield server


class Handing:
    """In the place of the connections of ``requests``: asks with another client, and hands on what that got."""

    def __init__(self, url: str, ask) -> None:
        self._url = url
        self._ask = ask

    def urlopen(self, method: str, body: bytes, **options) -> urllib3.HTTPResponse:
        seen = self._ask(Wish(self._url, method, body))
        return urllib3.HTTPResponse(io.BytesIO(seen.body), seen.headers, seen.status, preload_content=False)


class Adapter(HTTPAdapter):
    def __init__(self, ask) -> None:
        super().__init__()
        self._ask = ask

    def get_connection_with_tls_context(self, request, verify, proxies=None, cert=None) -> Handing:
        return Handing(request.url, self._ask)


@pytest.fixture
def client(ask):
    """Return a session of ``requests`` that asks with each of the other clients."""
    with requests.Session() as session:
        session.mount("http://", Adapter(ask))
        yield session


def post(client: requests.Session, server: Loopback) -> requests.Response:
    return client.post(f"{server.url}/v1/chat/completions", json={"model": "m"}, timeout=LONG)


def test_what_goes_through_two_libraries_is_recorded_once(lab, server, client):
    with lab.recording() as session:
        live = post(client, server)

    assert live.json() == {"id": "x-1"}
    assert (session.counts, session.leaks) == ({"recorded": 1}, [])
    assert len(list(lab.folder.rglob("*.json"))) == len(server.requests) == 1


def test_what_goes_through_two_libraries_is_replayed_once(lab, server, client):
    with lab.recording():
        post(client, server)
    with lab.replaying() as session:
        replayed = post(client, server)

    assert replayed.json() == {"id": "x-1"}
    assert session.counts == {"replayed": 1}
    assert len(server.requests) == 1
