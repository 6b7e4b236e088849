from __future__ import annotations

import os
import re
import runpy

import pytest

from example_project import standin

from .browser import ASYNC, SYNC, ask, badge, both_views, completion, get, text


@both_views
def test_the_page_shows_a_form_without_a_database_or_a_call(with_key, provider, url):
    response = get(url)

    assert (response.status_code, provider.calls) == (200, 0)
    assert "<textarea" in response.content.decode()


@both_views
def test_a_get_fills_the_form_in_and_never_makes_a_call(with_key, provider, url):
    response = get(url, {"question": "Is this <billed>?", "provider": "openai"})

    assert provider.calls == 0
    assert "Is this &lt;billed&gt;?</textarea>" in response.content.decode()
    assert '<option value="openai" selected>' in response.content.decode()


@both_views
def test_the_first_answer_is_live(with_key, provider, url):
    response = ask(url, "Test")

    assert re.fullmatch(r"live, [\d.]+ ms", badge(response))
    assert "Hello! How can I assist you today?" in text(response)
    assert "Tokens 8 in, 9 out" in text(response)
    assert "stored, kept for 15 min" in text(response)


@both_views
def test_the_second_answer_is_the_same_from_the_cache(with_key, provider, url):
    ask(url, "Test")

    response = ask(url, "Test")

    assert re.fullmatch(r"from cache, [\d.]+ ms, 17 tokens saved", badge(response))
    assert "Hello! How can I assist you today?" in text(response)
    assert re.search(r"stored \d+ s ago, kept for 15 min", text(response))
    assert provider.calls == 1


def test_both_views_share_their_answers(with_key, provider):
    ask(SYNC, "Test")

    assert badge(ask(ASYNC, "Test")).startswith("from cache")


@both_views
def test_asking_anew_passes_over_the_cache(with_key, provider, url):
    ask(url, "Test")

    assert badge(ask(url, "Test", refresh="on")).startswith("live")


@both_views
def test_an_answer_that_was_not_stored_says_why(with_key, provider, url):
    response = ask(url, "Generate a random number between 1 and 10")

    assert "not stored: it was cut short" in text(response)


@both_views
@pytest.mark.parametrize("question", ["", "  \n "])
def test_an_empty_question_is_refused_with_a_message(with_key, provider, url, question):
    response = ask(url, question)

    assert "Type a question first." in text(response)
    assert provider.calls == 0


def test_an_unknown_provider_is_refused_with_a_message(with_key, provider):
    assert "not one of the available choices" in text(ask(SYNC, "Test", provider="nobody"))


@both_views
def test_an_answer_is_shown_as_text_and_never_as_markup(with_key, provider, url):
    provider.script(completion("<script>alert(1)</script> & <b>bold</b>"))

    page = ask(url, "Test").content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;bold&lt;/b&gt;" in page
    assert "<script" not in page


def test_one_saved_token_is_a_token(with_key, provider):
    provider.script(completion("Hi", prompt_tokens=1, completion_tokens=0))
    ask(SYNC, "Test")

    assert badge(ask(SYNC, "Test")).endswith(", 1 token saved")


def test_an_answer_of_unknown_cost_saves_what_it_saves(with_key, provider):
    provider.script(completion("Hi"))
    ask(SYNC, "Test")

    assert re.fullmatch(r"from cache, [\d.]+ ms", badge(ask(SYNC, "Test")))


def test_an_answer_without_text_says_so(with_key, provider):
    provider.script(completion(""))

    response = ask(SYNC, "Test")

    assert "The answer has no text." in text(response)
    assert "not stored: it is empty" in text(response)


def test_a_tool_call_is_named(project):
    response = ask(SYNC, "What's the weather in Paris?", provider="mistral")

    assert "The model asks for get_weather" in text(response)


@both_views
@pytest.mark.parametrize("provider_name", ["openai", "anthropic", "gemini", "groq", "mistral", "xai"])
def test_without_a_key_the_stand_in_answers_for_every_provider(project, url, provider_name):
    first = ask(url, "Test", provider=provider_name)

    second = ask(url, "Test", provider=provider_name)

    assert (badge(first)[:4], badge(second)[:10]) == ("live", "from cache")
    assert "Recorded from" in text(first)
    assert standin.STANDIN.calls == 1


@both_views
@pytest.mark.parametrize("spared", [None, "intranet.example", "*"])
def test_no_proxy_stands_before_the_stand_in(project, monkeypatch, url, spared):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    if spared:
        monkeypatch.setenv("NO_PROXY", spared)

    response = ask(url, "Test")

    assert badge(response).startswith("live")
    assert (spared or "") in [*os.environ["NO_PROXY"].split(","), ""]


def test_the_stand_in_starts_when_it_is_first_asked(project):
    get(SYNC)

    with pytest.raises(RuntimeError, match="not running"):
        _ = standin.STANDIN.url


def test_importing_the_example_starts_nothing():
    imported = runpy.run_path(standin.__file__)

    with pytest.raises(RuntimeError, match="not running"):
        _ = imported["STANDIN"].url


def test_the_choice_tells_the_real_providers_from_the_stand_in(with_key):
    page = get(SYNC).content.decode()

    groups = dict(re.findall(r'<optgroup label="([^"]*)">(.*?)</optgroup>', page, re.DOTALL))

    assert re.findall(r'value="(\w+)"', groups["With your key"]) == ["openai"]
    assert "OpenAI · gpt-4o-mini" in groups["With your key"]
    assert re.findall(r'value="(\w+)"', groups["Stand-in, no key needed"]) == [
        "anthropic", "gemini", "groq", "mistral", "xai",
    ]  # fmt: skip
