"""What bad input gets: an error that says which value, where it was set and what to do, before anything is sent."""

from __future__ import annotations

import pytest
from django.test import override_settings

from django_llmcache import LLMClient, LLMResponse, cache, chat, embed, stream
from django_llmcache.exceptions import ConfigurationError, MissingAPIKeyError, ProviderError

from .asking import HI, KEY, WAYS, Way, caught

WORDS = {"model": "gpt-4o-mini", "api_key": KEY}


@pytest.fixture
def words(provider):
    """Return the words of a call that works; afterwards, see that nothing was sent or stored."""
    yield {**WORDS, "base_url": f"{provider.url}/v1"}
    assert provider.calls == 0
    assert cache.stats().entries == 0


@pytest.mark.parametrize(
    ("name", "close"), [("opneai", "openai"), ("OpenAI", "openai"), ("claude", None), ("anthropics", "anthropic")]
)
def test_an_unknown_provider_gets_the_close_name_and_all_known_ones(words, way, name, close):
    error = caught(way.chat, name, HI, **words)

    assert type(error) is ConfigurationError
    assert f"No provider is named {name!r}." in str(error)
    assert (f"Did you mean {close!r}?" in str(error)) is bool(close)
    assert "anthropic, deepseek, gemini" in str(error)
    assert "docs/adding-a-provider.md" in str(error)


def test_an_unknown_provider_is_told_when_a_client_is_made(words):
    with pytest.raises(ConfigurationError, match="No provider is named 'opneai'"):
        LLMClient("opneai")


@override_settings(LLMCACHE={"PROVIDERS": {"house": {"BASE_URL": "http://127.0.0.1:1"}}})
def test_a_provider_of_the_settings_is_a_known_name(words):
    with pytest.raises(ConfigurationError, match=r"Did you mean 'house'\?.*gemini, groq, house, lmstudio"):
        chat("hose", HI, **words)


@pytest.mark.parametrize("way", WAYS)
def test_a_missing_key_is_told_with_all_three_places(words, way, monkeypatch):
    del words["api_key"]

    error = caught(Way(way, monkeypatch).chat, "openai", HI, **words)

    assert type(error) is MissingAPIKeyError
    assert isinstance(error, ProviderError)
    assert isinstance(error, ConfigurationError)
    for place in ("api_key=", "LLMCACHE['PROVIDERS']['openai']['API_KEY']", "OPENAI_API_KEY", "nothing was sent"):
        assert place in str(error)


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_key_is_a_missing_one(words, blank, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", blank)
    words["api_key"] = blank

    with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"API_KEY": blank}}}), pytest.raises(MissingAPIKeyError):
        chat("openai", HI, **words)


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ("Hi", "messages is a str; give a list such as"),
        (b"Hi", "messages is a bytes; give a list such as"),
        ({"role": "user", "content": "Hi"}, "messages is a dict; give a list such as"),
        (None, "messages is a NoneType; give a list such as"),
        (iter([]), "give a list such as"),
        ([], "messages is empty; give at least one"),
        (["Hi"], "messages[0] is a str; give a mapping"),
        ([*HI, None], "messages[1] is a NoneType; give a mapping"),
        ([HI], "messages[0] is a list; give a mapping"),
    ],
)
def test_messages_of_a_wrong_shape_are_refused(words, way, messages, told):
    error = caught(way.chat, "openai", messages, **words)

    assert type(error) is ConfigurationError
    assert told in str(error)
    assert '[{"role": "user", "content": "Hi"}]' in str(error)


@pytest.mark.parametrize("texts", ["", [], ["a", None], [b"a"], None, 5, b"a"])
def test_texts_of_a_wrong_shape_are_refused(words, texts):
    error = caught(embed, "openai", texts, **words)

    assert type(error) is ConfigurationError
    assert f"texts is {texts!r}" in str(error)


@pytest.mark.parametrize("model", [None, ""])
def test_no_model_is_told_with_both_places(words, way, model):
    words["model"] = model

    error = caught(way.chat, "openai", HI, **words)

    assert type(error) is ConfigurationError
    assert (
        str(error) == "No model for openai: give model=… to the call, or set LLMCACHE['PROVIDERS']['openai']['MODEL']."
    )


@pytest.mark.parametrize("model", [5, 1.5, b"gpt", ["gpt"], {"name": "gpt"}, LLMClient], ids=repr)
def test_a_model_that_is_no_text_is_refused(words, way, model):
    words["model"] = model

    for call in (way.chat, way.stream):
        error = caught(call, "openai", HI, **words)
        assert type(error) is ConfigurationError
        assert f"model is {model!r}; give its name as a text." in str(error)
    assert "give its name as a text" in str(caught(way.embed, "openai", ["Hi"], **words))


