"""Settings that a test or its class changes, under both runners: who is a provider then is asked in no replay."""

from __future__ import annotations

import urllib.request
import warnings

import httpx
import pytest
import requests

from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.setup import Mode
from django_llmcache.testing import live_api, override_llmcache

from .conftest import ON

RUNNER = "django_llmcache.testing.LLMCacheDiscoverRunner"
TESTS = """
    import os

    import requests
    from django.test import SimpleTestCase, override_settings
    from django_llmcache.testing import live_api, override_llmcache

    PLACE = os.environ["STANDIN_URL"]
    HOST = PLACE.partition("//")[2]


    def ask():
        return requests.post(PLACE + "/v1/chat/completions", json={"model": "m"}, timeout=5)


    @override_settings(LLMCACHE={"TEST_CACHE": {"HOSTS": [HOST]}})
    class OfAClass(SimpleTestCase):
        @live_api
        def test_asks(self):
            ask()


    class OfAMethod(SimpleTestCase):
        @live_api
        @override_llmcache(TEST_CACHE={"HOSTS": [HOST]})
        def test_inside(self):
            ask()

        @override_llmcache(TEST_CACHE={"HOSTS": [HOST]})
        @live_api
        def test_outside(self):
            ask()
"""
BY_FIXTURE = """
    from django_llmcache.testing import live_api
    from test_faq import HOST, ask


    @live_api
    def test_asks(settings):
        settings.LLMCACHE = {"TEST_CACHE": {"HOSTS": [HOST]}}
        ask()
"""


@pytest.fixture
def project(project):
    """Return a project whose settings name no provider at the stand-in."""
    settings = project.folder / "project_settings.py"
    settings.write_text(settings.read_text().partition("LLMCACHE =")[0])
    project.write("test_faq.py", TESTS)
    return project


def test_under_pytest(project, provider):
    project.write("test_fixture.py", BY_FIXTURE)

    done = project.pytest("--llmcache-mode", "replay")

    assert "calls: 4 missed" in done.text, done
    assert provider.calls == 0


def test_under_django(project, provider):
    done = project.manage("test", "--testrunner", RUNNER, "--llmcache-mode", "replay")

    assert "calls: 3 missed" in done.text, done
    assert provider.calls == 0


OVERRIDING = """
    import os

    import requests
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api, override_llmcache


    def ask(text):
        messages = [{"role": "user", "content": text}]
        body = {"model": "m", "messages": messages}
        return requests.post(os.environ["STANDIN_URL"] + "/v1/chat/completions", json=body, timeout=5)


    HEAD
"""
REPLAYING_CLASS = """@override_llmcache(TEST_CACHE={"MODE": "replay"})
    class Tests(SimpleTestCase):
        @live_api
        def test_first(self):
            ask("first")

        @live_api
        def test_second(self):
            ask("second")
"""
REPLAYING_SET_UP = """@override_llmcache(TEST_CACHE={"MODE": "replay"})
    class Tests(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            ask("set up")

        @live_api
        def test_nothing(self):
            pass
"""
SET_UP_TOO = """@override_llmcache(TEST_CACHE=WORDS)
    class Tests(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            ask("set up")

        @live_api
        def test_first(self):
            ask("first")
"""
ELSEWHERE = SET_UP_TOO.replace("WORDS", '{"DIR": "elsewhere"}')
ENABLED = SET_UP_TOO.replace("WORDS", '{"ENABLED": True}')
BESIDE = """@override_llmcache(TEST_CACHE={"DIR": "elsewhere"})
    class Plain(SimpleTestCase):
        def test_nothing(self):
            pass


    @live_api
    class Tests(SimpleTestCase):
        def test_nothing(self):
            pass
"""
SET_BY_SET_UP = """@override_llmcache(DEFAULT_TTL=60)
    class Tests(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.enterClassContext(override_llmcache(TEST_CACHE=WORDS))

        @live_api
        def test_first(self):
            ask("first")

        @live_api
        def test_second(self):
            ask("second")

        @classmethod
        def tearDownClass(cls):
            ask("tear down")
            super().tearDownClass()
"""
REPLAYING_METHODS = """class Tests(SimpleTestCase):
        @live_api
        @override_llmcache(TEST_CACHE={"MODE": "replay"})
        def test_inside(self):
            ask("inside")

        @override_llmcache(TEST_CACHE={"MODE": "replay"})
        @live_api
        def test_outside(self):
            ask("outside")
"""
UNREADABLE = """class Tests(SimpleTestCase):
        @live_api
        @override_llmcache(TEST_CACHE={"MOED": "replay"})
        def test_asks(self):
            ask("first")

        @live_api
        @override_llmcache(TEST_CACHE={"MOED": "replay"})
        def test_swallows(self):
            try:
                ask("second")
            except BaseException:
                pass
"""


