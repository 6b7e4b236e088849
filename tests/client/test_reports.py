"""Django's page of an error shows the variables of every frame, and so do the tools that collect errors."""

from __future__ import annotations

import sys
from uuid import uuid4

import pytest
from django.views.debug import ExceptionReporter

from django_llmcache.contrib.demo.standin import HangUp, Reply, Stall

from .asking import HI

KEY = f"sk-{uuid4().hex}"  # so that no line of code which the page quotes has it
PROVIDERS = ["openai", "anthropic", "gemini"]


@pytest.fixture(autouse=True)
def keys(settings, provider):
    """Set the key where the frames of the callers do not know it."""
    words = {"API_KEY": KEY, "BASE_URL": f"{provider.url}/v1", "MODEL": "gpt-4o-mini"}
    settings.LLMCACHE = {"PROVIDERS": dict.fromkeys(PROVIDERS, words)}


def report_on(call, *args, **words):
    """Return Django's page about what a call raises."""
    try:
        call(*args, **words)
    except Exception:
        return ExceptionReporter(None, *sys.exc_info()).get_traceback_html()
    raise AssertionError("It raised nothing.")


@pytest.mark.parametrize("ask", ["chat", "stream"])
@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("step", [HangUp(), Stall(1)], ids=lambda step: type(step).__name__)
def test_a_broken_connection_shows_no_key(provider, way, step, name, ask):
    provider.script(step)

    page = report_on(getattr(way, ask), name, HI, timeout=0.1)

    assert "ProviderConnectionError" in page or "ProviderTimeoutError" in page
    assert KEY not in page


def test_a_header_that_cannot_be_sent_shows_no_key(provider, way):
    page = report_on(way.chat, "anthropic", HI, extra_headers={"not a\nname": "x"})

    assert KEY not in page


def test_a_stream_that_breaks_off_shows_no_key(provider, way):
    provider.script(Reply(200, b"data: {}\n\n", {"content-type": "text/event-stream", "content-encoding": "gzip"}))

    page = report_on(way.stream, "anthropic", HI)

    assert "ProviderConnectionError" in page
    assert KEY not in page


@pytest.mark.parametrize("status", [200, 401])
def test_an_answer_that_echoes_the_key_does_not_show_it(provider, way, status):
    provider.script(Reply(status, f"Your key {KEY} is no good".encode(), {"x-echo": KEY}))

    assert KEY not in report_on(way.chat, "openai", HI)
