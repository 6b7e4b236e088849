"""The block at the end of a run, by a runner of one's own and by pytest: what was done, saved, left and missed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from django_llmcache import conf
from django_llmcache.contrib.demo.standin import StandIn
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode, Setup
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.testing import summary
from tests.recorder.made import EVENTS, answered, fixture

from .project import SETTINGS

RUNNER = """
    from django.test.runner import DiscoverRunner
    from django_llmcache.testing import LLMCacheRunnerMixin


    class Own(DiscoverRunner):
        def run_suite(self, suite, **kwargs):
            print("in a way of its own")
            return super().run_suite(suite, **kwargs)


    class Runner(LLMCacheRunnerMixin, Own):
        pass
"""
TESTS = """
    from django.test import SimpleTestCase
    from django_llmcache import chat, stream
    from django_llmcache.testing import live_api


    class Tests(SimpleTestCase):
        @live_api
        def test_whole(self):
            chat("openai", [{"role": "user", "content": "Whole"}])

        @live_api
        def test_streamed(self):
            options = {"stream_options": {"include_usage": True}}
            with stream("openai", [{"role": "user", "content": "Streamed"}], **options) as answer:
                "".join(event.text for event in answer)

        @live_api(ttl=0.001)
        def test_expired(self):
            chat("openai", [{"role": "user", "content": "Expired"}])

        @live_api
        def test_quiet(self):
            pass
