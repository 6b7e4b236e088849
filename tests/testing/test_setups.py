"""What holds for a run is made once, and anew where something of it has changed."""

from __future__ import annotations

import getpass

import pytest

from django_llmcache.exceptions import ConfigurationError
from django_llmcache.recorder.setup import Mode
from django_llmcache.testing import override_llmcache
from django_llmcache.testing.setups import setup_for
from django_llmcache.testing.turns import turn


def test_tests_of_one_mode_share_it_and_what_was_read():
    first, again, other = setup_for(Mode.REPLAY), setup_for(Mode.REPLAY), setup_for(Mode.ONCE)

    assert first is again
    assert other is not first


def test_a_provider_may_have_a_time_of_its_own():
    with override_llmcache(TEST_CACHE={"TTL": {"openai": 60, "groq": None, "*": 3600}}):
        setup = setup_for(Mode.REPLAY)

    assert [setup.ttl_of(name) for name in ("openai", "groq", "mistral")] == [60, None, 3600]


def test_another_folder_is_another(monkeypatch, tmp_path):
    before = setup_for(Mode.REPLAY)
    monkeypatch.setenv("LLMCACHE_TEST_CACHE_DIR", str(tmp_path))

    assert setup_for(Mode.REPLAY).store.folder == tmp_path
    monkeypatch.undo()
    assert setup_for(Mode.REPLAY).store.folder == before.store.folder


def test_the_working_directory_may_be_gone(monkeypatch, tmp_path, settings):
    settings.BASE_DIR = str(tmp_path)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with override_llmcache(TEST_CACHE={"DIR": "fixtures"}):
        assert setup_for(Mode.REPLAY).store.folder == tmp_path / "fixtures"


def test_other_settings_are_another():
    with override_llmcache(TEST_CACHE={"ENABLED": True, "EXPIRED": "error"}):
        inside = setup_for(Mode.REPLAY).expired

    assert (inside, setup_for(Mode.REPLAY).expired) == ("error", "warn")


@pytest.mark.parametrize(
    ("key", "value", "attribute", "held"),
    [
        ("FALLBACK", "latest_success", "fallback", "latest_success"),
        ("FALLBACK", "latest_any", "fallback", "latest_any"),
        ("FALLBACK", "error", "fallback", "error"),
        ("IGNORE_PATHS", ["trace.nonce"], "ignore", ("trace.nonce",)),
    ],
)
def test_what_the_settings_say_holds_for_a_run(key, value, attribute, held):
    with override_llmcache(TEST_CACHE={key: value}):
        assert getattr(setup_for(Mode.REPLAY), attribute) == held


@pytest.fixture
def nameless(monkeypatch):
    """Let the user have a number and no name, as in a container."""

    def fail():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", fail)


@pytest.mark.usefixtures("nameless")
def test_a_user_without_a_name_has_what_holds_for_a_run():
    with override_llmcache(TEST_CACHE={"ENABLED": True}):
        assert setup_for(Mode.REPLAY).usage is not None


@pytest.mark.usefixtures("nameless")
def test_a_user_without_a_name_takes_turns():
    with turn("a set-up") as got:
        assert got is None


@pytest.mark.parametrize(("key", "meant"), [("DEFAULT_TLL", "'DEFAULT_TTL'"), ("scope", "'SCOPE'")])
def test_a_key_that_there_is_not_is_refused_where_it_is_written_and_the_closest_named(key, meant):
    with pytest.raises(ConfigurationError, match=f"unknown key '{key}'. Did you mean {meant}?"):
        override_llmcache(**{key: 3})
