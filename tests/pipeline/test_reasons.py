"""Every reason code of docs/telemetry.md: what gives it, and where it is counted."""

from __future__ import annotations

import pytest

from django_llmcache import LLMRequest, cache
from django_llmcache.contrib.demo.standin import Reply, StandIn
from django_llmcache.testing import live_api, override_llmcache
from django_llmcache.transports import cached_client
from tests.pipeline.pages import TELEMETRY, names, rows
from tests.pipeline.world import CACHE, ask

DECIDERS = "tests.pipeline.deciders"
HI = [{"role": "user", "content": "Hi"}]


def mine(answer, **payload):
    return cache.with_cache(LLMRequest("mine", payload={"model": "m", **payload}), lambda _: answer)


def changing():
    turns = []
    request = LLMRequest("mine", operation="search", payload={"turns": turns})
    return cache.with_cache(request, lambda _: turns.append(1) or {"found": 1})


def clearing():
    request = LLMRequest("mine", operation="search", payload={})
    return cache.with_cache(request, lambda _: cache.clear() or {"found": 1})


def streaming():
    with StandIn(latency=0) as provider, cached_client() as client:
        provider.script(Reply(body=b"data: {}\n\n", headers={"content-type": "text/event-stream"}))
        words = {"BASE_URL": f"{provider.url}/v1"}
        with override_llmcache(PROVIDERS={"openai": words}):
            body = {"model": "m", "messages": HI}
            with client.stream("POST", f"{provider.url}/v1/chat/completions", json=body) as response:
                assert response.read() == b"data: {}\n\n"
    return streamed[0]


def recording():
    with live_api(mode="live"):
        return ask()


streamed = []


class Watching:
    """A middleware that keeps the last answer, which a client of an HTTP library doesn't show."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        streamed[:] = [self.get_response(request)]
        return streamed[0]


REASONS = {
    ("disabled", "bypass"): lambda: ask(cache=False),
    ("streaming", "bypass"): lambda: mine({"text": "x"}, stream=True),
    ("stateful", "bypass"): lambda: ask(previous_response_id="r1"),
    ("no_scope", "bypass"): ask,
    ("unencodable", "bypass"): lambda: ask(temperature=float("nan")),
    ("error", "bypass"): ask,
    ("test_cache", "bypass"): recording,
    ("error", "miss"): lambda: mine(b"<html>"),
    ("streaming", "miss"): streaming,
    ("truncated", "miss"): lambda: mine({"choices": [{"message": {"content": "I"}, "finish_reason": "length"}]}),
    ("refused", "miss"): lambda: mine({"choices": [{"message": {"refusal": "No"}, "finish_reason": "stop"}]}),
    ("empty", "miss"): lambda: mine({"choices": []}),
    ("too_large", "miss"): lambda: mine(b'{"text": "' + b"x" * 5000 + b'"}'),
    ("disabled", "miss"): lambda: ask(ttl=0),
    ("changed", "miss"): changing,
    ("secret", "miss"): lambda: ask(messages=HI, api_key="How can I assist you today?"),  # the stand-in's own words
    ("not_kept", "miss"): clearing,
    ("unavailable", "miss"): ask,
}
SETTINGS = {
    ("no_scope", "bypass"): {"REQUIRE_SCOPE": True},
    ("error", "bypass"): {"CACHEABLE": f"{DECIDERS}.raises"},
    ("unavailable", "miss"): {"BACKEND": f"{DECIDERS}.AwayBackend"},
    ("too_large", "miss"): {"MAX_ENTRY_BYTES": 4096},
    ("streaming", "miss"): {"MIDDLEWARE": [f"{__name__}.Watching", CACHE]},
}


@pytest.mark.parametrize("code", REASONS, ids=" ".join)
def test_every_reason_code_is_given(configure, code):
    configure(**SETTINGS.get(code, {}))

    answer = REASONS[code]()

    assert (answer.cache.reason, answer.cache.status) == code
    counted = cache.stats().bypassed if code[1] == "bypass" else cache.stats().not_stored
    assert counted == {code[0]: 1}


def test_every_reason_code_is_documented():
    assert {(names(row[0])[0], row[1]) for row in rows(TELEMETRY, "## Reason codes")} == REASONS.keys()