class TestOfTheTestCache:
    @pytest.fixture(params=["pytest", "manage"])
    def run(self, request, project):
        """Return what runs tests that are given to it, by either runner, where what is missing is recorded."""
        settings = project.folder / "project_settings.py"
        address = 'os.environ["STANDIN_URL"] + "/v1"'
        settings.write_text(
            f'{settings.read_text()}\nLLMCACHE = {{"PROVIDERS": {{"openai": {{"BASE_URL": {address}}}}}}}'
        )
        words = [] if request.param == "pytest" else ["test", "--testrunner", RUNNER]

        def running(tests: str, **variables: str):
            project.write("test_faq.py", OVERRIDING.replace("HEAD", tests))
            return getattr(project, request.param)(*words, **(variables or ON))

        return running

    @pytest.mark.parametrize("tests", [REPLAYING_CLASS, REPLAYING_METHODS], ids=["class", "methods"])
    def test_in_a_replay_of_its_own_none_is_asked(self, run, provider, tests):
        done = run(tests)

        assert "calls: 2 missed" in done.text, done
        assert provider.calls == 0

    def test_nor_is_any_asked_while_such_a_class_is_set_up(self, run, provider):
        done = run(REPLAYING_SET_UP)

        assert "calls: 1 missed" in done.text, done
        assert provider.calls == 0

    def test_all_of_a_class_is_recorded_where_it_says(self, run, project):
        done = run(ELSEWHERE)

        assert done.code == 0, done
        assert len(list((project.folder / "elsewhere").rglob("*.json"))) == 2
        assert project.fixtures == []

    def test_what_set_up_sets_over_those_of_its_class_holds_until_it_is_torn_down(self, run, provider):
        done = run(SET_BY_SET_UP.replace("WORDS", '{"MODE": "replay"}'))

        assert "calls: 3 missed" in done.text, done
        assert provider.calls == 0

    def test_one_that_turns_it_on_is_set_up_and_run(self, run):
        done = run(ENABLED, OPENAI_API_KEY="made-up")

        assert "calls: 2 recorded" in done.text, done

    def test_a_class_beside_them_is_told_of_none_of_its_own(self, run):
        done = run(BESIDE)

        assert "which is not followed" not in done.text, done

    def test_where_it_sets_what_cannot_be_read_none_is_asked(self, run, provider):
        done = run(UNREADABLE)

        assert "calls: 2 missed" in done.text, done
        assert "has 'MOED'; it may have" in done.text, done
        assert provider.calls == 0


