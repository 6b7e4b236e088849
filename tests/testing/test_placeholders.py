"""Keys that stand in while answers are replayed: none goes before what the user has, and all are taken back."""

from __future__ import annotations

import os
from itertools import chain

import pytest

from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.testing import blocks, live_api, override_llmcache
from django_llmcache.testing.placeholders import ALIASES, AWS_SOURCES, AWS_VARIABLES, OTHER_VARIABLES
from django_llmcache.testing.setups import PLACEHOLDER


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    """Be somebody without a home, whom AWS doesn't know, with the test cache on."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in [*AWS_SOURCES, *(name for name in os.environ if name.endswith("_API_KEY")), *chain(*ALIASES.values())]:
        monkeypatch.delenv(name, raising=False)
    with override_llmcache(TEST_CACHE={"ENABLED": True, "DIR": tmp_path / "fixtures"}):
        yield


ANY_SDK = "Record it, with the API key set that the SDK asks for (any value does where the server wants none):  "


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("api.openai.com/v1", "Record it, with the provider's API key set:  OPENAI_API_KEY=… LLMCACHE_"),
        ("api.groq.com/openai/v1", "Record it, with the provider's API key set:  GROQ_API_KEY=… LLMCACHE_"),
        ("api.cohere.com/v2", "Record it, with the provider's API key set:  CO_API_KEY=… LLMCACHE_"),
        ("gateway.test/v1", ANY_SDK),
        ("mine.test/v1", ANY_SDK),
    ],
)
def test_a_miss_names_the_key_that_is_missing(monkeypatch, address, line):
    monkeypatch.setenv("LLMCACHE_TEST_CACHE_MODE", "once")
    asked = Outgoing(
        "POST", f"https://{address}/chat/completions", (("authorization", f"Bearer {PLACEHOLDER}"),), b"{}"
    )
    own = {"mine": {"BASE_URL": "https://mine.test/v1"}}
    with (
        override_llmcache(PROVIDERS=own, TEST_CACHE={"ENABLED": True, "HOSTS": ["gateway.test"]}),
        pytest.raises(FixtureMiss) as error,
        live_api() as session,
    ):
        session.begin(asked)

    assert str(error.value).splitlines()[-1].startswith(line)


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


@pytest.fixture
def gateway(tmp_path):
    """Return the words of settings in which a host of one's own is named, of which something is recorded."""
    (tmp_path / "fixtures" / "gateway.example-8080").mkdir(parents=True)
    return {"ENABLED": True, "DIR": tmp_path / "fixtures", "HOSTS": ["gateway.example:8080"]}


@pytest.mark.parametrize("name", OTHER_VARIABLES.values())
def test_whoever_may_be_asked_through_a_host_of_one_s_own_has_one_where_that_is_recorded(name, gateway):
    with override_llmcache(TEST_CACHE=gateway), live_api(mode="replay"):
        assert os.environ.get(name) == PLACEHOLDER


@pytest.mark.parametrize("name", AWS_VARIABLES)
def test_what_is_recorded_through_a_host_of_one_s_own_makes_nobody_another_to_aws(name, gateway):
    with override_llmcache(TEST_CACHE=gateway), live_api(mode="replay"):
        assert name not in os.environ


@pytest.fixture
def put_back():
    """Put a made-up key back, as a test does that undoes after a block what it set inside."""
    with pytest.MonkeyPatch.context() as patch, live_api(mode="replay"):
        patch.setenv("GROQ_API_KEY", "of the test")
    assert os.environ["GROQ_API_KEY"] == PLACEHOLDER


@pytest.mark.usefixtures("put_back")
def test_one_that_is_put_back_after_a_block_is_gone_as_the_next_test_begins():
    blocks.begin()

    assert "GROQ_API_KEY" not in os.environ


@pytest.mark.usefixtures("put_back")
def test_so_is_one_that_another_block_found_there():
    with live_api(mode="replay"):
        pass
    blocks.begin()

    assert "GROQ_API_KEY" not in os.environ


def test_a_test_that_begins_takes_none_from_what_is_in_force():
    with live_api(mode="replay"):
        blocks.begin()

        assert os.environ["GROQ_API_KEY"] == PLACEHOLDER


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


def given(mode, *recorded, folder):
    """Return which variables are made up, where something of some providers is recorded."""
    for name in recorded:
        (folder / "fixtures" / name).mkdir(parents=True)
    before = set(os.environ)
    with live_api(mode=mode):
        return {name for name, value in os.environ.items() if value == PLACEHOLDER and name not in before}


def test_while_one_may_record_whom_nothing_is_recorded_of_gets_none_beside_a_key_of_the_user_s(tmp_path, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "mine")

    assert given("once", "openai", folder=tmp_path) == {"OPENAI_API_KEY"}


def test_where_nothing_is_recorded_yet_nobody_goes_before_the_key_that_the_user_has(tmp_path, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "mine")

    assert given("once", folder=tmp_path) == set()


@pytest.mark.parametrize("mode", ["once", "replay"])
def test_without_any_key_all_get_one_as_any_sdk_may_ask_whatever_provider(mode, tmp_path):
    assert {"ANTHROPIC_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY"} <= given(mode, "openai", folder=tmp_path)


def test_in_a_replay_all_others_get_one(tmp_path, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "mine")

    assert {"ANTHROPIC_API_KEY", "OPENAI_API_KEY"} <= given("replay", "openai", folder=tmp_path)


@pytest.mark.parametrize(
    ("recorded", "there"),
    [("gateway", True), ("ollama", True), ("anthropic", False), ("mistral", False), (".usage", False)],
)
def test_openai_s_own_variable_is_there_for_gateways_and_local_servers_too(recorded, there, tmp_path, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "mine")
    gateway = {"gateway": {"BASE_URL": "https://gateway.example/v1"}}

    with override_llmcache(PROVIDERS=gateway, TEST_CACHE={"ENABLED": True, "DIR": tmp_path / "fixtures"}):
        assert ("OPENAI_API_KEY" in given("once", recorded, folder=tmp_path)) is there


@pytest.mark.parametrize(
    "name", ["GROQ_API_KEY", "GOOGLE_API_KEY", "CO_API_KEY", "AZURE_OPENAI_API_KEY", "AWS_PROFILE"]
)
def test_a_key_of_anybody_s_is_one(name, tmp_path, monkeypatch):
    monkeypatch.setenv(name, "mine")

    assert given("once", folder=tmp_path) == set()


@pytest.mark.parametrize(
    ("provider", "variable", "other"),
    [
        ("anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"), ("gemini", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
        ("together", "TOGETHER_API_KEY", "TOGETHERAI_API_KEY"), ("together", "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
    ],
)  # fmt: skip
def test_a_key_under_another_name_is_not_gone_before(provider, variable, other, tmp_path, monkeypatch):
    monkeypatch.setenv(other, "mine")

    assert variable not in given("replay", provider, folder=tmp_path)
