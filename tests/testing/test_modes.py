"""Who decides whether the test cache is on, and in which mode."""

from __future__ import annotations

import pytest

from django_llmcache import conf
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.recorder.setup import Mode
from django_llmcache.testing import modes, override_llmcache
from django_llmcache.testing.levels import Level
from django_llmcache.testing.options import options_from

ENABLED, MODE = "LLMCACHE_TEST_CACHE_ENABLED", "LLMCACHE_TEST_CACHE_MODE"


@pytest.fixture(autouse=True)
def nobody_said(monkeypatch):
    """Begin with no word from the command line or the machine."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv(conf.COMMAND_LINE_MODE, raising=False)
    monkeypatch.setattr(modes, "_from_command_line", None)


def decided(monkeypatch, *, asked=None, line=None, setting=None, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if line is not None:
        monkeypatch.setattr(modes, "_from_command_line", line)
    with override_llmcache(TEST_CACHE=setting or {}):
        return modes.decide(Mode(asked) if asked else None)


def test_nothing_said_is_off_and_says_what_to_set(monkeypatch):
    decision = decided(monkeypatch)

    assert "LLMCACHE_TEST_CACHE_ENABLED=true" in decision.skip


@pytest.mark.parametrize(
    ("words", "mode"),
    [
        ({ENABLED: "true"}, "once"),
        ({ENABLED: "true", "CI": "true"}, "replay"),
        ({ENABLED: "true", "CI": "woodpecker"}, "replay"),
        ({ENABLED: "true", "CI": "false"}, "once"),
        ({"setting": {"ENABLED": True}}, "once"),
        ({"setting": {"ENABLED": True, "MODE": "refresh"}, "CI": "1"}, "refresh"),
        ({"setting": {"ENABLED": True, "MODE": "refresh"}, MODE: "replay"}, "replay"),
        ({ENABLED: "yes", MODE: "replay", "line": "once"}, "once"),
        ({ENABLED: "on", MODE: "replay", "line": "once", "asked": "refresh"}, "refresh"),
        ({"line": "replay"}, "replay"),
        ({MODE: "live"}, "live"),
        ({MODE: "refresh"}, "refresh"),
        ({"asked": "replay"}, "replay"),
    ],
    ids=str,
)
def test_the_nearest_word_holds(monkeypatch, words, mode):
    assert decided(monkeypatch, **words) == (Mode(mode), None)


@pytest.mark.parametrize(
    "words", [{ENABLED: "false", MODE: "replay"}, {"setting": {"ENABLED": False}, MODE: "once"}], ids=str
)
def test_off_is_off(monkeypatch, words):
    assert decided(monkeypatch, **words).skip


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ({ENABLED: "false", "line": "once"}, "LLMCACHE_TEST_CACHE_ENABLED=false"),
        ({ENABLED: "Off", "asked": "once"}, "LLMCACHE_TEST_CACHE_ENABLED=Off"),
        ({ENABLED: "0", "setting": {"ENABLED": True}}, "LLMCACHE_TEST_CACHE_ENABLED=0"),
        ({ENABLED: "no", "setting": {"ENABLED": False}}, "LLMCACHE_TEST_CACHE_ENABLED=no"),
        ({"setting": {"ENABLED": False}, "asked": "once"}, "settings.LLMCACHE['TEST_CACHE']['ENABLED'] is False"),
        ({"setting": {"ENABLED": False}, MODE: "once"}, "settings.LLMCACHE['TEST_CACHE']['ENABLED'] is False"),
    ],
    ids=str,
)
def test_where_somebody_said_so_it_says_where(monkeypatch, words, source):
    decision = decided(monkeypatch, **words)

    assert decision.skip.startswith(f"The test cache is off: {source}. Set LLMCACHE_TEST_CACHE_ENABLED=true to replay")


@pytest.mark.parametrize("words", [{}, {"setting": {"ENABLED": None}}, {"setting": {"MODE": "once"}}], ids=str)
def test_where_nobody_did_it_names_nobody(monkeypatch, words):
    decision = decided(monkeypatch, **words)

    assert decision.skip.startswith("The test cache is off. Set LLMCACHE_TEST_CACHE_ENABLED=true to replay")


def test_a_switch_that_is_neither_is_an_error(monkeypatch):
    with pytest.raises(ConfigurationError, match="LLMCACHE_TEST_CACHE_ENABLED is 'maybe'; give true, 1, yes or on"):
        decided(monkeypatch, **{ENABLED: "maybe"})


@pytest.mark.parametrize("source", [MODE, "--llmcache-mode"])
def test_a_mode_that_is_none_is_an_error_that_names_its_source(monkeypatch, source):
    words = {MODE: "sometimes"} if source == MODE else {"line": "sometimes"}

    with pytest.raises(ConfigurationError, match=f"{source} is 'sometimes'; give one of replay, once, refresh, live"):
        decided(monkeypatch, **words)


@pytest.mark.parametrize(
    ("run", "said", "mode"),
    [
        ({ENABLED: "true"}, (None, "replay"), "once"),
        ({ENABLED: "true", MODE: "refresh"}, (None, "replay"), "refresh"),
        ({ENABLED: "true", "CI": "true"}, (None, "refresh", "live"), "replay"),
        ({ENABLED: "true", "CI": "true"}, ("refresh", "once"), "once"),
        ({ENABLED: "true", "CI": "true"}, ("refresh", "replay"), "replay"),
        ({ENABLED: "true"}, ("live", "live"), "live"),
        ({}, (None, "replay"), "replay"),
    ],
    ids=str,
)
def test_what_tests_share_is_set_up_as_the_run_says_unless_each_that_runs_names_a_mode(monkeypatch, run, said, mode):
    level = Level("tests.py", [options_from(mode=word) for word in said])
    for name, value in run.items():
        monkeypatch.setenv(name, value)

    assert modes.decide(level.options.mode) == (Mode(mode), None)