"""
MISSING = TESTS.replace('"Whole"', '"Changed"')


SKIPPED = """
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    class Asking(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            chat("openai", [{"role": "user", "content": "Set up"}])

        def test_ordinary(self):
            pass

        @live_api
        def test_live(self):
            pass
"""


@pytest.mark.parametrize("workers", [(), ("--parallel", "2")], ids=["one", "two"])
def test_django_s_runner_says_how_many_are_skipped_and_the_line_to_set(project, workers):
    project.write("own_runner.py", RUNNER)
    project.write("test_block.py", TESTS)
    project.write("test_skipped.py", SKIPPED)

    done = project.manage("test", "--testrunner", "own_runner.Runner", *workers)

    assert "OK (skipped=5)" in done.text, done  # four tests, and a set-up
    assert "live_api: 5 skipped. The test cache is off. Set LLMCACHE_TEST_CACHE_ENABLED=true to replay" in done.text


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_it_counts_tests_calls_and_what_was_saved(project, provider, runner):
    project.write("own_runner.py", RUNNER)
    project.write("test_block.py", TESTS)
    args = () if runner == "pytest" else ("test", "--testrunner", "own_runner.Runner")
    run = getattr(project, runner)

    first = run(*args, "--llmcache-mode", "once", OPENAI_API_KEY="made-up")
    provider.stop()
    second = run(*args, "--llmcache-mode", "replay")
    project.write("test_block.py", MISSING)
    third = run(*args, LLMCACHE_TEST_CACHE_ENABLED="true", LLMCACHE_TEST_CACHE_MODE="replay")

    assert (first.code, second.code, third.code) == (0, 0, 1), (first, second, third)
    assert "live_api: 4 tests: 3 recorded, 1 without a call\ncalls: 3 recorded\n" in first.text
    assert "recorded: 3\n" in first.text
    assert "live_api: 4 tests: 3 replayed, 1 without a call\ncalls: 3 replayed\n" in second.text
    assert re.search(r"saved: [1-9][\d,]* tokens, \d+\.\d s\n", second.text), second
    assert "expired: 1\n" in second.text
    assert "live_api: 4 tests: 1 failed on a miss, 2 replayed, 1 without a call\n" in third.text
    assert "calls: 2 replayed, 1 missed\n" in third.text
    assert runner == "pytest" or all("in a way of its own" in run.text for run in (first, second, third))


SHARED = """
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    @live_api
    class Shared(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            chat("openai", [{"role": "user", "content": "Set up"}])

        def test_one(self):
            pass

        def test_other(self):
            pass
"""


@pytest.mark.parametrize(
    ("runner", "tests"),
    [("pytest", "2 tests: 2 failed on a miss"), ("manage", "0 tests")],
    ids=["pytest", "manage"],
)
def test_it_says_that_what_tests_share_failed_on_a_miss(project, runner, tests):
    project.write("own_runner.py", RUNNER)
    project.write("test_shared.py", SHARED)
    args = () if runner == "pytest" else ("test", "--testrunner", "own_runner.Runner")

    done = getattr(project, runner)(*args, "--llmcache-mode", "replay")

    told = f"live_api: {tests}\nset-ups and tear-downs: 1 failed on a miss\ncalls: 1 missed\n"
    assert told in done.text, done


FAILING = """
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    class Tests(SimpleTestCase):
        @live_api
        def test_wrong(self):
            for question in ("one", "two"):
                chat("openai", [{"role": "user", "content": question}])
            self.fail("a wrong assertion")

        def test_wrong_after_a_block(self):
            with live_api():
                chat("openai", [{"role": "user", "content": "three"}])
            self.fail("a wrong assertion")

        @live_api
        def test_right(self):
            chat("openai", [{"role": "user", "content": "four"}])

        @live_api
        def test_right_but_not_to_be_written(self):
            chat("openai", [{"role": "user", "content": '{"gateway_token": "q8Zt3LmP0vXy7KdR2sWb"}'}])
"""


@pytest.mark.parametrize(
    ("runner", "args"),
    [("pytest", ["-n", "2"]), ("manage", ["test", "--testrunner", "own_runner.Runner", "--parallel", "2"])],
    ids=["pytest", "manage"],
)
def test_it_says_which_answers_the_next_run_asks_for_again(project, runner, args):
    project.write("own_runner.py", RUNNER)
    project.write("test_failing.py", FAILING)

    done = getattr(project, runner)(*args, "--llmcache-mode", "once", OPENAI_API_KEY="made-up")

    assert (
        "calls: 1 recorded, 4 live\nnot kept: 4 answers of 3 tests that failed; the next run asks again\n" in done.text
    )


GATEWAY = """
    import os
    import requests
    from django.test import LiveServerTestCase, SimpleTestCase
    from django_llmcache.testing import live_api

    CALL = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    URL = os.environ["GATEWAY"] + "/v1/chat/completions"


    @live_api
    class Tests(SimpleTestCase):
        def test_own_gateway(self):
            requests.post(URL, json=CALL, timeout=5)

        def test_own_gateway_again(self):
            requests.post(URL, json=CALL, timeout=5)


    @live_api
    class ServerTests(LiveServerTestCase):
        def test_view(self):
            requests.post(f"{self.live_server_url}/api/chat", json=CALL, timeout=5)
"""


@pytest.mark.parametrize("mode", ["replay", "once"])
@pytest.mark.parametrize(
    ("runner", "args"),
    [
        ("pytest", ["-n", "2", "-W", "error", "-p", "no:asyncio"]),
        ("manage", ["test", "--testrunner", "own_runner.Runner", "--parallel", "2"]),
    ],
    ids=["pytest", "manage"],
)
def test_it_names_the_hosts_of_calls_that_no_setting_names_a_provider_s(project, own, runner, args, mode):
    project.write("own_runner.py", RUNNER)
    project.write("urls.py", "urlpatterns = []")
    project.write("project_settings.py", f"{SETTINGS}\nROOT_URLCONF, STATIC_URL = 'urls', '/static/'\n")
    project.write("test_gateway.py", GATEWAY)

    done = getattr(project, runner)(*args, "--llmcache-mode", mode, GATEWAY=own.url)

    host = own.url.removeprefix("http://")
    assert done.code == 0, done
    assert (
        "asked at hosts that no setting names as a provider's: 1\n"
        f"  {host}\n"
        f'  to record them: LLMCACHE = {{"TEST_CACHE": {{"HOSTS": ["{host}"]}}}}\n'
    ) in done.text, done


@pytest.fixture
def own():
    """Return a gateway of the project's own, which no setting names."""
    with StandIn(latency=0, event_delay=0) as standin:
        yield standin


class TestLines:
    """What one process gathers."""

    @pytest.fixture(autouse=True)
    def run(self, monkeypatch):
        monkeypatch.delenv(conf.RUN_LOG, raising=False)
        with summary.of_a_run():
            yield

    @pytest.fixture
    def session(self, tmp_path):
        return Session("a test", Setup(FixtureStore(tmp_path), Mode.REPLAY, ()))

    def test_a_line_that_another_worker_is_still_writing_is_not_read_yet(self, session, tmp_path, monkeypatch):
        log = tmp_path / "run.jsonl"
        log.touch()
        monkeypatch.setenv(conf.RUN_LOG, str(log))
        summary.add(session, [], passed=True)
        with log.open("ab") as another:
            another.write(b'{"test": "another", "mo')

        assert [test.id for test in summary.tests()] == ["a test"]

    def test_a_run_whose_log_a_test_has_removed_has_what_this_process_did(self, session):
        Path(conf.environment(conf.RUN_LOG)).unlink()
        session.counts["replayed"] = 1
        summary.add(session, [], passed=True)

        assert summary.lines()[0] == "live_api: 1 tests: 1 replayed"

    def test_a_run_that_a_test_of_it_starts_takes_nothing_from_it(self, session, monkeypatch):
        summary.add(session, [], passed=True)
        summary.add_found(["a test"])
        with monkeypatch.context() as without:
            without.delenv(conf.RUN_LOG)
            with summary.of_a_run():
                summary.add(Session("an inner test", session.setup), [], passed=True)
        summary.add(Session("another test", session.setup), [], passed=True)

        assert [test.id for test in summary.tests()] == ["a test", "another test"]
        assert summary.found() == {"a test"}

    def test_no_test_is_no_block(self):
        assert summary.lines() == []

    def test_a_set_up_that_asked_nobody_is_none(self, session):
        session.is_test = False
        summary.add(session, [], passed=True)

        assert summary.lines() == []

    def test_a_set_up_counts_its_calls_and_is_no_test(self, session):
        session.is_test = False
        session.counts["replayed"] = 2
        summary.add(session, [], passed=True)

        assert summary.lines()[:2] == ["live_api: 0 tests", "calls: 2 replayed"]

    def test_one_that_a_miss_of_another_stopped_and_that_ran_again_counts_as_what_it_did_then(self, session):
        summary.add_stopped(session.test)
        session.counts["replayed"] = 1
        summary.add(session, [], passed=True)

        assert summary.lines()[0] == "live_api: 1 tests: 1 replayed"

    @pytest.mark.parametrize(
        "response",
        [
            answered(b'{"usage":{"prompt_tokens":1000,"completion_tokens":500}}', elapsed=2500.0),
            answered(
                b'data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500}}\n\n', b"data: [DONE]\n\n",
                headers=EVENTS, elapsed=2500.0,
            ),
        ],
        ids=["whole", "stream"],
    )  # fmt: skip
    def test_tokens_and_seconds_are_those_of_what_was_replayed(self, session, response, tmp_path):
        one = fixture(file=str(tmp_path / response.content_type.replace("/", "-")))
        one.response = response
        session.replayed = [one, one]
        summary.add(session, [], passed=True)

        assert "saved: 3,000 tokens, 5.0 s" in summary.lines()

    def test_nothing_is_asked_again_of_one_that_ran_again_and_passed(self, session):
        session.counts["unkept"] = 2
        summary.add(session, [], passed=False)
        session.counts.clear()
        summary.add(session, [], passed=True)

        assert not [line for line in summary.lines() if line.startswith("not kept")]

    def test_one_that_was_asked_past_the_recorder_is_live(self, session):
        session.leaks = ["urllib connected to api.openai.com"]
        summary.add(session, [], passed=True)

        assert summary.lines()[0] == "live_api: 1 tests: 1 live"

    def test_what_was_left_and_what_leaked_is_listed(self, session, tmp_path):
        session.leaks = ["requests connected to api.openai.com"]
        summary.add(session, [tmp_path / "new.json"], passed=True)

        lines = summary.lines([tmp_path / f"{number}.json" for number in range(30)])

        assert "  requests connected to api.openai.com" in lines[lines.index("asked past the recorder: 1") :]
        assert f"  {tmp_path / 'new.json'}" in lines[lines.index("recorded: 1") :]
        assert len(lines[lines.index("fixtures that no test used: 30") :]) == 21
