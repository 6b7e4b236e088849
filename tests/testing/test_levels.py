"""What classes and modules set up and tear down: recorded and replayed with their tests, and never asked in vain."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from .conftest import ON

CLASSES = """
    from django.db import connection
    from django.test import SimpleTestCase, TestCase, TransactionTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask(text):
        return chat("openai", [{"role": "user", "content": text}])


    class OneMethod(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.answer = ask("In setUpTestData")

        def test_an_ordinary_one(self):
            self.assertTrue(self.answer.text)

        @live_api
        def test_live(self):
            self.assertTrue(ask("In a test").text)


    class Around(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            ask("In setUpClass")

        @classmethod
        def tearDownClass(cls):
            ask("In tearDownClass")
            super().tearDownClass()

        def test_an_ordinary_one(self):
            pass

        @live_api
        def test_live(self):
            self.assertTrue(ask("In a test").text)


    @live_api
    class Cleaning(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.addClassCleanup(ask, "In a clean-up")

        def test_live(self):
            pass


    class Quiet(TestCase):
        @live_api
        def test_live(self):
            pass

        def test_an_ordinary_one(self):
            pass


    class Neighbour(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.ask = staticmethod(ask)

        def test_an_ordinary_one(self):
            pass


    class Later(TransactionTestCase):
        def test_the_database_is_as_it_was(self):
            self.assertFalse(connection.in_atomic_block)
"""
MODULE = """
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def setUpModule():
        chat("openai", [{"role": "user", "content": "In setUpModule"}])


    def tearDownModule():
        chat("openai", [{"role": "user", "content": "In tearDownModule"}])


    class InAModule(SimpleTestCase):
        def test_an_ordinary_one(self):
            pass

        @live_api
        def test_live(self):
            chat("openai", [{"role": "user", "content": "In a module"}])
"""
ASKED = [
    "In a clean-up", "In a module", "In a test", "In setUpClass", "In setUpModule", "In setUpTestData",
    "In tearDownClass", "In tearDownModule",
]  # fmt: skip


@pytest.fixture(params=["pytest", "manage"])
def run(request, project):
    """Return what runs the project's tests, by either runner."""
    project.write("test_classes.py", CLASSES)
    project.write("test_module.py", MODULE)
    if request.param == "pytest":
        return project.pytest
    return lambda *words, **variables: project.manage("test", *words, **variables)


def asked(provider):
    return [request["body"]["messages"][0]["content"] for request in provider.requests]


def test_they_are_recorded_and_replayed_offline(provider, run):
    first = run(**ON)
    recorded = asked(provider)
    provider.stop()
    second = run(LLMCACHE_TEST_CACHE_ENABLED="true", LLMCACHE_TEST_CACHE_MODE="replay")

    assert (first.code, second.code) == (0, 0), (first, second)
    assert sorted(recorded) == ASKED


def test_in_replay_nobody_is_asked_and_each_class_has_its_own_error(provider, run):
    done = run(**ON, LLMCACHE_TEST_CACHE_MODE="replay")

    assert done.code == 1, done
    assert provider.calls == 0
    told, names = "5 passed, 7 errors", ("pytest test_classes.py::Around", "pytest test_module.py")
    if "passed" not in done.text:
        told, names = "FAILED (errors=4)", (
            "python manage.py test test_classes.Around", "python manage.py test test_module",
        )  # fmt: skip
    assert told in done.text, done
    assert "not allowed" not in done.text  # what SimpleTestCase forbids, it forbids its own class alone
    for name in names:
        line = f"Record it:  LLMCACHE_TEST_CACHE_ENABLED=true LLMCACHE_TEST_CACHE_MODE=once {name}\n"
        assert line in done.text, done


def test_with_nothing_said_what_would_ask_is_skipped_and_the_rest_runs(provider, run):
    done = run()

    assert done.code == 0, done
    assert provider.calls == 0
    assert "3 passed, 8 skipped" in done.text or "OK (skipped=5)" in done.text


ONE_REPLAYS = """
    import pytest
    from test_classes import ask
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api


    class Limited(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.place = ask("Make a place").text

        @live_api
        def test_place(self):
            self.assertTrue(self.place)

        @live_api(mode="replay", fault="429")
        def test_limit(self):
            with self.assertRaisesMessage(Exception, "429"):
                ask("Too often")
"""


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_one_test_that_is_only_replayed_does_not_keep_the_others_set_up_from_being_recorded(project, provider, runner):
    project.write("test_classes.py", CLASSES)
    project.write("test_limited.py", ONE_REPLAYS)
    line = ("test_limited.py",) if runner == "pytest" else ("test", "test_limited")

    done = getattr(project, runner)(*line, **ON)

    assert done.code == 0, done
    assert asked(provider) == ["Make a place"]


ERRORS = """
    import os
    import socket
    from pathlib import Path

    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api
    from test_classes import ask


    @live_api
    class AUnwritable(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            ask("Where to?")
            Path("tests").write_text("where the folder of the fixtures would be")

        @classmethod
        def tearDownClass(cls):
            Path("tests").unlink()
            super().tearDownClass()

        def test_live(self):
            pass


    @live_api
    class BLeaking(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            host, _, port = os.environ["STANDIN_URL"].removeprefix("http://").partition(":")
            socket.create_connection((host, int(port))).close()

        def test_live(self):
            pass


    class CLater(SimpleTestCase):
        def test_an_ordinary_one(self):
            pass
"""


def test_what_goes_wrong_at_the_end_of_a_set_up_is_that_classs_error(project):
    project.write("test_classes.py", CLASSES)
    project.write("test_errors.py", ERRORS)

    done = project.run("-W", "error", "manage.py", "test", "test_errors", **ON)

    assert done.code == 1
    assert "ERROR: setUpClass (test_errors.AUnwritable)" in done.text, done
    assert "ERROR: setUpClass (test_errors.BLeaking)" in done.text, done
    assert "LiveCallWarning: test_errors.BLeaking (set-up) asked a provider past the recorder" in done.text
    assert "Ran 1 test" in done.text
    assert not (project.folder / "tests").exists()


FUNCTION = """
    import pytest
    from django_llmcache import chat


    @pytest.fixture(scope="class")
    def answer():
        return chat("openai", [{"role": "user", "content": "For one test"}])


    @pytest.mark.live_api
    def test_in_no_class(answer):
        assert answer.text
"""


def test_what_a_function_in_no_class_is_given_by_a_fixture_of_classes_is_its_own(project):
    project.write("test_function.py", FUNCTION)

    done = project.pytest(**ON)

    [fixture] = project.fixtures
    assert json.loads(fixture.read_text())["tests"] == ["test_function.py::test_in_no_class"], done


TELLING = """
    import requests
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api


    class Tests(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.status = requests.post("URL/v1/traces/ingest", json={}, timeout=9).status_code

        def test_an_ordinary_one(self):
            self.assertTrue(self.status)

        @live_api
        def test_live(self):
            pass
"""


def test_what_an_sdk_tells_of_itself_skips_no_set_up_while_the_test_cache_is_off(project, provider):
    project.write("test_telling.py", TELLING.replace("URL", provider.url))

    done = project.pytest("test_telling.py")

    assert "1 passed, 1 skipped" in done.text, done


SHARING = """
    import pytest
    from django.test import SimpleTestCase, tag
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask(text):
        return chat("openai", [{"role": "user", "content": text}]).text


    @pytest.fixture(scope="module")
    def place():
        return ask("For the module")


    def test_plain(place):
        assert place


    class Mixed(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.place = ask("For the class")

        def test_plain(self):
            assert self.place

        @tag("live_api")
        def test_live(self):
            pass


    class TestLive:
        @live_api
        def test_live(self, place):
            assert place
"""
PICKED = [("test_sharing.py::test_plain",), ("test_sharing.py::Mixed::test_plain",)]


@pytest.fixture
def sharing(project):
    """Return a project where tests that are not live_api share what is set up with some that are."""
    project.write("test_sharing.py", SHARING)
    return project


@pytest.mark.parametrize("picked", PICKED, ids=["module", "class"])
def test_one_test_that_is_picked_by_its_id_asks_nobody_in_replay_for_what_it_shares(sharing, provider, picked):
    done = sharing.pytest(*picked, **ON, CI="true")

    assert provider.calls == 0
    assert "Nothing is recorded for this request" in done.text, done


@pytest.mark.parametrize("picked", PICKED, ids=["module", "class"])
def test_one_test_that_is_picked_by_its_id_is_skipped_for_what_it_shares_with_nothing_said(sharing, provider, picked):
    done = sharing.pytest(*picked, OPENAI_API_KEY="made-up")

    assert provider.calls == 0
    assert "1 skipped in" in done.text, done


def test_the_tests_beside_one_that_is_picked_are_neither_run_nor_counted(sharing):
    done = sharing.pytest("test_sharing.py::Mixed::test_plain", **ON)

    assert "1 passed in" in done.text, done
    assert "live_api: 0 tests\ncalls: 1 recorded\n" in done.text


NOTING = """
    def pytest_generate_tests(metafunc):
        print(f"asked about {metafunc.cls and metafunc.cls.__name__}")
"""
ODD = """
    import pytest
    from django_llmcache.testing import live_api


    def test_one():
        pass


    class TestOther:
        label = property(lambda self: 1 / 0)

        def test_other(self):
            pass


    class TestNeverCollected:
        def __init__(self):
            pass

        def test_it(self):
            pass


    @pytest.mark.usefixtures()
    class TestUsesNone:
        def test_it(self):
            pass
"""


def test_a_class_without_live_api_tests_is_not_looked_into_beside_one_that_is_picked(project):
    project.write("conftest.py", NOTING)
    project.write("test_odd.py", ODD)

    done = project.pytest("-s", "test_odd.py::test_one")

    assert "1 passed in" in done.text, done  # else it is "1 passed, 2 warnings in"
    assert "asked about Test" not in done.text


def test_a_class_with_live_api_tests_tells_of_nothing_odd_beside_one_that_is_picked(project):
    project.write("test_odd.py", ODD.replace("class TestNeverCollected", "@live_api\n    class TestNeverCollected"))

    done = project.pytest("test_odd.py::test_one")

    assert "1 passed in" in done.text, done


UNLIKE = """
    class Meta(type):
        def __hash__(cls):
            print("asked what it is like")
            return 1


    class TestOuter:
        class Other(metaclass=Meta):
            pass


    def test_one():
        pass
"""


def test_a_class_in_one_beside_that_is_picked_is_not_asked_what_it_is_like(project):
    project.write("test_unlike.py", UNLIKE)

    done = project.pytest("-s", "test_unlike.py::test_one")

    assert "1 passed" in done.text, done
    assert "asked what it is like" not in done.text


FORMS = {
    "class": """
        @live_api
        class TestLive:
            def test_live(self, place):
                pass
    """,
    "base": """
        class Base:
            pytestmark = pytest.mark.live_api

        class TestLive(Base):
            def test_live(self, place):
                pass
    """,
    "inner": """
        class TestOuter:
            class TestInner:
                @staticmethod
                @pytest.mark.live_api
                def test_live(place):
                    pass
    """,
    "written elsewhere": """
        class Inner:
            @pytest.mark.live_api
            def test_live(self, place):
                pass

        class TestOuter:
            TestInner = Inner

        Inner.outer = TestOuter
    """,
    "made": """
        def made():
            class Tests:
                @pytest.mark.live_api
                def test_live(self, place):
                    pass

            return Tests

        class TestOuter:
            TestInner = made()
    """,
}


@pytest.mark.parametrize("form", FORMS)
def test_live_api_tests_beside_one_that_is_picked_are_known_wherever_the_class_has_the_word(project, provider, form):
    project.write("test_sharing.py", dedent(SHARING).partition("class Mixed")[0] + dedent(FORMS[form]))

    done = project.pytest("test_sharing.py::test_plain", OPENAI_API_KEY="made-up")

    assert provider.calls == 0
    assert "1 skipped in" in done.text, done


FAILED_LAST = """
    import pytest
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    @pytest.fixture(scope="module")
    def place():
        return chat("openai", [{"role": "user", "content": "For the module"}]).text


    @live_api
    def test_live(place):
        assert place


    def test_plain(place):
        assert not place
"""


def test_one_that_failed_last_asks_nobody_in_replay_for_what_it_shares_with_one_that_passed(project, provider):
    project.write("test_failed.py", FAILED_LAST)
    project.run("-m", "pytest", "-p", "no:randomly", **ON)
    recorded = provider.calls

    done = project.run("-m", "pytest", "-p", "no:randomly", "--lf", **ON, CI="true")

    assert provider.calls == recorded == 1
    assert "1 failed in" in done.text, done
