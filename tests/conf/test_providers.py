"""PROVIDERS: merged per key over the built-in ones, with keys from the environment."""

from __future__ import annotations

import pytest
from django.test import override_settings

from django_llmcache import chat, conf, providers
from django_llmcache.exceptions import ConfigurationError, MissingAPIKeyError
from django_llmcache.providers.openai import OpenAI

MESSAGES = [{"role": "user", "content": "Test"}]


def ask(provider, name="openai", **words):
    """Ask the stand-in; return the headers that it got."""
    with override_settings(LLMCACHE={"PROVIDERS": {name: {"BASE_URL": f"{provider.url}/v1", "MODEL": "m", **words}}}):
        chat(name, MESSAGES)
    return provider.requests[-1]["headers"]


class Local(OpenAI):
    """A provider that a project describes by itself."""

    base_url = "http://localhost:1/v1"
    key_variable = "LOCAL_TOKEN"


class TestMerging:
    def test_a_key_that_is_named_leaves_the_others_as_built_in(self):
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"MODEL": "gpt-4o-mini"}}}):
            openai = providers.get("openai")

        assert (openai.base_url, openai.key_variable) == ("https://api.openai.com/v1", "OPENAI_API_KEY")

    def test_one_provider_that_is_named_leaves_the_others_as_built_in(self):
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": "http://proxy/v1"}}}):
            addresses = {name: providers.get(name).base_url for name in ("openai", "groq")}

        assert addresses == {"openai": "http://proxy/v1", "groq": "https://api.groq.com/openai/v1"}

    def test_an_address_alone_makes_a_service_with_the_api_of_openai(self, provider, monkeypatch):
        monkeypatch.setenv("MY_LLM_API_KEY", "sk-mine")

        headers = ask(provider, "my-llm")

        assert headers["authorization"] == "Bearer sk-mine"

    def test_a_class_of_the_projects_own_is_used(self):
        with override_settings(LLMCACHE={"PROVIDERS": {"local": {"CLASS": f"{__name__}.Local"}}}):
            local = providers.get("local")

        assert (type(local), local.base_url, local.key_variable) == (Local, Local.base_url, "LOCAL_TOKEN")

    def test_headers_are_sent(self, provider):
        assert ask(provider, API_KEY="sk-1", HEADERS={"X-Team": "search"})["x-team"] == "search"

    def test_the_model_is_asked_where_a_call_names_none(self, provider):
        ask(provider, API_KEY="sk-1", MODEL="gpt-4-turbo")

        assert provider.requests[-1]["body"]["model"] == "gpt-4-turbo"


class TestKeys:
    def test_the_setting_wins_over_the_environment(self, provider, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")

        assert ask(provider, API_KEY="sk-setting")["authorization"] == "Bearer sk-setting"

    @pytest.mark.parametrize("none", [{}, {"API_KEY": None}, {"API_KEY": ""}], ids=["unset", "None", "empty"])
    def test_the_environment_is_asked_where_the_settings_say_nothing(self, provider, monkeypatch, none):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")

        assert ask(provider, **none)["authorization"] == "Bearer sk-environment"

    def test_the_environment_is_read_at_each_call(self, provider, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
        first = ask(provider)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-two")
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{provider.url}/v1"}}}):
            chat("openai", MESSAGES, model="m", cache=False)

        assert first["authorization"] == "Bearer sk-one"
        assert provider.requests[-1]["headers"]["authorization"] == "Bearer sk-two"

    def test_a_variable_that_is_empty_is_unset(self, monkeypatch):
        monkeypatch.setenv("OPENAI_API_KEY", "")

        assert conf.environment("OPENAI_API_KEY") is None

    def test_without_a_key_all_three_places_are_named(self, provider):
        with pytest.raises(MissingAPIKeyError) as caught:
            ask(provider)

        assert all(place in str(caught.value) for place in ("api_key=", "['API_KEY']", "OPENAI_API_KEY"))
        assert provider.calls == 0


WRONG = {
    "CLASS": (None, object, 5),
    "API_KEY": (5, ["sk"], True, b"sk"),
    "BASE_URL": (None, 5, "api.example.com/v1", "ftp://example.com", "https://a/v1?x=1", "https://a/v1#x"),
    "MODEL": (5, ["m"], True),
    "TIMEOUT": (None, "60", 0, -1, True, 1e10),
    "HEADERS": (None, "X: y", [("X", "y")], {3: "y"}, {"": "y"}, {"X": None}),
    "CACHE": (None, 1, "no"),
    "TTL": ("soon", True, -1),
}


RIGHT = {
    "CLASS": ("django_llmcache.providers.openai.Compatible",),
    "API_KEY": (None, "", "sk"),
    "BASE_URL": ("", "http://gpu.internal:8000/v1", "https://example.com"),
    "MODEL": (None, "m"),
    "TIMEOUT": (1, 0.5),
    "HEADERS": ({}, {"X-Team": "search"}),
    "CACHE": (True, False),
    "TTL": (None, 0, 60),
}


class TestRight:
    def test_every_key_is_among_the_cases(self):
        assert set(conf.PROVIDER_KEYS) == set(RIGHT)

    @pytest.mark.parametrize(
        ("key", "value"),
        [pytest.param(key, value, id=f"{key}-{value!r}") for key, values in RIGHT.items() for value in values],
    )
    def test_it_is_read_as_it_was_given(self, key, value):
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {key: value}}}):
            assert conf.current().providers == {"openai": {key: value}}


class TestWrong:
    def test_every_key_is_among_the_cases(self):
        assert set(conf.PROVIDER_KEYS) == set(WRONG)

    @pytest.mark.parametrize(
        ("key", "value"),
        [pytest.param(key, value, id=f"{key}-{value!r}") for key, values in WRONG.items() for value in values],
    )
    def test_a_wrong_value_is_refused_by_name(self, key, value):
        with (
            override_settings(LLMCACHE={"PROVIDERS": {"openai": {key: value}}}),
            pytest.raises(ConfigurationError) as caught,
        ):
            conf.current()

        assert f"settings.LLMCACHE['PROVIDERS']['openai']['{key}']" in str(caught.value)

    def test_an_unknown_key_is_refused_with_those_that_are_known(self):
        with (
            override_settings(LLMCACHE={"PROVIDERS": {"openai": {"APIKEY": "sk"}}}),
            pytest.raises(ConfigurationError, match=r"has 'APIKEY'; it may have CLASS, API_KEY, "),
        ):
            conf.current()
