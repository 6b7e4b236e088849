"""The real SDKs on cached clients: the second answer is the first one, field for field, and the provider is spared."""

from __future__ import annotations

import asyncio
import gc
import json
import re
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from django_llmcache import policy
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.transports import cached_client
from tests.pipeline.layers import TOKENS
from tests.recordings import load

pytest.importorskip("pydantic", reason="no SDK is installed: pip install '.[sdks]'")
from .cached import CACHED

# What the SDKs themselves warn of is none of our business.
pytestmark = pytest.mark.filterwarnings("ignore")

PAGE = (Path(__file__).parents[2] / "docs/sdks.md").read_text(encoding="utf-8")
SNIPPETS = dict(re.findall(r"<!-- (.+?) -->\n```python\n(.*?)```", PAGE, re.DOTALL))
KEYS = ("OPENAI", "ANTHROPIC", "GEMINI", "MISTRAL", "GROQ")
TOOL_CALLS = {
    "openai": "openai-tool-chain-1", "langchain-openai": "openai-tool-chain-1", "litellm": "openai-tool-chain-1",
    "anthropic": "anthropic-tool-use", "groq": "openai-tool-chain-1",
    "mistralai": "openai-tool-chain-1",
}  # fmt: skip


@pytest.fixture
def standin(provider, monkeypatch):
    """Let the stand-in be every provider."""
    for name in KEYS:
        monkeypatch.setenv(f"{name}_API_KEY", "made-up")
    for name, value in {
        "OPENAI_BASE_URL": f"{provider.url}/v1", "ANTHROPIC_BASE_URL": provider.url, "GROQ_BASE_URL": provider.url,
        "GOOGLE_GEMINI_BASE_URL": provider.url, "OPENAI_API_BASE": f"{provider.url}/v1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    paths = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta", "groq": "/openai/v1"}
    providers = {name: {"BASE_URL": f"{provider.url}{path}"} for name, path in paths.items()}
    with override_settings(LLMCACHE={"PROVIDERS": providers}):
        yield provider
    # Here, where a connection that a snippet leaves open is no error. What Mistral's finalizer holds is garbage only
    # when that has run, so once is not enough.
    for _ in range(2):
        gc.collect()


@pytest.fixture(params=CACHED)
def name(request):
    """Return the name of an SDK that is installed."""
    module = CACHED[request.param].module
    pytest.importorskip(module, reason=f"{request.param} is not installed: pip install {request.param}")
    return request.param


@pytest.fixture(params=["sync", "async"])
def way(request, name):
    """Return what asks so often in a row, each time in a client's own time."""
    sdk = CACHED[name]
    if request.param == "sync":
        return lambda url, kinds: _sync(sdk, url, kinds)
    return lambda url, kinds: asyncio.run(_async(sdk, url, kinds))


def _sync(sdk, url, kinds):
    with sdk.client(url) as client:
        return [sdk.ask(client, kind) for kind in kinds]


async def _async(sdk, url, kinds):
    async with sdk.aclient(url) as client:
        return [await sdk.aask(client, kind) for kind in kinds]


def gemini_answer():
    """Return a recorded answer of Gemini's that calls a function; it was recorded as a list of one."""
    return json.loads(load("gemini-tools-json-array-1").response_body)[0]


def with_text(name: str, text: str) -> bytes:
    """Return a recorded answer of a provider with other words in it."""
    if name == "google-genai":
        body = gemini_answer()
        body["candidates"][0]["content"]["parts"] = [{"text": text}]
    elif name == "anthropic":
        body = json.loads(load("anthropic-tool-use").response_body)
        body["content"][-1] |= {"name": "city", "input": json.loads(text)}
    else:
        body = json.loads(load("openai-chat_completions-json-1").response_body)
        body["choices"][0] |= {"finish_reason": "stop"}
        body["choices"][0]["message"] |= {"content": text, "tool_calls": None}
    return json.dumps(body).encode()


def test_the_second_answer_is_the_first_from_the_cache(standin, way):
    live, again, third = way(standin.url, ["plain"] * 3)

    assert standin.calls == 1
    assert live
    assert again == live
    assert third == live


def test_cache_false_is_live(standin, way):
    live = way(standin.url, ["plain"])
    with policy(cache=False):
        again = way(standin.url, ["plain"])

    assert standin.calls == 2
    assert again == live


def test_a_tool_call_comes_back_whole(standin, way, name):
    if name == "pydantic-ai":
        pytest.skip("it runs its tools by itself")
    recorded = json.dumps(gemini_answer()).encode() if name == "google-genai" else load(TOOL_CALLS[name]).response_body
    standin.script(Reply(body=recorded))

    live, again = way(standin.url, ["tool", "tool"])

    assert standin.calls == 1
    assert again == live
    assert re.search("call|tool_use", str(live))


def test_json_of_a_schema_comes_back_whole(standin, way, name):
    standin.script(Reply(body=with_text(name, '{"name": "Paris"}')))

    live, again = way(standin.url, ["schema", "schema"])

    assert standin.calls == 1
    assert again == live
    assert "Paris" in str(live)


@pytest.mark.parametrize("failures", [1, 2])
def test_openai_tries_again_after_a_page_of_html_though_a_middleware_counts_tokens(standin, failures):
    openai = pytest.importorskip("openai", reason="openai is not installed: pip install openai")
    standin.script(*[Reply(503, b"<html>Bad gateway</html>", {"retry-after-ms": "1"})] * failures)
    paths = ["django_llmcache.middleware.cache.CacheMiddleware", TOKENS]

    with (
        override_settings(LLMCACHE={**settings.LLMCACHE, "MIDDLEWARE": paths}),
        openai.OpenAI(http_client=cached_client(), max_retries=1) as client,
    ):
        ask = partial(client.chat.completions.create, model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}])
        if failures == 1:
            assert ask().choices
        else:
            with pytest.raises(openai.InternalServerError):
                ask()

    assert standin.calls == 2


def test_a_stream_passes_untouched_each_time(standin, name):
    sdk = CACHED[name]
    if sdk.stream is None:
        pytest.skip("what it streams with is the OpenAI SDK's")
    with sdk.client(standin.url) as client:
        first, second = sdk.stream(client), sdk.stream(client)
    with override_settings(LLMCACHE={**settings.LLMCACHE, "ENABLED": False}), sdk.client(standin.url) as client:
        plain = sdk.stream(client)

    assert standin.calls == 3
    assert len(first) > 1
    assert list(map(_alike, first)) == list(map(_alike, second)) == list(map(_alike, plain))


def _alike(part):
    """Return a part of a stream without what the SDK makes up for each, such as the id of a run."""
    return re.sub(r"(lc_run|run)-+[-0-9a-f]+", "", str(part))


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_page_works_as_it_is_written(standin, snippet):
    module = snippet.split()[0]
    pytest.importorskip(module, reason=f"{module} is not installed")
    code = _to_loopback(SNIPPETS[snippet], standin.url)

    answers = [_run(code) for _ in range(2)]

    assert standin.calls == 1
    assert all(answers)


def _to_loopback(code: str, url: str) -> str:
    """Return a snippet that asks the stand-in, where no variable of the environment says so to the SDK."""
    return code.replace("https://api.openai.com", url).replace("Mistral(", f"Mistral(server_url={url!r}, ")


def _run(code: str):
    """Run a snippet, which may await, and return its answer."""
    lines = "".join(f"    {line}\n" for line in code.splitlines())
    names: dict = {}
    exec(compile(f"async def main():\n{lines}    return answer\n", "docs/sdks.md", "exec"), names)
    return asyncio.run(names["main"]())
