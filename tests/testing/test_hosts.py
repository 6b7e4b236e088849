"""Which hosts the recorder touches: providers' own, always, and the user's; nobody else's."""

from __future__ import annotations

from itertools import permutations

import pytest
import requests
from django.test import override_settings

from django_llmcache import chat
from django_llmcache.exceptions import ConfigurationError, RateLimitError
from django_llmcache.providers import traffic
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.setup import Mode, Setup
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.testing import live_api, override_llmcache
from django_llmcache.testing.hosts import name_of, provider_hosts

HI = [{"role": "user", "content": "Hi"}]
LOCAL = ("localhost", "127.0.0.1", "::1")


@pytest.fixture
def provider_of(tmp_path):
    """Return what says whose host it is, by the settings in force."""
    return lambda host: Setup(FixtureStore(tmp_path), Mode.REPLAY, provider_hosts()).provider_of(host)


def test_a_providers_own_host_stays_where_another_address_is_set(provider_of):
    with override_llmcache(PROVIDERS={"openai": {"BASE_URL": "http://gateway.test:8080/v1"}}):
        assert [provider_of(host) for host in ("api.openai.com", "gateway.test:8080")] == ["openai", "openai"]


def test_a_class_of_ones_own_takes_no_host_away(provider_of):
    words = {"CLASS": "django_llmcache.providers.openai.Compatible", "BASE_URL": "http://gateway.test/v1"}
    with override_llmcache(PROVIDERS={"anthropic": words}):
        assert [provider_of(host) for host in ("api.anthropic.com", "gateway.test")] == ["anthropic", "anthropic"]


def test_in_replay_the_real_host_is_refused_where_another_address_is_set(tmp_path):
    requests = pytest.importorskip("requests")
    with (
        override_llmcache(
            PROVIDERS={"openai": {"BASE_URL": "http://gateway.test/v1"}},
            TEST_CACHE={"ENABLED": True, "DIR": tmp_path},
        ),
        pytest.raises(FixtureMiss, match=r"POST https://api\.openai\.com/v1/chat/completions"),
        live_api(mode="replay"),
    ):
        requests.post("https://api.openai.com/v1/chat/completions", json={"model": "m"}, timeout=1)


@pytest.mark.parametrize("host", [f"{name}:{port}" for name in LOCAL for port in (8000, 1234)])
def test_any_server_on_a_common_port_is_a_developers_own(provider_of, host):
    assert provider_of(host) is None


@pytest.mark.parametrize("words", [{}, {"BASE_URL": "http://localhost:8000/v1"}], ids=["named", "with its address"])
def test_unless_the_settings_name_the_provider_there(provider_of, words):
    with override_llmcache(PROVIDERS={"vllm": words}):
        assert {provider_of(f"{name}:8000") for name in LOCAL} == {"vllm"}
        assert provider_of("localhost:1234") is None


def test_one_that_the_settings_put_elsewhere_has_no_common_port(provider_of):
    with override_llmcache(PROVIDERS={"vllm": {"BASE_URL": "http://gpu.test:9000/v1"}}):
        assert (provider_of("localhost:8000"), provider_of("gpu.test:9000")) == (None, "vllm")


def test_this_machine_is_known_by_each_of_its_names(provider_of):
    assert {provider_of(f"{name}:11434") for name in LOCAL} == {"ollama"}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("mine.openai.azure.com", "azure"),
        ("europe-west4-aiplatform.googleapis.com", "vertex"),
        ("eu.api.openai.com", "openai"),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
        ("api.cohere.com", "cohere"),
        ("payments.example", None),
    ],
)
def test_clouds_are_known_by_names_of_their_own_and_strangers_are_not(provider_of, host, name):
    assert provider_of(host) == name


def test_a_host_of_ones_own_is_named_after_itself(provider_of):
    with override_llmcache(TEST_CACHE={"HOSTS": ["LLM.internal:8443", "*.models.test"]}):
        assert provider_of("llm.internal:8443") == name_of("LLM.internal:8443") == "llm.internal-8443"
        assert provider_of("a.models.test") == "models.test"


