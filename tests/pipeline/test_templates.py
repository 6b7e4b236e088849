"""A prompt that a template gave: Django marks it as safe, in a class of its own."""

from __future__ import annotations

from django.template import Context, Template
from django.utils.safestring import SafeString, mark_safe

from django_llmcache import LLMRequest, cache
from tests.pipeline.world import ask, fate

TEXT = "Is 1 < 2?"


def asking(prompt):
    return [{"role": "user", "content": prompt}]


def test_it_is_cached(events):
    prompts = [Template("Is 1 < {{ number }}?").render(Context({"number": 2})) for _ in range(2)]

    fates = [fate(ask(messages=asking(prompt))) for prompt in prompts]

    assert {type(prompt) for prompt in prompts} == {SafeString}
    assert fates == [("miss", None), ("hit", None)]
    assert "error" not in events.names


def test_it_is_the_text_that_is_sent(provider):
    ask(messages=asking(TEXT))

    assert ask(messages=asking(mark_safe(TEXT))).from_cache
    assert not ask(messages=asking(mark_safe(TEXT.replace("<", "&lt;")))).from_cache
    assert provider.requests[1]["body"]["messages"] == asking("Is 1 &lt; 2?")


def test_it_is_explained_as_the_text_that_it_is():
    requests = [LLMRequest("openai", payload={"messages": asking(prompt)}) for prompt in (TEXT, mark_safe(TEXT))]

    plain, safe = map(cache.explain, requests)

    assert (plain.key, plain.parts) == (safe.key, safe.parts)


def test_a_file_at_the_provider_is_state_also_where_a_template_named_it():
    part = {"type": mark_safe("image_generation_call"), "n": 1}

    assert fate(ask(messages=asking([part]))) == ("bypass", "stateful")


def test_a_text_of_another_class_still_has_no_key():
    class Odd(str):
        __slots__ = ()

    assert fate(ask(messages=asking(Odd(TEXT)))) == ("bypass", "unencodable")
