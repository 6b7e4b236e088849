"""docs/adding-a-provider.md: what it shows works as it stands there."""

from __future__ import annotations

import re
import sys
import unittest
from inspect import signature
from pathlib import Path
from types import ModuleType

import pytest
from django.test import override_settings

from django_llmcache import chat, stream
from django_llmcache.conf import PROVIDER_KEYS
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.providers import BUILT_IN, Provider
from django_llmcache.rules import RequestRules
from tests.recordings import load

HI = [{"role": "user", "content": "Hi"}]
GUIDE = (Path(__file__).parents[2] / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
SETTINGS, ASKING, CLASS, NAMING, TESTING = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def shop(monkeypatch) -> ModuleType:
    """Return the module ``shop.llm`` of the guide, with the guide's class in it."""
    module = ModuleType("shop.llm")
    exec(CLASS, vars(module))
    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.llm", module)
    return module


def settings_in(block: str) -> dict:
    found: dict = {}
    exec(block, found)
    return found["LLMCACHE"]


def test_a_service_of_the_settings_alone_is_asked_as_the_guide_says(provider, monkeypatch):
    settings = settings_in(SETTINGS)
    settings["PROVIDERS"]["fireworks"]["BASE_URL"] = f"{provider.url}/inference/v1"
    monkeypatch.setenv("FIREWORKS_API_KEY", "made-up")
    found: dict = {}

    with override_settings(LLMCACHE=settings):
        exec(ASKING, found)
        second = chat("fireworks", HI)

    (sent,) = provider.requests
    assert sent["path"] == "/inference/v1/chat/completions"
    assert sent["body"] == {"model": settings["PROVIDERS"]["fireworks"]["MODEL"], "messages": HI}
    assert sent["headers"]["authorization"] == "Bearer made-up"
    assert found["answer"].text
    assert second.from_cache


def test_the_guides_class_asks_the_responses_api(provider, shop):
    settings = settings_in(NAMING)
    body = load("openai-code-execution-2").response_body
    provider.script(Reply(200, body))

    with override_settings(LLMCACHE=settings):
        answer = chat("responses", HI, api_key="made-up", base_url=provider.url, temperature=0)

    (sent,) = provider.requests
    assert (sent["path"], sent["body"]) == ("/responses", {"model": "gpt-5", "input": HI, "temperature": 0})
    assert (answer.body, answer.finish_reason) == (body, "completed")
    assert answer.text


def test_the_guides_class_streams(provider, shop):
    recording = load("openai-responses-sse")
    provider.script(Reply(200, recording.response_body, {"content-type": recording.content_type}))

    with override_settings(LLMCACHE=settings_in(NAMING)):
        events = list(stream("responses", HI, api_key="made-up", base_url=provider.url))

    assert provider.requests[0]["body"]["stream"] is True
    assert "".join(event.text for event in events)


def test_the_guides_rules_hold(provider, shop):
    with override_settings(LLMCACHE=settings_in(NAMING)):

        def ask(**words):
            provider.script(Reply(200, b'{"output": [{"content": [{"text": "Hi"}]}], "status": "completed"}'))
            return chat("responses", HI, api_key="made-up", base_url=provider.url, refresh=True, **words).cache

        plain = ask().key

        assert ask(timeout=7).key == plain
        assert ask(user="u").key != plain
        assert ask(store=False).key != plain
        assert ask(instructions="Be brief.").key != plain
        assert ask(extra_headers={"openai-beta": "x"}).key != plain
        assert ask(tools=[{"type": "function", "name": "f"}]).reason is None
        assert ask(tools=[{"type": "web_search"}]).reason == "stateful"
        assert ask(previous_response_id="resp_1").reason == "stateful"


def test_the_guides_own_test_passes(shop):
    module = ModuleType("shop.tests")
    exec(TESTING, vars(module))
    result = unittest.TestResult()

    unittest.defaultTestLoader.loadTestsFromModule(module).run(result)

    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def names_in_table(heading: str) -> list[str]:
    """Return the names in the first column of the table that begins with this heading."""
    table = GUIDE.partition(f"| {heading} |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)", table, re.MULTILINE)


def test_the_guide_names_every_key_of_a_provider():
    assert set(names_in_table("key")) == PROVIDER_KEYS.keys()


def test_the_guide_names_everything_that_a_class_may_say():
    public = {name for name in vars(Provider) if not name.startswith("_")} - {"check_messages"}

    assert set(names_in_table("attribute or method")) == public


def test_the_guide_names_every_argument_of_the_rules():
    assert set(names_in_table("argument")) == signature(RequestRules).parameters.keys()


def test_the_guide_names_every_provider():
    assert all(f"`{name}`" in GUIDE for name in BUILT_IN)