@pytest.mark.parametrize(
    ("pattern", "host"),
    [
        ("*", "gateway.example"),
        ("*.example.com", "llm.example.com"),
        ("127.0.0.1:*", "127.0.0.1:8765"),
        ("gateway-[!x].example", "gateway-2.example"),
        ("gateway?.example:80?0", "gateway2.example:8080"),
        ("my_llm:8000", "my_llm:8000"),
        ("[::1]:8000", "::1:8000"),
        ("[::1]:*", "::1:8765"),
        ("[fd00::*]", "fd00::7"),
        ("[fe80::1%en-0]", "fe80::1%en-0"),
        ("::1:8000", "::1:8000"),
    ],
)
def test_a_pattern_or_an_address_of_ipv6_is_a_host_of_ones_own(provider_of, pattern, host):
    with override_llmcache(TEST_CACHE={"HOSTS": [pattern]}):
        assert provider_of(host) is not None


def test_white_space_around_a_host_is_none_of_it_and_an_empty_one_is_none(provider_of):
    with override_llmcache(TEST_CACHE={"HOSTS": ["", " gateway.example"]}):
        assert provider_of("gateway.example") == "gateway.example"


def test_an_address_of_ipv6_has_one_name_with_brackets_and_without(provider_of):
    with override_llmcache(TEST_CACHE={"HOSTS": ["[::1]:8000"]}):
        assert provider_of("::1:8000") == name_of("::1:8000")


class TestHostOfAnotherName:
    """What is recorded of a host is found whatever the settings call it then."""

    @pytest.fixture
    def ask(self, provider):
        """Return what asks the provider, whoever that is."""
        body = {"model": "m", "messages": HI}
        return lambda: requests.post(f"{provider.url}/v1/chat/completions", json=body, timeout=10).json()

    @pytest.fixture
    def words(self, provider, tmp_path):
        """Return the settings that name its host in each way."""
        host, folder = provider.url.removeprefix("http://"), {"ENABLED": True, "DIR": tmp_path / "fixtures"}
        address = {"BASE_URL": f"{provider.url}/v1"}
        return {
            "host": {"TEST_CACHE": {**folder, "HOSTS": [host]}},
            "pattern": {"TEST_CACHE": {**folder, "HOSTS": [f"{host[:-2]}*"]}},
            "openai": {"TEST_CACHE": folder, "PROVIDERS": {"openai": address}},
            "mine": {"TEST_CACHE": folder, "PROVIDERS": {"mine": address}},
        }

    @pytest.mark.parametrize(("before", "after"), [*permutations(["host", "pattern", "openai", "mine"], 2)])
    def test_it_is_replayed(self, provider, ask, words, before, after):
        with override_llmcache(**words[before]), live_api(mode="once"):
            recorded = ask()

        with override_llmcache(**words[after]), live_api(mode="replay"):
            assert ask() == recorded

    def test_nor_is_it_paid_for_again(self, provider, ask, words):
        for name in ("host", "openai"):
            with override_llmcache(**words[name]), live_api(mode="once"):
                ask()

        assert provider.calls == 1

    def moved(self, words, hosts):
        """Return the miss of a request at another host than the one that it is recorded of."""
        folder = words["host"]["TEST_CACHE"]
        with (
            override_llmcache(TEST_CACHE={**folder, "HOSTS": hosts}),
            pytest.raises(FixtureMiss) as error,
            live_api(mode="replay"),
        ):
            requests.post("http://gateway.test/v1/chat/completions", json={"model": "m", "messages": HI}, timeout=10)
        return str(error.value)

    def test_a_miss_at_a_host_that_has_replaced_it_says_so(self, provider, ask, words):
        with override_llmcache(**words["host"]), live_api(mode="once"):
            ask()

        said = f"the same request, recorded of {provider.url.removeprefix('http://')}: write the new address"
        assert said in self.moved(words, ["gateway.test"])

    def test_and_not_where_the_settings_name_it_still(self, provider, ask, words):
        with override_llmcache(**words["host"]), live_api(mode="once"):
            ask()

        hosts = [*words["host"]["TEST_CACHE"]["HOSTS"], "gateway.test"]
        assert "moved?" not in self.moved(words, hosts)


