"""Every key of LLMCACHE by itself: its default, what it may be, what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.test import override_settings

from django_llmcache import LLMRequest, cache, conf
from django_llmcache.exceptions import ConfigurationError

BACKEND = "django_llmcache.backends.dummy.DummyBackend"
MIDDLEWARE = "django_llmcache.middleware.cache.CacheMiddleware"


class Case(NamedTuple):
    """What one setting is without a word, what it becomes when a value is given, and values that are refused."""

    default: Any
    given: Any
    wrong: tuple[Any, ...]
    becomes: Any = ...


CASES = {
    "ENABLED": Case(True, False, (1, 0, "True", None)),
    "CACHE_BY_DEFAULT": Case(True, False, (1, "no", None)),
    "CACHEABLE": Case(None, "project.rules.cacheable", (True, len, 5)),
    "REQUIRE_SCOPE": Case(False, True, (1, "yes", None)),
    "STRATEGY": Case("django_llmcache.strategies.ProductionStrategy", "a.B", (None, object, 1)),
    "BACKEND": Case("django_llmcache.backends.memory.MemoryBackend", BACKEND, (None, object, {"BACKEND": BACKEND})),
    "OPTIONS": Case({}, {"MAX_ENTRIES": 5}, (None, [], "MAX_ENTRIES=5")),
    "DEFAULT_TTL": Case(900, 60, ("soon", "60", True, -1, float("nan"), [60])),
    "TTL_RULES": Case((), [{"TTL": 5}], (None, {"TTL": 5}, "*", [5], [{}], [{"TTL": "soon"}]), (("*", "*", "*", 5),)),
    "CLEANUP_INTERVAL": Case(300, 10, (None, "5 min", True, 0, -1, float("inf"), float("nan"))),
    "MAX_ENTRY_BYTES": Case(4 * 1024 * 1024, 1000, (None, 1.5, "4 MB", True, 0, -1)),
    "KEY_VERSION": Case(1, "2026-11", (None, True, 1.5, [], 2**63, -(2**64))),
    "IGNORE_FIELDS": Case((), ["metadata.trace"], (None, "metadata", [1], {"a": 1}), ("metadata.trace",)),
    "KEY_HEADERS": Case(
        frozenset(), ["X-Route"], (None, "x-route", [1], ["x route"], ["Authorization"]), frozenset({"x-route"})
    ),
    "SCOPE": Case(None, "tenant-1", (5, True, len, "")),
    "TTL_JITTER": Case(0.0, 0.1, (None, "1", True, -0.1, 1.1, float("nan"))),
    "STALE_FOR": Case(0, 60, (None, "60", True, -1, float("nan"))),
    "TAG_MODELS": Case(
        None,
        ["docs.Document"],
        ("docs.Document", 5, ["Document"], ["a.b.c"], [".x"], [None]),
        frozenset({"docs.document"}),
    ),
    "MIDDLEWARE": Case((MIDDLEWARE,), ["a.B", MIDDLEWARE], (None, MIDDLEWARE, [None], [len]), ("a.B", MIDDLEWARE)),
    "PROVIDERS": Case({}, {"openai": {"MODEL": "m"}}, (None, [], "openai", {1: {}}, {"openai": None})),
    "INSTRUMENT": Case(False, True, (1, "yes", None)),
    "RUN_DIR": Case(None, "/run/site", (True, 5, b"/run")),
    "ASYNC_THREADS": Case(64, 8, (None, "8", 1.5, True, 0, -1)),
    "TEST_CACHE": Case(
        {name.lower(): setting.default for name, setting in conf.TEST_CACHE_KEYS.items()}
        | {"hosts": (), "ignore_paths": (), "ttls": {}},
        {"DIR": "x"},
        (
            None,
            [],
            {"DR": "x"},
            {"MODE": "sometimes"},
            {"TTL": "soon"},
            {"TTL": {"openai": "soon"}},
            {"TTL": {1: 1}},
            {"ENABLED": 1},
            {"MAX_FIXTURE_BYTES": 0},
        ),
    ),
}
CASES["RUN_DIR"] = CASES["RUN_DIR"]._replace(becomes=Path("/run/site"))
CASES["TEST_CACHE"] = CASES["TEST_CACHE"]._replace(becomes=CASES["TEST_CACHE"].default | {"dir": "x"})

EACH = pytest.mark.parametrize("name", CASES)
EACH_WRONG = pytest.mark.parametrize(
    ("name", "value"),
    [pytest.param(name, value, id=f"{name}-{value!r}") for name, case in CASES.items() for value in case.wrong],
)


def read(name):
    """Return what the code reads of a setting."""
    value = getattr(conf.current(), name.lower())
    return vars(value) if name == "TEST_CACHE" else value


def test_every_setting_is_among_the_cases():
    assert set(conf.SETTINGS) == set(CASES)


@EACH
def test_without_a_word_it_has_its_default(name):
    assert CASES[name].default == read(name)


@EACH
def test_a_given_value_holds_at_once_and_no_longer_than_its_override(name):
    case = CASES[name]

    with override_settings(LLMCACHE={name: case.given}):
        inside = read(name)

    assert (case.given if case.becomes is ... else case.becomes) == inside
    assert case.default == read(name)


@EACH_WRONG
def test_a_wrong_value_is_refused_by_name(name, value):
    with override_settings(LLMCACHE={name: value}), pytest.raises(ConfigurationError) as caught:
        conf.current()

    assert f"settings.LLMCACHE['{name}']" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["x-foo-pwd", "x-team-secrets", "X-Passwd", "x-user-passphrase", "x-foo-bearer", "x-foo-jwt", "x-credentials",
     "X-AccessKey", "xapikey", "x-authtoken", "xgatewaytoken", "x_foo_clientsecret"],
)  # fmt: skip
def test_no_header_that_the_test_cache_takes_for_a_credential_counts_in_a_key(name):
    with override_settings(LLMCACHE={"KEY_HEADERS": [name]}), pytest.raises(ConfigurationError, match="a credential"):
        conf.current()


def test_a_number_or_a_text_may_be_the_version_of_the_keys():
    with override_settings(LLMCACHE={"KEY_VERSION": 7}):
        assert read("KEY_VERSION") == 7


def test_a_tuple_will_do_for_a_list():
    with override_settings(LLMCACHE={"MIDDLEWARE": (MIDDLEWARE,), "TTL_RULES": ({"TTL": 1},), "IGNORE_FIELDS": ("a",)}):
        assert (read("MIDDLEWARE"), read("IGNORE_FIELDS")) == ((MIDDLEWARE,), ("a",))


@pytest.mark.parametrize("value", [None, [], "ENABLED"], ids=repr)
def test_the_whole_must_be_a_dict(value):
    with override_settings(LLMCACHE=value), pytest.raises(ConfigurationError, match=r"LLMCACHE is .*must be a dict"):
        conf.current()


def test_the_inner_of_two_overrides_holds_and_then_the_outer_again():
    with override_settings(LLMCACHE={"DEFAULT_TTL": 1}):
        with override_settings(LLMCACHE={"DEFAULT_TTL": 2}):
            inner = read("DEFAULT_TTL")
        outer = read("DEFAULT_TTL")

    assert (inner, outer, read("DEFAULT_TTL")) == (2, 1, 900)


def test_an_override_replaces_the_whole_dict():
    with override_settings(LLMCACHE={"DEFAULT_TTL": 1}), override_settings(LLMCACHE={"ENABLED": False}):
        assert read("DEFAULT_TTL") == 900


def test_a_changed_setting_holds_for_the_next_call():
    request = LLMRequest("openai", payload={"model": "m", "messages": []})

    def call(_request):
        return b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'

    first = cache.with_cache(request, call)
    with override_settings(LLMCACHE={"ENABLED": False}):
        switched_off = cache.with_cache(request, call)
    again = cache.with_cache(request, call)

    assert [answer.cache.status for answer in (first, switched_off, again)] == ["miss", "bypass", "hit"]


def test_a_wrong_value_is_told_to_who_calls():
    request = LLMRequest("openai", payload={"model": "m", "messages": []})

    with override_settings(LLMCACHE={"DEFAULT_TTL": "soon"}), pytest.raises(ConfigurationError, match="'soon'"):
        cache.with_cache(request, lambda _request: b"{}")


def test_a_shared_scope_contradicts_a_required_one_and_the_safer_holds():
    request = LLMRequest("openai", payload={"model": "m", "messages": []})

    with override_settings(LLMCACHE={"REQUIRE_SCOPE": True, "SCOPE": "public"}):
        answer = cache.with_cache(request, lambda _request: b"{}")

    assert (answer.cache.status, answer.cache.reason) == ("bypass", "no_scope")


class TestInstead:
    def test_other_settings_hold_meanwhile(self):
        with override_settings(LLMCACHE={"DEFAULT_TTL": 1}):
            with conf.instead({"DEFAULT_TTL": 2}):
                inside = read("DEFAULT_TTL")
            after = read("DEFAULT_TTL")

        assert (inside, after) == (2, 1)

    def test_they_hold_over_broken_ones(self):
        with override_settings(LLMCACHE={"DEFAULT_TTL": "soon"}), conf.instead({}):
            assert read("DEFAULT_TTL") == 900

    def test_they_must_be_right_themselves(self):
        with pytest.raises(ConfigurationError), conf.instead({"DEFAULT_TTL": "soon"}):
            pytest.fail("It let wrong settings in.")

        assert read("DEFAULT_TTL") == 900


class TestForced:
    def test_a_key_holds_over_the_settings_and_those_before_are_back_afterwards(self):
        before = conf.current()
        with conf.forced(DEFAULT_TTL=7):
            inside = read("DEFAULT_TTL")

        assert inside == 7
        assert conf.current() is before

    def test_it_holds_over_settings_that_change_meanwhile_and_they_hold_afterwards(self):
        conf.current()
        change = override_settings(LLMCACHE={"DEFAULT_TTL": 2, "KEY_VERSION": "new"})
        with conf.forced(DEFAULT_TTL=7):
            change.enable()
            inside = read("DEFAULT_TTL"), read("KEY_VERSION")
        after = read("DEFAULT_TTL")
        change.disable()

        assert (inside, after) == ((7, "new"), 2)

    def test_one_within_another(self):
        conf.current()
        with conf.forced(DEFAULT_TTL=7):
            with conf.forced(KEY_VERSION="inner"):
                both = read("DEFAULT_TTL"), read("KEY_VERSION")
            one = read("DEFAULT_TTL"), read("KEY_VERSION")

        assert both == (7, "inner")
        assert one == (7, 1)

    def test_what_was_forced_once_is_not_taken_for_something_else(self):
        conf.current()
        found = []
        for ttl in (7, 8, 7):
            with conf.forced(DEFAULT_TTL=ttl):
                found.append(read("DEFAULT_TTL"))

        assert found == [7, 8, 7]
