"""The mocks of respx itself, which test_over_httpx.py has a stand-in for: theirs is the answer, and nobody else's."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import Loopback, whole

respx = pytest.importorskip("respx", reason="respx is not installed: pip install respx")

FINE = b'{"id": "x-1"}'


@pytest.fixture
def url(lab):
    with Loopback(whole(FINE), whole(FINE)) as server:
        lab.knows(server.url)
        yield f"{server.url}/v1/chat/completions"


def by_client(url):
    with httpx.Client(verify=False) as client:
        return client.post(url, json={}).content


def by_async_client(url):
    async def ask():
        async with httpx.AsyncClient(verify=False) as client:
            return (await client.post(url, json={})).content

    return asyncio.run(ask())


both = pytest.mark.parametrize("post", [by_client, by_async_client], ids=["sync", "async"])


@both
def test_the_mock_answers_and_the_replay_goes_on_after_it(lab, url, post):
    with lab.recording():
        post(url)
    with lab.replaying() as recorder:
        with respx.mock:
            respx.post(url).respond(content=b"the mock")
            mocked = post(url)
        replayed = post(url)

    assert (mocked, replayed) == (b"the mock", FINE)
    assert recorder.counts == {"replayed": 1}


@both
def test_nothing_of_it_is_recorded(lab, url, post):
    with lab.recording() as recorder, respx.mock:
        respx.post(url).respond(content=b"the mock")
        post(url)

    assert recorder.counts["recorded"] == 0
    assert recorder.leaks == []


@both
def test_what_it_passes_on_is_refused_in_a_replay(lab, url, post):
    with lab.replaying(), respx.mock:
        respx.post(url).pass_through()
        with pytest.raises(FixtureMiss, match="asked for a connection to a provider"):
            post(url)
