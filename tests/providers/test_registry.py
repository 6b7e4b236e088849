"""How a name finds its provider: built in, by a class of the settings, or by an address alone."""

from __future__ import annotations

import pytest
from django.test import override_settings

from django_llmcache import LLMClient, chat
from django_llmcache.exceptions import ConfigurationError, MissingAPIKeyError
from django_llmcache.providers import Provider, get, names
from django_llmcache.providers.openai import Compatible, OpenAI

HI = [{"role": "user", "content": "Hi"}]
KEY = "sk-made-up-2f9c71d0a4"


class House(Compatible):
    """A service of our own."""

    def extra_headers(self):
        return {"x-house": "yes"}


class Wordy(OpenAI):
    """Takes the place of one that comes with the package."""

    def chat_payload(self, messages, model, options, *, stream):
        return {**super().chat_payload(messages, model, options, stream=stream), "service_tier": "flex"}


def settings(name, **words):
    return override_settings(LLMCACHE={"PROVIDERS": {name: words}})


def test_a_class_is_found_by_its_dotted_path(provider):
    with settings("house", CLASS=f"{__name__}.House", BASE_URL=f"{provider.url}/v1", API_KEY=KEY, MODEL="m"):
        answer = chat("house", HI)

    assert provider.requests[0]["headers"]["x-house"] == "yes"
    assert answer.text


def test_a_class_of_the_settings_takes_the_place_of_a_built_in_one(provider):
    with settings("openai", CLASS=f"{__name__}.Wordy", BASE_URL=f"{provider.url}/v1", API_KEY=KEY, MODEL="m"):
        chat("openai", HI)

    assert provider.requests[0]["body"]["service_tier"] == "flex"


def test_an_address_alone_makes_an_openai_compatible_provider(provider):
    with settings("house", BASE_URL=f"{provider.url}/v1", API_KEY=KEY, MODEL="m"):
        first, second = chat("house", HI), chat("house", HI)

    assert (first.text, second.from_cache, provider.calls) == (second.text, True, 1)


@pytest.mark.parametrize("words", [{}, {"CLASS": f"{__name__}.House"}])
def test_one_providers_key_is_never_sent_to_another(provider, monkeypatch, words):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    with settings("my-house.2", BASE_URL=f"{provider.url}/v1", MODEL="m", **words):
        with pytest.raises(MissingAPIKeyError, match="the environment variable MY_HOUSE_2_API_KEY"):
            chat("my-house.2", HI)
        monkeypatch.setenv("MY_HOUSE_2_API_KEY", "its-own")
        chat("my-house.2", HI)

    (sent,) = provider.requests
    assert sent["headers"]["authorization"] == "Bearer its-own"


def test_every_known_name_is_listed():
    with settings("house", BASE_URL="http://127.0.0.1:1"):
        found = names()

    assert found == sorted(found)
    assert {"house", "openai", "ollama"} <= set(found)


@pytest.mark.parametrize("name", names())
def test_every_listed_provider_can_be_made(name):
    made = get(name)

    assert isinstance(made, Provider)
    assert repr(made) == f"<{type(made).__name__} {name} at {made.base_url}>"
    assert made.key_variable.endswith("_API_KEY")


def test_a_name_with_neither_class_nor_address_is_unknown():
    with settings("house", MODEL="m"), pytest.raises(ConfigurationError, match="No provider is named 'house'"):
        LLMClient("house")


def test_two_names_share_no_answers_though_they_share_an_address(provider):
    both = {"BASE_URL": f"{provider.url}/v1", "API_KEY": KEY, "MODEL": "m"}
    with override_settings(LLMCACHE={"PROVIDERS": {"one": both, "two": both}}):
        chat("one", HI)
        again = chat("two", HI)

    assert not again.from_cache


class Silent(Provider):
    """Says nothing of itself."""

    base_url = "http://127.0.0.1:1"


def test_a_class_that_does_not_say_where_a_chat_goes_is_told_so():
    with settings("silent", CLASS=f"{__name__}.Silent", MODEL="m"), pytest.raises(NotImplementedError):
        chat("silent", HI)
