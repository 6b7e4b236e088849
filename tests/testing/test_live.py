"""``live_api`` in one process: what each mode and option does with what is recorded, and what is said of a miss."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

import freezegun
import pytest
import requests
import time_machine

from django_llmcache import chat, conf, signals, stream
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.exceptions import ConfigurationError, LLMCacheError
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.session import Session
from django_llmcache.testing import live_api, override_llmcache, summary
from django_llmcache.testing.sessions import LiveCallWarning
from django_llmcache.testing.setups import PLACEHOLDER, FixtureWarning
from tests.pipeline.pages import TELEMETRY, names, rows

LONG_AGO = 1e-9
"""Seconds after which a recording made just now has expired."""

OF_TESTS = {
    names(signal)[0]: set(names(arguments)) for signal, _, arguments in rows(TELEMETRY, "## Signals of the test cache")
}
ERROR = Reply(500, b'{"error": {"message": "Out of order"}}')


def ask(text="Hi"):
    return chat("openai", [{"role": "user", "content": text}])


def told(error):
    """Return the last line of a miss: how it is recorded."""
    return str(error.value).splitlines()[-1]


def test_a_function_that_returns_a_coroutine_is_refused_and_nothing_is_asked(fixtures, provider):
    async def asking():
        ask()

    @live_api(mode="once")
    def returning():
        return asking()

    with pytest.raises(ConfigurationError, match="which returned a coroutine"):
        returning()
    assert provider.calls == 0


def test_a_word_without_its_name_is_an_error_where_the_test_is_defined():
    with pytest.raises(ConfigurationError, match=r"by name, and got 'replay': write live_api\(mode='replay'\)"):
        live_api("replay")


def test_a_method_that_a_function_makes_has_djangos_tag_and_a_function_of_pytests_has_none():
    @live_api
    def method(self): ...

    @live_api
    def function(client): ...

    assert method.tags == {"live_api"}
    assert not hasattr(function, "tags")


class TestHeaders:
    """``KEY_HEADERS`` of the settings count here too."""

    def asked(self, provider, route):
        address, body = f"{provider.url}/v1/chat/completions", {"model": "gpt-4o-mini", "messages": []}
        return requests.post(address, json=body, headers={"x-route": route}, timeout=10).text

    def test_one_that_is_named_tells_requests_apart_and_is_shown_where_it_differs(self, fixtures, provider):
        with override_llmcache(KEY_HEADERS=["X-Route"]):
            with live_api(mode="once"):
                self.asked(provider, "a")
            with live_api(mode="replay"):
                self.asked(provider, "a")
            with pytest.raises(FixtureMiss, match="header x-route: recorded 'a', asked 'b'"), live_api(mode="replay"):
                self.asked(provider, "b")

        assert provider.calls == 1

    def test_others_do_not_count(self, fixtures, provider):
        with live_api(mode="once"):
            self.asked(provider, "a")
            self.asked(provider, "b")

        assert provider.calls == 2
        assert len({path.parent for path in fixtures.paths()}) == 1


class TestModes:
    def test_refresh_asks_anew_and_keeps_both_takes(self, fixtures, provider):
        for _ in range(2):
            with live_api(mode="refresh"):
                assert not ask().from_cache

        assert provider.calls == len(list(fixtures.paths())) == 2

    def test_live_asks_and_keeps_nothing(self, fixtures, provider):
        with live_api(mode="live"):
            ask()

        assert (provider.calls, list(fixtures.paths())) == (1, [])

    def test_once_records_anew_what_has_expired(self, fixtures, provider):
        for _ in range(2):
            with live_api(mode="once", ttl=LONG_AGO):
                ask()

        assert provider.calls == len(list(fixtures.paths())) == 2

    def test_replay_uses_what_has_expired_and_warns(self, fixtures, provider):
        with live_api(mode="once"):
            live = ask()

        with (
            pytest.warns(FixtureWarning, match="replays a recording that has expired"),
            live_api(mode="replay", ttl=LONG_AGO) as session,
        ):
            assert ask().text == live.text
        assert session.expired == [str(path) for path in fixtures.paths()]
        assert provider.calls == 1

    def test_or_fails_where_that_is_an_error(self, fixtures, provider):
        with live_api(mode="once"):
            ask()

        with pytest.raises(FixtureMiss, match="has expired"), live_api(mode="replay", ttl=LONG_AGO, expired="error"):
            ask()
        assert provider.calls == 1


class TestFallback:
    """The newest take is an error, the one before is not."""

    @pytest.fixture
    def good(self, fixtures, provider):
        with live_api(mode="once"):
            good = ask()
        provider.script(ERROR)
        with live_api(mode="refresh", record_errors=True), pytest.raises(LLMCacheError):
            ask()
        return good

    def test_the_latest_success_is_replayed(self, good):
        with live_api(mode="replay"):
            assert ask().text == good.text

    def test_or_the_latest_whatever_it_is(self, good):
        with live_api(mode="replay", fallback="latest_any"), pytest.raises(LLMCacheError, match="Out of order"):
            ask()

    def test_or_a_failing_one_is_an_error(self, good):
        with (
            pytest.raises(FixtureMiss, match=r"is an error, which FALLBACK=.error. refuses") as error,
            live_api(mode="replay", fallback="error"),
        ):
            ask()

        assert "LLMCACHE_TEST_CACHE_MODE=refresh" in told(error)

    def test_an_error_is_kept_where_the_test_asks_alone(self, fixtures, provider):
        provider.script(ERROR)
        with (
            pytest.warns(FixtureWarning, match="asks a provider anew in every run.*record_errors=True"),
            live_api(mode="once"),
            pytest.raises(LLMCacheError),
        ):
            ask()

        assert list(fixtures.paths()) == []


class TestWarningsThatAreErrors:
    """They fail the test, of which nothing is kept then."""

    @pytest.mark.filterwarnings("error::django_llmcache.testing.setups.FixtureWarning")
    def test_of_an_answer_that_cannot_be_recorded(self, fixtures, provider):
        with pytest.raises(FixtureWarning, match="asks a provider anew"), live_api(mode="once"):
            ask()
            provider.script(ERROR)
            with suppress(LLMCacheError):
                ask("Error")

        assert provider.calls == 2
        assert list(fixtures.paths()) == []

    @pytest.mark.filterwarnings("error::django_llmcache.testing.sessions.LiveCallWarning")
    def test_of_a_call_past_the_recorder(self, fixtures, provider):
        host, _, port = provider.url.removeprefix("http://").partition(":")
        with pytest.raises(LiveCallWarning), live_api(mode="once"):
            ask()
            socket.create_connection((host, int(port))).close()

        assert list(fixtures.paths()) == []

    @pytest.mark.filterwarnings("error::django_llmcache.testing.sessions.LiveCallWarning")
    def test_and_the_block_at_the_end_counts_it(self, fixtures, provider, monkeypatch):
        monkeypatch.delenv(conf.RUN_LOG, raising=False)
        host, _, port = provider.url.removeprefix("http://").partition(":")
        with summary.of_a_run():
            with pytest.raises(LiveCallWarning), live_api(mode="once"):
                ask()
                socket.create_connection((host, int(port))).close()

            assert "not kept: 1 answer of 1 test that failed; the next run asks again" in summary.lines()


class TestRepeat:
    def test_the_last_answer_is_repeated(self, fixtures, provider):
        with live_api(mode="once"):
            live = ask()

        with live_api(mode="replay"):
            assert [ask().text for _ in range(3)] == [live.text] * 3

    def test_or_asking_more_often_fails(self, fixtures):
        with live_api(mode="once"):
            ask()

        with (
            pytest.raises(FixtureMiss, match="more often than it was recorded") as error,
            live_api(mode="replay", repeat="fail"),
        ):
            ask()
            ask()

        assert "LLMCACHE_TEST_CACHE_MODE=refresh" in told(error)


class TestTold:
    """The line that records what was missed."""

    def test_it_runs_this_test(self, fixtures, monkeypatch):
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_MODE", "replay")
        with pytest.raises(FixtureMiss) as error, live_api():
            ask()

        assert told(error) == (
            "Record it:  LLMCACHE_TEST_CACHE_ENABLED=true LLMCACHE_TEST_CACHE_MODE=once "
            "pytest tests/testing/test_live.py::TestTold::test_it_runs_this_test"
        )
        assert "`" not in str(error.value)

    @pytest.mark.parametrize("text", ["it's $5"])
    def test_it_is_quoted_for_the_shell(self, fixtures, monkeypatch, text):
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_MODE", "replay")
        with pytest.raises(FixtureMiss) as error, live_api():
            ask(text)

        assert told(error).endswith("""::test_it_is_quoted_for_the_shell[it'"'"'s $5]'""")

    @pytest.mark.parametrize("key", ["sk-" + "Zx81Qm47Kp92Lw36Bv58"])
    def test_it_runs_all_of_a_test_whose_parameter_is_a_key(self, fixtures, monkeypatch, key):
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_MODE", "replay")
        with pytest.raises(FixtureMiss) as error, live_api():
            ask()

        assert told(error).endswith("::test_it_runs_all_of_a_test_whose_parameter_is_a_key")
        assert "a_key[REDACTED]" in str(error.value)
        assert key not in str(error.value)

    def test_the_tests_own_mode_is_to_be_left_out(self, fixtures):
        with pytest.raises(FixtureMiss) as error, live_api(mode="replay"):
            ask()

        assert told(error).startswith("Record it, with mode='replay' left out:  LLMCACHE_TEST_CACHE_ENABLED=true ")

    def test_a_fault_stays(self, fixtures, monkeypatch):
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_MODE", "replay")
        with pytest.raises(FixtureMiss, match="cut from a recording") as error, live_api(fault="cut@1"):
            ask()

        assert told(error).startswith("Record it:  ")
        assert "LLMCACHE_TEST_CACHE_MODE=once" in told(error)

    def test_what_was_not_read_to_its_end_is_recorded_anew(self, fixtures, monkeypatch):
        with live_api(mode="once"), stream("openai", [{"role": "user", "content": "Hi"}]) as answer:
            next(iter(answer))

        monkeypatch.setenv("LLMCACHE_TEST_CACHE_MODE", "replay")
        with (
            pytest.raises(FixtureMiss, match="stopped reading") as error,
            live_api(),
            stream("openai", [{"role": "user", "content": "Hi"}]) as answer,
        ):
            list(answer)
        assert "LLMCACHE_TEST_CACHE_MODE=refresh" in told(error)

    def test_without_a_key_it_says_that_one_is_needed(self, fixtures, provider, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY")
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_MODE", "once")
        with pytest.raises(FixtureMiss, match="there is no API key to ask the provider with") as error, live_api():
            ask()

        assert told(error).startswith(
            "Record it, with the provider's API key set:  OPENAI_API_KEY=… LLMCACHE_TEST_CACHE_ENABLED=true "
        )
        assert provider.calls == 0

    @pytest.fixture
    def expired(self, fixtures, monkeypatch):
        """Record what ``ask`` asks, and let it be long ago, and the key be gone."""
        with live_api(mode="once"):
            ask()
        monkeypatch.delenv("OPENAI_API_KEY")
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_MODE", "once")

    def test_without_a_key_an_expired_recording_may_be_replayed(self, expired):
        with pytest.raises(FixtureMiss, match="has expired, and there is no API key") as error, live_api(ttl=LONG_AGO):
            ask()

        recording, replaying = str(error.value).splitlines()[-2:]
        assert recording.startswith("Record it, with the provider's API key set:  OPENAI_API_KEY=… ")
        assert replaying.startswith(
            "Or replay the expired one:  LLMCACHE_TEST_CACHE_ENABLED=true LLMCACHE_TEST_CACHE_MODE=replay pytest "
        )

    def test_where_the_test_has_a_mode_that_has_to_go_for_it(self, expired):
        with pytest.raises(FixtureMiss) as error, live_api(ttl=LONG_AGO, mode="once"):
            ask()

        assert told(error).startswith("Or replay the expired one, with mode='once' left out:  LLMCACHE_TEST_CACHE_")

    @pytest.mark.parametrize("words", [{"expired": "error"}, {"fallback": "error"}])
    def test_one_that_may_not_be_replayed_is_only_to_be_recorded(self, expired, words):
        with pytest.raises(FixtureMiss, match="has expired") as error, live_api(ttl=LONG_AGO, **words):
            ask()

        assert told(error).startswith("Record it, with the provider's API key set:  ")

    @pytest.mark.parametrize("lost", [0, 1, 2])
    def test_a_recording_that_has_lost_an_answer_is_not_used(self, fixtures, lost):
        with live_api(mode="once"):
            for _ in range(3):
                ask()
        files = sorted(fixtures.all(), key=lambda one: one.sequence)
        files[lost].path.unlink()

        with pytest.raises(FixtureMiss, match="has lost some answers"), live_api(mode="replay"):
            ask()

    def test_a_sample_that_was_not_recorded_is_told_from_a_request_that_was_not(self, fixtures):
        with live_api(mode="once"):
            ask()

        with (
            pytest.raises(FixtureMiss, match="Other samples of this request are recorded") as error,
            live_api(mode="replay") as session,
            session.run(sample=1),
        ):
            ask()
        assert "Record it" in told(error)

    def test_a_client_that_can_not_be_recorded_has_no_such_line(self, fixtures, provider):
        host, _, port = provider.url.removeprefix("http://").partition(":")
        with pytest.raises(FixtureMiss, match="connects to") as error, live_api(mode="replay"):
            socket.create_connection((host, int(port)))

        assert "Record it" not in str(error.value)


class TestClocks:
    """A test that stops the clock leaves the age of recordings as it is."""

    @pytest.mark.parametrize(
        "stopped",
        [freezegun.freeze_time, lambda to: time_machine.travel(to, tick=False)],
        ids=["freezegun", "time-machine"],
    )
    @pytest.mark.parametrize("to", ["2001-01-01", "2041-01-01"])
    def test_the_newer_recording_is_the_one_that_was_made_later(self, fixtures, provider, stopped, to):
        with live_api(mode="refresh"), stopped("2031-01-01"):
            ask()
        with live_api(mode="refresh"), stopped(to):
            ask()
        with live_api(mode="replay", ttl=3600, expired="error"), stopped("2051-01-01"):
            ask()

        times = [one.recorded_at for one in fixtures.all()]
        assert abs(max(times) - time.time()) < 3600


class TestKeys:
    """An SDK that refuses to start without a key gets a made-up one, and it is taken back."""

    @pytest.mark.parametrize("mode", ["replay", "once"])
    def test_they_are_there_inside_alone(self, fixtures, monkeypatch, mode):
        with live_api(mode="once"):
            ask()
        monkeypatch.setenv("ANTHROPIC_API_KEY", "the user's")
        monkeypatch.delenv("OPENAI_API_KEY")
        monkeypatch.setenv("GOOGLE_API_KEY", "the user's")
        with live_api(mode=mode):
            inside = dict(os.environ)

        assert inside["OPENAI_API_KEY"] == PLACEHOLDER
        assert inside["ANTHROPIC_API_KEY"] == "the user's"
        assert "GEMINI_API_KEY" not in inside  # it would go before the user's own
        assert PLACEHOLDER not in os.environ.values()

    @pytest.mark.parametrize("mode", ["refresh", "live"])
    def test_where_the_provider_is_asked_there_is_none(self, fixtures, mode):
        with live_api(mode=mode):
            assert PLACEHOLDER not in os.environ.values()

    def test_one_that_the_test_sets_itself_stays(self, fixtures, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY")
        monkeypatch.setenv("GROQ_API_KEY", "")
        with live_api(mode="replay"):
            monkeypatch.setenv("GROQ_API_KEY", "of the test")

        assert os.environ["GROQ_API_KEY"] == "of the test"


class TestLeaks:
    @pytest.mark.parametrize("mode", ["once", "refresh"])
    def test_a_call_past_the_recorder_is_told_with_its_client(self, fixtures, provider, mode):
        host, _, port = provider.url.removeprefix("http://").partition(":")
        said = f"asked a provider past the recorder: .* connected to {host}:{port}"
        with pytest.warns(LiveCallWarning, match=said), live_api(mode=mode):
            socket.create_connection((host, int(port))).close()

    def test_what_is_no_providers_is_nobodys_business(self, fixtures, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server, live_api(mode="replay"):
            socket.create_connection(server.getsockname()).close()


class TestSignals:
    @pytest.fixture
    def told(self):
        """Return what each signal of the test cache has told, as it comes."""
        came, receivers = [], {}
        for name in OF_TESTS:

            def receive(sender, signal, name=name, **details):
                came.append((name, sender, details))

            receivers[name] = receive
            getattr(signals, name).connect(receive)
        yield came
        for name, receive in receivers.items():
            getattr(signals, name).disconnect(receive)

    def test_each_is_sent_with_the_documented_arguments(self, fixtures, told):
        with live_api(mode="once"):
            ask()
        with live_api(mode="replay"):
            ask()
        with pytest.raises(FixtureMiss), live_api(mode="replay"):
            ask("Other")
        next(fixtures.paths()).write_text("{")
        with pytest.raises(FixtureMiss), live_api(mode="replay"):
            ask()

        assert [name for name, *_ in told] == [f"test_cache_{name}" for name in ("save", "hit", "miss", "error")]
        assert {name: details.keys() for name, _, details in told} == OF_TESTS
        assert {sender for _, sender, _ in told} == {Session}

    def test_a_path_is_one(self, fixtures, told):
        with live_api(mode="once"):
            ask()

        assert [details["path"] for _, _, details in told] == list(fixtures.paths())