def test_a_field_that_is_nested_too_deep_is_named(words, way):
    deep = []
    for _ in range(100_000):
        deep = [deep]

    error = caught(way.chat, "openai", HI, **words, tools=deep)

    while deep:
        deep = deep.pop()  # or the interpreter would recurse to let go of it
    assert type(error) is ConfigurationError
    assert str(error) == "tools is nested too deep to be sent as JSON."


@pytest.mark.parametrize(
    ("word", "value", "told"),
    [
        ("ttl", "soon", "soon"),
        ("ttl", -1, "-1"),
        ("ttl", True, "True"),
        ("timeout", "soon", "timeout is 'soon'; give a finite number of seconds above 0, at most a day"),
        ("timeout", True, "True"),
        ("timeout", 0, "give a finite number of seconds above 0"),
        ("timeout", -1, "-1"),
        ("timeout", float("inf"), "inf"),
        ("timeout", 1e10, "at most a day"),
        ("base_url", 5, "base_url is 5; give a text"),
        ("extra_headers", "x-a: 1", "extra_headers is a str; give a mapping"),
        ("extra_headers", [("x-a", "1")], "extra_headers is a list; give a mapping"),
        ("scope", 7, "7"),
        ("sample", "one", "one"),
        ("tags", "faq", "faq"),
        ("admit", {"everything"}, "everything"),
        ("cache", "yes", "yes"),
        ("refresh", 1, "1"),
    ],
)
def test_a_keyword_that_cannot_work_is_named_with_its_value(words, way, word, value, told):
    error = caught(way.chat, "openai", HI, **(words | {word: value}))

    assert isinstance(error, ConfigurationError)
    assert word in str(error)
    assert told in str(error)


def test_stream_true_is_a_mistake_that_names_the_right_function(words, way):
    error = caught(way.chat, "openai", HI, **words, stream=True)

    assert type(error) is TypeError
    assert "stream()" in str(error)
    assert "astream()" in str(error)


def test_stream_false_says_nothing_new(provider):
    answer = chat("openai", HI, **WORDS, base_url=f"{provider.url}/v1", stream=False)

    assert answer.text
    assert "stream" not in provider.requests[0]["body"]


def test_a_client_takes_only_the_words_of_a_connection():
    with pytest.raises(TypeError, match=r"LLMClient\(\) takes no temperature, ttl; it takes model, api_key, base_url"):
        LLMClient("openai", temperature=0, ttl=5)


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", {1: object()}])
def test_what_json_cannot_say_is_named(words, way, value):
    error = caught(way.chat, "openai", HI, **words, seed=value)

    assert type(error) is ConfigurationError
    assert str(error).startswith("seed=")
    assert "cannot be sent as JSON" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/v1",
        "http:///v1",
        "http://[::1/v1",
        "http://a..b/v1",
    ],
)
def test_an_address_that_is_none_is_told(words, way, url):
    words["base_url"] = url

    error = caught(way.chat, "openai", HI, **words)

    assert isinstance(error, ProviderError | ConfigurationError)
    assert "BASE_URL" in str(error)


@pytest.mark.parametrize("url", ["127.0.0.1/v1", "ftp://127.0.0.1/v1", "someone:passw0rd@127.0.0.1/v1"])
def test_an_address_without_a_scheme_is_refused_as_in_the_settings(words, way, url):
    words["base_url"] = url

    error = caught(way.chat, "openai", HI, **words)

    assert type(error) is ConfigurationError
    assert str(error) == "base_url must begin with https:// or http://, as BASE_URL in the settings must."


@pytest.mark.parametrize("url", ["https://127.0.0.1/v1?key=passw0rd", "https://127.0.0.1/v1#passw0rd"])
def test_an_address_with_no_place_for_a_path_is_refused_as_in_the_settings(words, way, url):
    words["base_url"] = url

    error = caught(way.chat, "openai", HI, **words)

    assert type(error) is ConfigurationError
    assert str(error) == (
        "base_url must have no ? and no #, behind which the API's own paths would be lost, "
        "as BASE_URL in the settings must."
    )


