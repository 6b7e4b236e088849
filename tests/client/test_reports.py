"""Django's page of an error shows the variables of every frame, and so do the tools that collect errors."""

from __future__ import annotations

import sys
from uuid import uuid4

import pytest
from django.views.debug import ExceptionReporter

from django_llmcache import LLMClient
from django_llmcache.contrib.demo.standin import HangUp, Reply, Stall

from .asking import HI

KEY = f"sk-{uuid4().hex}"  # so that no line of code which the page quotes has it
OTHER = f"sk-{uuid4().hex}"
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


BAD_WORDS = {
    "header-name": {"extra_headers": {"é": "x"}},
    "header-no-text": {"extra_headers": {1: "x"}},
    "header-value": {"extra_headers": {"x-a": "x "}},
    "header-framing": {"extra_headers": {"content-length": "3"}},
    "timeout": {"timeout": "x"},
    "base-url": {"base_url": "https://127.0.0.1/v1?x=1"},
    "model": {"model": 5},
    "messages": {"messages": []},
    "field": {"seed": {1}},
}


@pytest.mark.parametrize("words", BAD_WORDS.values(), ids=BAD_WORDS)
@pytest.mark.parametrize("ask", ["chat", "stream"])
def test_a_word_that_cannot_work_shows_no_key(way, ask, words):
    messages = words.get("messages", HI)

    page = report_on(
        getattr(way, ask), "anthropic", messages, **{name: words[name] for name in words if name != "messages"}
    )

    assert "ConfigurationError" in page
    assert KEY not in page


def test_a_word_that_cannot_work_shows_no_key_of_the_client():
    client = LLMClient("openai", api_key=OTHER)

    for words in BAD_WORDS.values():
        page = report_on(client.chat, **({"messages": HI} | words))
        assert "ConfigurationError" in page
        assert OTHER not in page


@pytest.mark.parametrize("headers", [{3: "x"}, {"é": "x"}, {"x-a": " x"}, {"host": "x"}], ids=ascii)
def test_headers_of_the_settings_that_cannot_be_sent_show_no_key(settings, way, headers):
    settings.LLMCACHE = {"PROVIDERS": {"openai": {"API_KEY": KEY, "MODEL": "m", "HEADERS": headers}}}

    page = report_on(way.chat, "openai", HI)

    assert "ConfigurationError" in page
    assert KEY not in page


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_key_that_cannot_be_sent_is_not_shown(settings, way, name):
    settings.LLMCACHE = {"PROVIDERS": {name: {"API_KEY": f"{KEY}…", "MODEL": "m"}}}

    page = report_on(way.chat, name, HI)

    assert "ConfigurationError" in page
    assert KEY not in page


def test_a_key_that_is_missing_shows_no_other(settings, way):
    settings.LLMCACHE = {"PROVIDERS": {"openai": {"MODEL": "m", "HEADERS": {"x-token": KEY}}}}

    page = report_on(way.chat, "openai", HI)

    assert "MissingAPIKeyError" in page
    assert KEY not in page


@pytest.mark.parametrize(
    "body", ['{"error": {"message": "%s"}}', '[{"error": "%s"}]', '"%s"', '{"type": "error", "a": "%s"}']
)
def test_an_error_inside_a_success_that_echoes_the_key_does_not_show_it(provider, way, body):
    provider.script(Reply(200, (body % KEY).encode()))

    assert KEY not in report_on(way.chat, "openai", HI)


@pytest.mark.parametrize(
    "event", ['data: {"error": "%s"}', "data: %s", 'event: error\ndata: "%s"', 'data: {"type": "error", "a": "%s"}']
)
@pytest.mark.parametrize("before", ["", 'data: {"choices": []}\n\n'], ids=["first", "second"])
def test_a_stream_that_echoes_the_key_in_an_error_does_not_show_it(provider, way, event, before):
    provider.script(Reply(200, f"{before}{event % KEY}\n\n".encode(), {"content-type": "text/event-stream"}))

    assert KEY not in report_on(way.stream, "openai", HI)


def test_nor_does_one_that_does_not_begin(provider, way):
    provider.script(Reply(401, f"Your key {KEY} is no good".encode()))

    assert KEY not in report_on(way.stream, "openai", HI)
