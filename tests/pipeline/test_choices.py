"""Django's ``TextChoices`` and ``IntegerChoices`` in a call: enums, with a metaclass of their own."""

from __future__ import annotations

from django.db.models import IntegerChoices, TextChoices

from django_llmcache import LLMRequest, cache
from tests.pipeline.world import ask, fate


class Model(TextChoices):
    SMALL = "gpt-4o-mini", "small"
    SEARCHING = "gpt-4o-search-preview", "searching"


class Role(TextChoices):
    USER = "user", "the user"


class Length(IntegerChoices):
    SHORT = 100, "short"


def test_a_call_with_them_is_the_call_with_their_values(provider, events):
    plain = ask(model="gpt-4o-mini", max_tokens=100, messages=[{"role": "user", "content": "Hi"}])

    chosen = ask(model=Model.SMALL, max_tokens=Length.SHORT, messages=[{"role": Role.USER, "content": "Hi"}])

    assert chosen.from_cache
    assert chosen.cache.key == plain.cache.key
    assert "error" not in events.names


def test_what_is_sent_is_their_values(provider):
    ask(model=Model.SMALL, max_tokens=Length.SHORT, messages=[{"role": Role.USER, "content": "Hi"}])

    body = provider.requests[0]["body"]
    assert (body["model"], body["max_tokens"], body["messages"][0]["role"]) == ("gpt-4o-mini", 100, "user")


def test_a_model_that_searches_by_itself_is_known_by_any_name():
    assert fate(ask(model=Model.SEARCHING)) == ("bypass", "stateful")


def test_they_are_explained_as_their_values():
    payloads = {"model": "gpt-4o-mini", "n": 100}, {"model": Model.SMALL, "n": Length.SHORT}

    plain, chosen = (cache.explain(LLMRequest("openai", payload=payload)) for payload in payloads)

    assert (plain.key, plain.parts) == (chosen.key, chosen.parts)