class TestShared:
    """Several providers at one host, such as a gateway's, are told apart as the response cache tells them."""

    @pytest.fixture
    def shared(self, provider, tmp_path, monkeypatch):
        """Put two providers at one address, with the test cache on."""
        monkeypatch.setenv("OPENAI_API_KEY", "made-up")
        words = {"BASE_URL": f"{provider.url}/v1", "MODEL": "m"}
        folder = tmp_path / "fixtures"
        with override_llmcache(
            PROVIDERS={"openai": words, "anthropic": words}, TEST_CACHE={"ENABLED": True, "DIR": folder}
        ):
            yield FixtureStore(folder)

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/v1/chat/completions", "openai"), ("/v1/messages", "anthropic"), ("/v1/files", "anthropic"),
            ("/oai/v1/files", "mine"),
        ],
    )  # fmt: skip
    def test_what_is_asked_tells_then_the_beginning_of_the_address(self, path, name):
        words = {"BASE_URL": "http://gateway.test/v1"}
        own = {"mine": {"BASE_URL": "http://gateway.test/oai/v1"}}
        with override_llmcache(PROVIDERS={"openai": words, "anthropic": words, **own}):
            assert traffic.name_at(f"http://gateway.test{path}?beta=true") == name

    def test_a_call_is_filed_under_its_provider(self, shared):
        with live_api(mode="once"):
            chat("openai", HI)

        assert [fixture.provider for fixture in shared.all()] == ["openai"]

    def test_a_fault_is_in_its_words(self, shared):
        with live_api(mode="replay", fault="429"), pytest.raises(RateLimitError) as raised:
            chat("openai", HI)

        assert b'"param": null' in raised.value.body  # Anthropic has none

    def test_what_was_filed_under_the_other_is_replayed_where_it_is(self, shared):
        with live_api(mode="once"):
            live = chat("openai", HI)
        [fixture] = shared.all()
        shared.move(fixture.path, fixture.changed(provider="anthropic"))

        with live_api(mode="replay"):
            assert chat("openai", HI).text == live.text

    def test_it_is_the_nearest_to_what_is_not_recorded(self, shared):
        with live_api(mode="once"):
            chat("openai", HI)
        [fixture] = shared.all()
        shared.move(fixture.path, fixture.changed(provider="anthropic"))

        with pytest.raises(FixtureMiss, match="nearest"), live_api(mode="replay"):
            chat("openai", [{"role": "user", "content": "Hi there"}])

    def test_a_cloud_that_sells_anothers_api_keeps_a_name_of_its_own(self, tmp_path):
        place = "/v1/projects/p/locations/global/publishers/google/models/gemini-2.5-flash:generateContent"
        asked = Outgoing("POST", f"https://aiplatform.googleapis.com{place}", (), b"{}")
        setup = Setup(FixtureStore(tmp_path), Mode.REPLAY, provider_hosts(), whose=traffic.name_at)

        assert (traffic.name_at(asked.url), setup.providers_of(asked)) == ("gemini", ("vertex",))

    def test_a_host_that_the_test_cache_names_itself_keeps_its_own_name(self, provider_of):
        with override_llmcache(
            PROVIDERS={"openai": {"BASE_URL": "http://gateway.test/v1"}}, TEST_CACHE={"HOSTS": ["gateway.test"]}
        ):
            assert provider_of("gateway.test") == "gateway.test"


