"""docs/middleware.md, executed: its blocks are written to the files they name, and used."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import subprocess
import sys

import pytest

from django_llmcache import stream
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.transports import cached_session
from tests.pipeline.pages import DOCS
from tests.pipeline.world import CACHE, LOGGING, MESSAGES, aask, ask

PAGE = (DOCS / "middleware.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (\S+\.py) -->\n```python\n(.*?)```", re.DOTALL)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return what imports a module of the project that the page describes."""
    for name, code in BLOCK.findall(PAGE):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module
    for name in [name for name in sys.modules if name.partition(".")[0] in ("myproject", "settings")]:
        del sys.modules[name]


@pytest.fixture
def count_tokens(project, configure):
    """Return what the ten lines have counted, in the settings that the page shows beside them."""
    configure(**project("settings").LLMCACHE)
    return project("myproject.llm").spent


def test_the_users_own_middleware_has_ten_lines():
    code = dict(BLOCK.findall(PAGE))["myproject/llm.py"]

    assert len([line for line in code.splitlines() if line.strip()]) == 10


@pytest.mark.parametrize("call", [ask, lambda: asyncio.run(aask())], ids=["chat", "achat"])
def test_the_users_own_middleware_counts_what_is_paid_for(count_tokens, call):
    live, stored = call(), call()

    assert stored.from_cache
    assert count_tokens == {"gpt-4o-mini": live.usage.total_tokens}
    assert live.usage.total_tokens > 0


def test_the_users_own_middleware_lets_streams_through(count_tokens):
    with stream("openai", MESSAGES) as answer:
        assert "".join(event.text for event in answer)

    assert count_tokens == {}


def test_the_users_own_middleware_lets_errors_of_an_sdk_through(count_tokens, provider):
    provider.script(Reply(503, b"<html>"))

    with cached_session() as session:
        answer = session.post(
            f"{provider.url}/v1/chat/completions", json={"model": "m", "messages": MESSAGES}, timeout=5
        )

    assert (answer.status_code, count_tokens) == (503, {})


ASK = """
import sys
from django.conf import settings
from myproject.logged import LOGGING
url, *middleware = sys.argv[1:]
openai = {"API_KEY": "made-up", "BASE_URL": url, "MODEL": "gpt-4o-mini"}
llmcache = {"MIDDLEWARE": middleware, "PROVIDERS": {"openai": openai}}
settings.configure(INSTALLED_APPS=["django_llmcache"], LOGGING=LOGGING, LLMCACHE=llmcache)
import django
django.setup()
from django_llmcache import chat
for _ in range(2):
    chat("openai", [{"role": "user", "content": "Hi"}])
"""


def test_the_logging_settings_show_each_call_once(project, provider, tmp_path):
    command = [sys.executable, "-c", ASK, f"{provider.url}/v1", LOGGING, CACHE]
    paths = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])

    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=True, timeout=60
    )

    assert re.findall(r"^llm .* (miss|hit) .* ms$", done.stderr, re.MULTILINE) == ["miss", "hit"]
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("call", [ask, lambda: asyncio.run(aask())], ids=["chat", "achat"])
def test_the_middleware_for_both_kinds_of_call_notes_each(project, configure, call):
    configure(MIDDLEWARE=["myproject.both.note_slowest"])

    call()

    assert project("myproject.both").slowest["gpt-4o-mini"] > 0


def test_the_patient_retry_tries_five_times(project, configure, provider):
    configure(MIDDLEWARE=[CACHE, "myproject.patient.Patient"])
    provider.script(*[Reply(503, headers={"retry-after": "0"})] * 4)

    assert ask().status == 200
    assert provider.calls == 5
