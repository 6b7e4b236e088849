"""Keys that stand in while answers are replayed: none goes before what the user has, and all are taken back."""

from __future__ import annotations

import os

import pytest

from django_llmcache.testing import live_api, override_llmcache
from django_llmcache.testing.sessions import AWS_SOURCES, AWS_VARIABLES, OTHER_VARIABLES
from django_llmcache.testing.setups import PLACEHOLDER


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    """Be somebody without a home, whom AWS doesn't know, with the test cache on."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in AWS_SOURCES:
        monkeypatch.delenv(name, raising=False)
    with override_llmcache(TEST_CACHE={"ENABLED": True, "DIR": tmp_path / "fixtures"}):
        yield


@pytest.fixture
def bedrock(tmp_path):
    (tmp_path / "fixtures" / "bedrock").mkdir(parents=True)


OTHERS = [*OTHER_VARIABLES.items(), *(("bedrock", name) for name in AWS_VARIABLES)]


@pytest.mark.parametrize(("provider", "name"), [*OTHERS, ("openai", "OPENAI_API_KEY")])
def test_each_is_there_in_a_replay_and_gone_afterwards(provider, name, tmp_path):
    (tmp_path / "fixtures" / provider).mkdir(parents=True)
    with live_api(mode="replay"):
        inside = os.environ.get(name)

    assert inside == PLACEHOLDER
    assert name not in os.environ


@pytest.mark.parametrize(("provider", "name"), OTHERS)
def test_what_only_some_ask_gets_none_where_nothing_of_it_is_recorded(provider, name, tmp_path):
    with live_api(mode="replay"):
        assert name not in os.environ


@pytest.mark.parametrize("name", ["OLLAMA_API_KEY", "VLLM_API_KEY", "LMSTUDIO_API_KEY"])
def test_what_needs_no_key_gets_none(name):
    with live_api(mode="replay"):
        assert name not in os.environ


@pytest.mark.usefixtures("bedrock")
def test_aws_is_asked_with_ones_own_credentials_where_something_may_be_recorded():
    with live_api(mode="once"):
        assert not set(AWS_VARIABLES) & set(os.environ)


@pytest.mark.usefixtures("bedrock")
@pytest.mark.parametrize("name", AWS_SOURCES)
def test_no_profile_and_no_role_is_overruled(name, monkeypatch):
    monkeypatch.setenv(name, "mine")
    with live_api(mode="replay"):
        assert {os.environ.get(each) for each in AWS_VARIABLES} <= {None, "mine"}


@pytest.mark.usefixtures("bedrock")
def test_nor_what_the_home_folder_says(tmp_path):
    (tmp_path / ".aws").mkdir()
    with live_api(mode="replay"):
        assert not set(AWS_VARIABLES) & set(os.environ)