class TestChanged:
    """A test that sets other providers or hosts is answered for there from then on, as long as they are set."""

    @pytest.fixture
    def ask(self, provider):
        """Return what asks the stand-in by ``requests``, as an SDK does."""
        requests = pytest.importorskip("requests")
        return lambda: requests.post(f"{provider.url}/v1/chat/completions", json={"model": "m"}, timeout=5).text

    @pytest.fixture
    def host(self, provider):
        return provider.url.partition("//")[2]

    @pytest.fixture(autouse=True)
    def switched_on(self, tmp_path):
        with override_llmcache(TEST_CACHE={"ENABLED": True, "DIR": tmp_path}):
            yield

    @pytest.mark.parametrize("way", ["hosts", "a provider", "all settings"])
    def test_in_replay_a_host_that_a_test_sets_is_not_asked(self, provider, ask, host, way):
        words = {"BASE_URL": f"{provider.url}/v1"}
        changed = {
            "hosts": lambda: override_llmcache(TEST_CACHE={"HOSTS": [host]}),
            "a provider": lambda: override_llmcache(PROVIDERS={"openai": words}),
            "all settings": lambda: override_settings(LLMCACHE={"PROVIDERS": {"openai": words}}),
        }
        with pytest.raises(FixtureMiss), live_api(mode="replay"), changed[way]():
            ask()

        assert provider.calls == 0

    def test_what_is_asked_there_is_recorded_and_replayed(self, provider, ask, host):
        with live_api(mode="once"), override_llmcache(TEST_CACHE={"HOSTS": [host]}):
            live = ask()
        with live_api(mode="replay"), override_llmcache(TEST_CACHE={"HOSTS": [host]}):
            assert ask() == live

        assert provider.calls == 1

    def test_a_session_around_another_knows_it_too(self, provider, ask, host):
        own = override_llmcache(TEST_CACHE={"HOSTS": [host]})
        with live_api(mode="replay") as outer, live_api(mode="replay"), own:
            assert outer.setup.provider_of(host) == name_of(host)

    def test_when_the_settings_are_back_it_is_a_strangers_again(self, ask, host):
        with live_api(mode="replay") as session:
            before = session.setup
            with override_llmcache(TEST_CACHE={"HOSTS": [host]}):
                pass
            assert session.setup == before

            assert ask()

    def test_what_was_a_providers_when_the_test_began_stays_one(self, host):
        before, own = (override_llmcache(TEST_CACHE={"HOSTS": [name]}) for name in (host, "gateway.test"))
        with before, live_api(mode="replay") as session, own:
            known = [session.setup.provider_of(name) for name in (host, "gateway.test", "api.openai.com")]

        assert known == [name_of(host), "gateway.test", "openai"]

    def test_one_that_is_set_goes_before_what_the_host_was_called(self, host):
        before, own = (override_llmcache(TEST_CACHE={"HOSTS": [name]}) for name in (f"{host[:-1]}*", host))
        with before, live_api(mode="replay") as session, own:
            assert session.setup.provider_of(host) == name_of(host)

    @pytest.mark.parametrize(
        "words", [{"PROVIDERS": {"mine": {"MODEL": "m"}}}, {"PROVIDERS": {"openai": {"CLASS": "no.such.Class"}}}]
    )
    def test_settings_that_cannot_work_are_told_by_what_reads_them(self, words):
        with live_api(mode="replay") as session, override_llmcache(**words):
            assert session.setup.provider_of("api.openai.com") == "openai"
            with pytest.raises(ConfigurationError):
                provider_hosts()


@pytest.mark.parametrize("pattern", ["*", "***", "."])
def test_a_name_is_always_fit_for_a_folder(pattern):
    assert name_of(pattern) == "other"


class TestTraffic:
    """What is a provider's for the recorder is one for the response cache, and the other way round."""

    @pytest.mark.parametrize("url", ["https://api.openai.com/v1", "http://gateway.test/v1", "http://[::1]:11434/api"])
    def test_it_knows_the_same_addresses(self, url):
        with override_llmcache(PROVIDERS={"openai": {"BASE_URL": "http://gateway.test/v1"}}):
            assert traffic.is_known(url)

    @pytest.mark.parametrize("name", LOCAL)
    def test_a_common_port_counts_where_it_is_asked_for(self, name):
        assert (f"{name}:8000", "vllm") in traffic.known_hosts()
        assert (f"{name}:8000", "vllm") not in traffic.known_hosts(common_ports=False)


def test_a_provider_that_can_not_be_made_is_told_by_its_setting():
    with (
        override_llmcache(PROVIDERS={"mine": {"MODEL": "m"}}),
        pytest.raises(ConfigurationError, match="No provider is named 'mine'"),
    ):
        provider_hosts()
