"""Times are seconds or a timedelta, wherever a setting has one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import override_settings

from django_llmcache import conf
from django_llmcache.exceptions import ConfigurationError

GOOD = pytest.mark.parametrize(
    ("given", "seconds"), [(90, 90), (0.5, 0.5), (timedelta(minutes=2), 120.0), (timedelta(days=1), 86400.0)], ids=repr
)
BAD = pytest.mark.parametrize("given", ["soon", "90", True, -1, -0.5, timedelta(seconds=-1), float("nan")], ids=repr)

PLACES = {
    "['DEFAULT_TTL']": (lambda given: {"DEFAULT_TTL": given}, lambda settings: settings.default_ttl),
    "['CLEANUP_INTERVAL']": (lambda given: {"CLEANUP_INTERVAL": given}, lambda settings: settings.cleanup_interval),
    "['TTL_RULES'][0]['TTL']": (
        lambda given: {"TTL_RULES": [{"TTL": given}]},
        lambda settings: settings.ttl_for("openai", "m", "chat"),
    ),
    "['PROVIDERS']['openai']['TTL']": (
        lambda given: {"PROVIDERS": {"openai": {"TTL": given}}},
        lambda settings: settings.ttl_for("openai", "m", "chat"),
    ),
    "['PROVIDERS']['openai']['TIMEOUT']": (
        lambda given: {"PROVIDERS": {"openai": {"TIMEOUT": given}}},
        lambda settings: settings.providers["openai"]["TIMEOUT"],
    ),
}
EVERYWHERE = pytest.mark.parametrize("where", PLACES)
TTLS = pytest.mark.parametrize("where", [where for where in PLACES if "TTL']" in where])
DURATIONS = pytest.mark.parametrize("where", [where for where in PLACES if "TTL']" not in where])


def read(where, given):
    write, look = PLACES[where]
    with override_settings(LLMCACHE=write(given)):
        return look(conf.current())


@EVERYWHERE
@GOOD
def test_it_is_read_in_seconds(where, given, seconds):
    assert seconds == read(where, given)


@EVERYWHERE
@BAD
def test_what_is_no_time_is_refused_by_name(where, given):
    with pytest.raises(ConfigurationError) as caught:
        read(where, given)

    assert f"settings.LLMCACHE{where} is {given!r}" in str(caught.value)


@TTLS
@pytest.mark.parametrize(("given", "seconds"), [(None, None), (float("inf"), None), (0, 0)], ids=repr)
def test_an_answer_may_be_kept_for_ever_or_not_at_all(where, given, seconds):
    assert seconds == read(where, given)


@DURATIONS
@pytest.mark.parametrize("given", [None, float("inf"), 0, timedelta(0)], ids=repr)
def test_a_pause_or_a_patience_ends_and_is_not_nothing(where, given):
    with pytest.raises(ConfigurationError) as caught:
        read(where, given)

    assert f"settings.LLMCACHE{where} is {given!r}" in str(caught.value)
    assert "for ever" not in str(caught.value)


RULES = [
    {"PROVIDER": "openai", "MODEL": "gpt-4*", "TTL": 1},
    {"OPERATION": "embeddings", "TTL": None},
    {"PROVIDER": "openai", "MODEL": "gpt-?", "OPERATION": "chat", "TTL": timedelta(seconds=2)},
]


@pytest.mark.parametrize(
    ("request_kind", "ttl"),
    [
        (("openai", "gpt-4o", "chat"), 1),
        (("openai", "gpt-4o", "embeddings"), 1),
        (("openai", "text-embedding-3-small", "embeddings"), None),
        (("openai", "gpt-5", "chat"), 2),
        (("openai", "gpt-55", "chat"), 20),
        (("anthropic", "gpt-4", "chat"), 20),
        (("ollama", "llama3", "embeddings"), None),
        (("mistral", "gpt-4", "embeddings"), 30),
    ],
    ids=str,
)
def test_the_provider_holds_then_the_first_rule_that_matches_then_the_default(request_kind, ttl):
    configured = {"TTL_RULES": RULES, "PROVIDERS": {"mistral": {"TTL": 30}}, "DEFAULT_TTL": 20}

    with override_settings(LLMCACHE=configured):
        assert ttl == conf.current().ttl_for(*request_kind)


def test_a_pattern_heeds_capitals():
    with override_settings(LLMCACHE={"TTL_RULES": [{"MODEL": "GPT*", "TTL": 1}]}):
        assert conf.current().ttl_for("openai", "gpt-4", "chat") == 900


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"MODEL": "gpt-4"}, "give TTL and any of PROVIDER, MODEL, OPERATION"),
        ({"TTL": 1, "PROVDER": "openai"}, "give TTL and any of PROVIDER, MODEL, OPERATION"),
        ({"TTL": 1, "MODEL": 5}, r"\['TTL_RULES'\]\[0\]\['MODEL'\] is 5; it must be str"),
        ("openai", "it must be dict"),
    ],
    ids=repr,
)
def test_a_rule_that_could_match_more_than_was_meant_is_refused(rule, said):
    with override_settings(LLMCACHE={"TTL_RULES": [rule]}), pytest.raises(ConfigurationError, match=said):
        conf.current()