class TestWhileATestRuns:
    @pytest.fixture
    def told(self, fixtures, tmp_path):
        """Return what a test is told that sets some words of ``TEST_CACHE``, or other keys, while it runs."""

        def of(keys=None, **words):
            with live_api(), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                with override_llmcache(TEST_CACHE=words, **(keys or {})):
                    pass
            return [str(each.message) for each in caught]

        return of

    @pytest.mark.parametrize(
        ("words", "names"),
        [
            ({"DIR": "elsewhere"}, "'DIR'"),
            ({"MODE": "refresh"}, "'MODE'"),
            ({"TTL": 60, "FALLBACK": "error"}, "'FALLBACK', 'TTL'"),
            ({"ENABLED": False}, "'ENABLED'"),
            ({"MAX_FIXTURE_BYTES": 10}, "'MAX_FIXTURE_BYTES'"),
        ],
    )
    def test_it_is_warned_of_what_is_not_followed(self, told, words, names):
        (warning,) = told(**words)

        assert f"sets TEST_CACHE[{names}] while it runs, which is not followed: set it on the class" in warning

    @pytest.mark.parametrize(
        ("words", "named"), [({}, "KEY_HEADERS"), ({"TTL": 60}, "TEST_CACHE['TTL'] and KEY_HEADERS")]
    )
    def test_nor_is_a_header_that_counts(self, told, words, named):
        (warning,) = told({"KEY_HEADERS": ["x-tenant"]}, **words)

        assert f" sets {named} while it runs, which is not followed" in warning

    def test_what_the_environment_turns_on_no_settings_turn_off(self, told, monkeypatch):
        monkeypatch.setenv("LLMCACHE_TEST_CACHE_ENABLED", "true")

        assert told(ENABLED=False) == []

    def test_in_several_blocks_once(self, told):
        with live_api():
            assert len(told(TTL=60)) == 1

    def test_it_fails_by_that_where_warnings_are_errors(self, fixtures):
        with live_api(), live_api(repeat="fail"), warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(Warning, match="which is not followed"), override_llmcache(TEST_CACHE={"TTL": 60}):
                pytest.fail("It goes on.")

    @pytest.mark.parametrize("words", [{"MODE": "replay"}, {"HOSTS": ["llm.internal"]}, {"TTL": None}])
    def test_not_of_what_is_followed_or_as_before(self, told, words):
        assert told(**words) == []

    def test_the_mode_is_as_before_when_the_settings_are_back(self, fixtures):
        with live_api(mode="once") as session:
            before = session.mode
            with override_llmcache(TEST_CACHE={"MODE": "replay"}):
                pass
            assert session.mode is before

    def test_the_mode_that_the_test_names_goes_before(self, fixtures):
        with live_api(mode="once") as session, override_llmcache(TEST_CACHE={"MODE": "replay"}):
            assert session.mode is Mode.ONCE


class TestThatCannotBeRead:
    """Who is a provider then nobody knows, nor whether one may be asked."""

    @pytest.fixture
    def wrong(self, fixtures):
        """Return a context in which a provider's settings have a key that there is not."""
        return override_llmcache(PROVIDERS={"anthropic": {"BASEURL": "x"}})

    @pytest.mark.parametrize(
        "ask",
        [
            pytest.param(lambda url: requests.post(url, data=iter([b"{}"]), timeout=5), id="requests"),
            pytest.param(lambda url: httpx.post(url, json={}), id="httpx"),
            pytest.param(lambda url: urllib.request.urlopen(url, timeout=5), id="urllib"),
        ],
    )
    def test_no_host_is_asked(self, wrong, provider, ask):
        with pytest.raises(FixtureMiss, match="'BASEURL'"), live_api(), wrong:
            ask(provider.url.replace("127.0.0.1", "localhost"))

        assert provider.calls == 0

    def test_what_an_sdk_tells_of_itself_meanwhile_fails_no_test(self, wrong, provider):
        with live_api(mode="replay") as session, wrong:
            requests.post(f"{provider.url}/v1/traces/ingest", json={}, timeout=5)

        assert session.misses == []

    def test_who_asks_nobody_is_told_nothing(self, wrong):
        with live_api() as session, wrong:
            pass

        assert session.misses == []

    def test_when_they_are_back_it_goes_on(self, wrong, provider):
        with live_api(mode="once"):
            with wrong:
                pass
            requests.post(f"{provider.url}/v1/chat/completions", json={"model": "m"}, timeout=5)

        assert provider.calls == 1
