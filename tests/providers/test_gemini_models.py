"""Gemini's model is in the path: a name leads there, and nowhere else."""

from __future__ import annotations

import pytest

from django_llmcache import chat, embed, stream
from django_llmcache.exceptions import ConfigurationError

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def words(provider):
    return {"api_key": "made-up-key", "base_url": provider.url}


@pytest.mark.parametrize(
    "model",
    [
        "../../admin/delete?x=", "a#b", "a?b=c", "..", ".", "models/..", "models/../x", "/x", "x/", "a//b", "a%2fb",
        "a\\b", "a b", "a\nb", "a\x00b", "\ud800",
    ],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("ask", [chat, stream, embed], ids=lambda ask: ask.__name__)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_sent(provider, words, ask, model):
    with pytest.raises(ConfigurationError) as caught:
        ask("gemini", "Hi" if ask is embed else HI, model=model, **words)

    assert f"model is {model!r}, which is no name for Gemini" in str(caught.value)
    assert provider.calls == 0


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.0-flash", "models/gemini-2.0-flash"),
        ("models/gemini-2.0-flash", "models/gemini-2.0-flash"),
        ("tunedModels/my-model_1", "tunedModels/my-model_1"),
        ("publishers/google/models/gemini-1.5-pro@001", "publishers/google/models/gemini-1.5-pro@001"),
        ("projects/p/locations/l/endpoints/12", "projects/p/locations/l/endpoints/12"),
        ("a:b", "models/a%3Ab"),
        ("é", "models/%C3%A9"),
    ],
)
def test_every_other_name_leads_to_its_model(provider, words, model, path):
    chat("gemini", HI, model=model, **words)

    assert provider.requests[-1]["path"] == f"/{path}:generateContent"
