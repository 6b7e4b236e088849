"""The real SDKs, none of them told of us: what they record they replay, object for object, with the provider gone."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.testing import live_api, override_llmcache

from .asking import HI, SDKS
from .asking_async import ASYNC

# What the SDKs themselves warn of is none of our business.
pytestmark = pytest.mark.filterwarnings("ignore")

VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY", "GROQ_API_KEY")


@pytest.fixture
def recorder(tmp_path, provider, monkeypatch):
    """Turn the recorder on, with the stand-in for every provider."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "made-up")
    host = provider.url.removeprefix("http://")
    with override_llmcache(TEST_CACHE={"ENABLED": True, "DIR": tmp_path / "fixtures", "HOSTS": [host]}):
        yield provider


@pytest.fixture(params=SDKS)
def sdk(request):
    """Return one SDK, where it is installed."""
    found = SDKS[request.param]
    pytest.importorskip(found.module, reason=f"{request.param} is not installed: pip install {request.param}")
    return found


def test_answers_streams_and_tool_calls_come_back_as_they_were(recorder, sdk):
    url = recorder.url
    with live_api(mode="once"):
        live = [way(url) for way in (sdk.ask, sdk.stream, sdk.tools)]
    asked = recorder.calls
    recorder.stop()

    with live_api(mode="replay"):
        replayed = [way(url) for way in (sdk.ask, sdk.stream, sdk.tools)]

    assert asked == len(live)
    assert all(live)
    assert sdk.called in repr(live[-1])
    assert replayed == live


def test_without_a_key_in_the_environment_a_replay_works(recorder, sdk, monkeypatch):
    with live_api(mode="once"):
        live = sdk.ask(recorder.url)
    for name in VARIABLES:
        monkeypatch.delenv(name)

    with live_api(mode="replay"):
        assert sdk.ask(recorder.url) == live


def test_a_miss_gets_through_whatever_the_sdk_catches(recorder, sdk):
    with pytest.raises(FixtureMiss, match="Nothing is recorded"), live_api(mode="replay"):
        sdk.ask(recorder.url)

    assert recorder.calls == 0


def test_an_error_is_the_sdks_own(recorder, sdk):
    with live_api(fault="500"), pytest.raises(Exception) as caught:
        sdk.ask(recorder.url)

    assert recorder.calls == 0
    assert "500" in f"{caught.value!r}{getattr(caught.value, 'status_code', '')}{getattr(caught.value, 'code', '')}"


def test_eight_threads_get_what_one_got(recorder, sdk):
    with live_api(mode="once"):
        live = sdk.ask(recorder.url)
    asked = recorder.calls

    with live_api(mode="replay"), ThreadPoolExecutor(8) as pool:
        assert list(pool.map(sdk.ask, [recorder.url] * 16)) == [live] * 16

    assert recorder.calls == asked


@pytest.mark.parametrize("module", ASYNC)
def test_async_clients_record_and_replay(recorder, module):
    pytest.importorskip(module, reason=f"{module} is not installed")
    url = recorder.url
    with live_api(mode="once"):
        live = asyncio.run(ASYNC[module](url))
    asked = recorder.calls
    recorder.stop()

    with live_api(mode="replay"):
        replayed = asyncio.run(ASYNC[module](url))

    assert asked == 2
    assert len(live) > 2
    assert replayed == live


class TestOpenAI:
    """What one SDK is enough to show."""

    @pytest.fixture
    def client(self, recorder):
        openai = pytest.importorskip("openai", reason="openai is not installed: pip install openai")
        return lambda **words: openai.OpenAI(base_url=f"{recorder.url}/v1", **words)

    def test_retries_after_a_429_replay_in_order(self, recorder, client):
        recorder.script(Reply(429, b'{"error": {"message": "Slow"}}', {"retry-after-ms": "1"}))
        with live_api(mode="once", record_errors=True):
            live = client(max_retries=2).chat.completions.create(model="gpt-4o-mini", messages=HI)
        asked = recorder.calls

        with live_api(mode="replay"):
            again = client(max_retries=2).chat.completions.create(model="gpt-4o-mini", messages=HI)

        assert asked == 2 == recorder.calls
        assert again == live

    def test_a_stream_that_nobody_closes_replays_as_far_as_it_was_read(self, recorder, client):
        def begin():
            stream = client().chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True)
            return stream, next(stream)

        with live_api(mode="once") as session:
            held, live = begin()
        held.close()
        asked = recorder.calls

        with live_api(mode="replay"):
            _, replayed = begin()

        assert session.counts == {"recorded": 1}
        assert replayed == live
        assert recorder.calls == asked == 1

    def test_a_garbled_stream_is_met_as_what_is_no_json(self, recorder, client):
        def stream():
            return list(client().chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True))

        with live_api(mode="once"):
            stream()

        with live_api(mode="replay", fault="garble@2"), pytest.raises(json.JSONDecodeError):
            stream()

    def test_a_cut_stream_breaks_as_a_live_one(self, recorder, client):
        openai = pytest.importorskip("openai", reason="openai is not installed: pip install openai")

        def stream():
            return list(client().chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True))

        with live_api(mode="once"):
            whole = stream()

        with live_api(mode="replay", fault="cut@2"), pytest.raises(openai.APIConnectionError):
            stream()

        assert len(whole) > 2