BAD_HEADERS = {
    "not-ascii": ({"é": "x"}, "The header 'é' in extra_headers has no name that HTTP allows"),
    "no-text": ({1: "x"}, "The header 1 in extra_headers has no name that HTTP allows"),
    "line-break": ({"a\r\nb": "x"}, "The header 'a' in extra_headers has no name that HTTP allows"),
    "empty": ({"": "x"}, "The header '' in extra_headers has no name that HTTP allows"),
    "all-in-one": ({"x-a: hidden": ""}, "The header 'x-a' in extra_headers has no name that HTTP allows"),
    "blank-before": ({"x-a": " hidden"}, "The header x-a in extra_headers begins or ends with a blank"),
    "blank-behind": ({"x-a": "hidden "}, "The header x-a in extra_headers begins or ends with a blank"),
    "value-break": ({"x-a": "hidden\r\nx-b: 1"}, "The header x-a in extra_headers has a character"),
    "value-not-ascii": ({"x-a": "hidden…"}, "The header x-a in extra_headers has a character"),
    "bytes": ({"x-a": b"hidden"}, "The header x-a in extra_headers is a bytes: give a text"),
    "none": ({"x-a": None}, "The header x-a in extra_headers is a NoneType: give a text"),
    "length": ({"Content-Length": "3"}, "The header Content-Length in extra_headers is for the HTTP library to set"),
    "framing": ({"transfer-encoding": "chunked"}, "is for the HTTP library to set: leave it out"),
    "host": ({"host": "elsewhere"}, "is for the HTTP library to set: leave it out"),
    "connection": ({"connection": "close"}, "is for the HTTP library to set: leave it out"),
}


@pytest.mark.parametrize(("headers", "told"), BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(words, way, headers, told):
    for call in (way.chat, way.stream):
        error = caught(call, "openai", HI, **words, extra_headers=headers)

        assert type(error) is ConfigurationError
        assert told in str(error)
        assert "Nothing was sent." in str(error)
        assert "hidden" not in str(error)


@pytest.mark.parametrize("name", [[], {}, None, 5, HI], ids=repr)
def test_a_provider_that_is_no_name_is_refused(words, way, name):
    for call in (way.chat, way.stream):
        error = caught(call, name, HI, **words)
        assert type(error) is ConfigurationError
        assert (
            str(error) == f"provider is a {type(name).__name__}; give its name first, as in chat('openai', messages)."
        )
    with pytest.raises(ConfigurationError, match="give its name first"):
        LLMClient(name)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"BACKEND": "nowhere.Backend"}, "['BACKEND'] is 'nowhere.Backend', which does not import"),
        ({"STRATEGY": "nowhere.Strategy"}, "['STRATEGY'] is 'nowhere.Strategy', which does not import"),
        ({"MIDDLEWARE": ["nowhere.M"]}, "['MIDDLEWARE'] has 'nowhere.M', which does not import"),
        ({"DEFAULT_TTL": "soon"}, "['DEFAULT_TTL'] is 'soon'"),
        ({"PROVIDERS": {"openai": {"TIMEOUT": "soon"}}}, "['PROVIDERS']['openai']['TIMEOUT'] is 'soon'"),
        ({"PROVIDERS": {"openai": {"API_KY": "x"}}}, "['PROVIDERS']['openai'] has 'API_KY'"),
        ({"PROVIDERS": {"openai": {"CLASS": "no.P"}}}, "['openai']['CLASS'] is 'no.P', which does not import"),
        ({"PROVIDERS": {"openai": {"CLASS": "json.loads"}}}, "['CLASS'] is 'json.loads', which is no subclass of"),
    ],
)
def test_a_setting_that_cannot_work_is_named_by_the_first_call(words, way, settings, told):
    with override_settings(LLMCACHE=settings):
        error = caught(way.chat, "openai", HI, **words)

    assert type(error) is ConfigurationError
    assert told in str(error)
    assert "settings.LLMCACHE" in str(error)


class Swapping:
    """A middleware that gives a whole answer where a stream is due."""

    def __init__(self, get_response):
        pass

    def __call__(self, request):
        return LLMResponse(b"{}")


@override_settings(LLMCACHE={"MIDDLEWARE": [f"{__name__}.Swapping"]})
def test_a_middleware_that_answers_a_stream_with_something_else_is_told_of(words):
    with pytest.raises(TypeError, match="A middleware returned a LLMResponse for a stream"):
        stream("openai", HI, **words)


@override_settings(LLMCACHE={"MIDDLEWARE": [f"{__name__}.Swapping"]})
def test_so_is_one_on_the_event_loop(words, monkeypatch):
    error = caught(Way("httpx2", monkeypatch).stream, "openai", HI, **words)

    assert type(error) is TypeError
