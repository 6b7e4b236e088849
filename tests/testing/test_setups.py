"""What holds for a run is made once, and anew where something of it has changed."""

from __future__ import annotations

import getpass

import pytest
from django.test import SimpleTestCase

from django_llmcache import conf
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


def test_other_settings_are_another():
    with override_llmcache(TEST_CACHE={"ENABLED": True, "EXPIRED": "error"}):
        inside = setup_for(Mode.REPLAY).expired

    assert (inside, setup_for(Mode.REPLAY).expired) == ("error", "warn")


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


class TestOnAClass:
    """``override_llmcache`` on a test class holds for all of its tests, over what holds outside."""

    @pytest.fixture
    def set_up(self):
        """Return what sets a class up as a runner does, until the test ends."""
        kinds: list[type[SimpleTestCase]] = []

        def set_up(kind):
            kinds.append(kind)
            kind.setUpClass()

        yield set_up
        for kind in reversed(kinds):
            kind.doClassCleanups()

    def test_its_keys_hold_and_the_others_stay_as_they_are(self, set_up):
        with override_llmcache(DEFAULT_TTL=60, STALE_FOR=7):
            kind = override_llmcache(DEFAULT_TTL=5)(type("Tests", (SimpleTestCase,), {}))
            set_up(kind)

            assert (conf.current().default_ttl, conf.raw()["STALE_FOR"]) == (5, 7)

    def test_a_subclass_has_those_of_the_class_above_as_well(self, set_up):
        above = override_llmcache(DEFAULT_TTL=5, TEST_CACHE={"EXPIRED": "error"})(type("Above", (SimpleTestCase,), {}))
        set_up(override_llmcache(TEST_CACHE={"HOSTS": ["gateway.test"]})(type("Below", (above,), {})))

        words = conf.current().test_cache
        assert (conf.current().default_ttl, words.expired, words.hosts) == (5, "error", ("gateway.test",))

    def test_when_the_class_is_torn_down_the_settings_are_back(self, set_up):
        before = conf.raw()
        kind = override_llmcache(DEFAULT_TTL=5)(type("Tests", (SimpleTestCase,), {}))
        kind.setUpClass()
        kind.doClassCleanups()

        assert conf.raw() == before
