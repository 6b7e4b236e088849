"""Calls of ``curl_cffi``, whose connections are libcurl's: refused in a replay, reported elsewhere, others let be."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import LONG, Loopback, whole

curl_cffi = pytest.importorskip("curl_cffi", reason="curl_cffi is not installed: pip install curl_cffi")

FINE = whole(b"{}")


@pytest.fixture
def server(lab):
    with Loopback(FINE, FINE) as server:
        lab.knows(server.url)
        yield server


def by_session(url):
    with curl_cffi.Session() as session:
        session.post(url, json={}, timeout=LONG)


def streamed(url):
    with curl_cffi.Session() as session:
        session.post(url, json={}, stream=True, timeout=LONG).close()


def by_async_session(url):
    async def ask():
        async with curl_cffi.AsyncSession() as session:
            await session.post(url, json={}, timeout=LONG)

    asyncio.run(ask())


def by_a_handle(url):
    curl = curl_cffi.Curl()
    try:
        curl.setopt(curl_cffi.CurlOpt.URL, url.encode())
        curl.perform()
    finally:
        curl.close()


ways = pytest.mark.parametrize(
    "ask",
    [by_session, streamed, by_async_session, by_a_handle],
    ids=lambda way: way.__name__.replace("_", " "),
)


@ways
def test_a_replay_refuses_a_call_to_a_provider(lab, server, ask):
    with pytest.raises(FixtureMiss, match=r"does not know.*curl_cffi.* connects to"), lab.replaying():
        ask(f"{server.url}/v1/chat/completions")

    assert server.connections == 0


@ways
def test_an_address_without_a_scheme_leads_to_a_provider_too(lab, server, ask):
    with lab.replaying() as session, suppress(FixtureMiss, curl_cffi.CurlError):
        ask(f"{server.address}/v1/chat/completions")

    assert len(session.misses) == 1
    assert server.connections == 0


@ways
def test_a_call_is_reported_while_recording(lab, server, ask):
    with lab.recording() as session:
        for _ in range(2):
            ask(f"{server.url}/v1/chat/completions")

    assert len(session.leaks) == 1
    assert session.leaks[0].startswith("curl_cffi")
    assert session.leaks[0].endswith(f" to {server.address}")


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "https://API.openai.com:443", "wss://api.openai.com/v1"])
def test_an_address_is_read_as_it_is_written(lab, url):
    lab.hosts.append("api.openai.com")

    with pytest.raises(FixtureMiss, match=r"https://api\.openai\.com\n"), lab.replaying():
        by_a_handle(url)


def test_a_handle_that_got_its_address_before_is_refused_too(lab, server):
    curl = curl_cffi.Curl()
    curl.setopt(curl_cffi.CurlOpt.URL, server.url.encode())

    with pytest.raises(FixtureMiss), lab.replaying():
        curl.perform()
    curl.close()
    assert server.connections == 0


@ways
def test_a_server_that_is_no_provider_is_asked_as_ever(lab, ask):
    with Loopback(FINE) as other, lab.replaying() as session:
        ask(f"{other.url}/health")

    assert other.connections == 1
    assert session.misses == []


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:x/"])
def test_what_is_no_address_is_the_librarys_own_error(lab, url):
    with lab.replaying(), pytest.raises(curl_cffi.CurlError):
        by_a_handle(url)
