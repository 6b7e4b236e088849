"""README.md, executed: its blocks are written to the files they name, and used."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest
from django.test import override_settings

from django_llmcache import LLMClient, chat, conf, stream

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"<!-- (\S+\.py) -->\n```python\n(.*?)```", re.DOTALL)
EXAMPLE = re.compile(r"^```python\n(.*?)```", re.DOTALL | re.MULTILINE)
MESSAGES = [{"role": "user", "content": "Hi"}]
CACHE = "django_llmcache.middleware.cache.CacheMiddleware"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return what imports a module that the page shows."""
    for name, code in BLOCK.findall(README.read_text(encoding="utf-8")):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module
    for name in [name for name in sys.modules if name.partition(".")[0] == "myproject"]:
        del sys.modules[name]


@pytest.fixture
def openai(provider, monkeypatch):
    """Let the default provider be the stand-in."""
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1"}}}):
        yield provider


def test_the_first_example_pays_once(openai):
    a = chat("openai", MESSAGES, model="gpt-4o-mini", cache=True)
    b = chat("openai", MESSAGES, model="gpt-4o-mini", cache=True)

    assert b.from_cache
    assert b.text == a.text
    assert b.cache.age >= 0
    assert openai.calls == 1


def test_the_example_of_a_stream_prints_the_answer_as_it_comes(openai, capsys):
    (example,) = [code for code in EXAMPLE.findall(README.read_text(encoding="utf-8")) if "import stream" in code]

    exec(example, {})

    told = capsys.readouterr().out
    assert told == "".join(event.text for event in stream("openai", MESSAGES, model="gpt-4o-mini")) != ""


def test_a_function_that_asks_is_called_once(project, monkeypatch, provider):
    answers = project("myproject.answers")
    asked = []

    def post(url, **options):
        asked.append(url)
        return real_post(f"{provider.url}/v1/chat/completions", **options)

    real_post = answers.requests.post
    monkeypatch.setattr(answers.requests, "post", post)

    first, second = answers.answer("Hi"), answers.answer("Hi")

    assert first == second != ""
    assert asked == ["https://llm.example.com/v1/chat"]


def test_a_decorated_function_is_called_once_for_the_same_arguments(project):
    asked = []
    llm = project("myproject.llm")
    llm.ask = lambda question: asked.append(question) or "Short."
    summary = project("myproject.summaries").summary

    assert summary("A long text") == summary("A long text", words=100) == "Short."
    assert asked == ["Sum up in 100 words: A long text"]


def test_the_users_own_middleware_counts_what_is_paid_for(project, openai):
    spent = project("myproject.llm").spent
    settings = conf.raw() | {"MIDDLEWARE": [CACHE, "myproject.llm.CountTokens"]}
    with override_settings(LLMCACHE=settings):
        client = LLMClient("openai", model="gpt-4o-mini")
        live, _ = client.chat(MESSAGES), client.chat(MESSAGES)

    assert spent == {"gpt-4o-mini": live.usage.total_tokens}


def test_the_table_of_settings_has_every_setting():
    table = README.read_text(encoding="utf-8").partition("## Settings")[2].partition("## Commands")[0]

    assert set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE)) == conf.SETTINGS.keys()


def test_every_link_to_a_file_leads_to_one():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))

    assert [link for link in links if not (README.parent / link).exists()] == []
