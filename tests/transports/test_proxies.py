"""The proxies of the environment are used, by each way to ask."""

from __future__ import annotations

import pytest

from django_llmcache.exceptions import ProviderConnectionError
from tests.client.asking import HI, KEY
from tests.transports.loopback import Loopback, whole

ANSWER = whole(b'{"choices": [{"message": {"content": "Hi"}}]}')
WORDS = {"model": "m", "api_key": KEY}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_call_goes_through_the_environments_proxy(way, monkeypatch):
    with Loopback(ANSWER) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        answer = way.chat("openai", HI, **WORDS, base_url="http://llm.invalid/v1")

    assert answer.text == "Hi"
    assert proxy.requests[0].startswith(b"POST http://llm.invalid/v1/chat/completions HTTP/1.1\r\n")


def test_a_call_to_an_encrypted_address_asks_the_proxy_for_a_tunnel(way, monkeypatch):
    """The key is inside it: the proxy never sees it."""
    with Loopback(whole(b"no", status="502 Bad Gateway")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(ProviderConnectionError, match=r"The connection to openai at https://llm\.invalid/v1"):
            way.chat("openai", HI, **WORDS, base_url="https://llm.invalid/v1")

    assert proxy.requests[0].startswith(b"CONNECT llm.invalid:443 HTTP/1.")
    assert KEY.encode() not in b"".join(proxy.requests)


def test_no_proxy_is_heeded(way, monkeypatch):
    with Loopback(ANSWER) as server:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")

        assert way.chat("openai", HI, **WORDS, base_url=server.url).text == "Hi"
