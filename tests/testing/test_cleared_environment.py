"""A test that clears the environment, or takes a variable from it, takes nothing from what the run was told."""

from __future__ import annotations

import re

import pytest

from django_llmcache import variables
from django_llmcache.recorder.setup import Mode
from django_llmcache.testing import modes

from .conftest import ON
from .project import SETTINGS

MODE = "LLMCACHE_TEST_CACHE_MODE"
RUNNER = "django_llmcache.testing.LLMCacheDiscoverRunner"
SWITCHED_ON = f'{SETTINGS}LLMCACHE["TEST_CACHE"] = {{"ENABLED": True}}\n'

CLEARING = """
    import os
    from unittest import mock

    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api

    cleared = mock.patch.dict(os.environ, {"OPENAI_API_KEY": "its-own"}, clear=True)


    def ask():
        return chat("openai", [{"role": "user", "content": "Hi"}]).text


    @live_api
    def answer():
        return ask()


"""
TESTS = {
    "a block": """
    class Tests(SimpleTestCase):
        @cleared
        def test_it(self):
            with live_api():
                ask()
""",
    "a function": """
    class Tests(SimpleTestCase):
        @cleared
        def test_it(self):
            answer()
""",
    "a class": """
    class Tests(SimpleTestCase):
        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cleared.start()
            cls.addClassCleanup(cleared.stop)

        @live_api
        def test_it(self):
            ask()
""",
    "a module": """
    def setUpModule():
        cleared.start()


    def tearDownModule():
        cleared.stop()


    class Tests(SimpleTestCase):
        @live_api
        def test_it(self):
            ask()
""",
}


@pytest.fixture(params=["pytest", "manage"])
def run(request, project):
    """Return what runs the project's tests, by either runner, with the test cache switched on by its settings."""
    project.write("project_settings.py", SWITCHED_ON)
    if request.param == "pytest":
        return project.pytest
    return lambda **variables: project.manage("test", "--testrunner", RUNNER, **variables)


@pytest.fixture(params=TESTS)
def clearing(request, project):
    """Write a test under the recorder, while the environment is cleared around it."""
    project.write("test_faq.py", CLEARING + TESTS[request.param])


@pytest.mark.usefixtures("clearing")
@pytest.mark.parametrize("said", [{"CI": "true"}, {MODE: "replay"}], ids=["CI", "replay"])
def test_nobody_is_asked_in_a_run_that_replays(run, provider, said):
    done = run(**said)

    assert "1 failed on a miss" in done.text, done
    assert provider.calls == 0


@pytest.mark.usefixtures("clearing")
def test_nobody_is_asked_where_the_run_has_the_test_cache_off(run, provider):
    done = run(LLMCACHE_TEST_CACHE_ENABLED="false")

    assert done.code == 0, done
    assert re.search(r"\b1 skipped|skipped=1\b", done.text), done
    assert provider.calls == 0


@pytest.mark.usefixtures("clearing")
def test_what_is_recorded_goes_where_the_run_keeps_it(run, project, provider):
    done = run(LLMCACHE_TEST_CACHE_DIR="elsewhere")

    assert done.code == 0, done
    assert len([*(project.folder / "elsewhere").rglob("*.json")]) == provider.calls == 1
    assert project.fixtures == []


def test_one_that_is_set_anew_holds(run, project, provider):
    project.write("test_faq.py", CLEARING.replace('"its-own"', f'"its-own", "{MODE}": "once"') + TESTS["a block"])

    done = run(**{MODE: "replay"})

    assert done.code == 0, done
    assert provider.calls == len(project.fixtures) == 1


@pytest.mark.parametrize(
    ("runner", "args", "start"),
    [
        ("pytest", ["-n", "2"], ""),
        ("manage", ["test", "--testrunner", RUNNER, "--parallel", "2"], "fork"),
        ("manage", ["test", "--testrunner", RUNNER, "--parallel", "2"], "spawn"),
    ],
    ids=["xdist", "fork", "spawn"],
)
def test_in_a_process_that_runs_tests_beside_others_it_misses_as_well_and_is_told_of(
    project, provider, runner, args, start
):
    project.write("project_settings.py", SWITCHED_ON)
    other = TESTS["a block"].replace("Tests", "Others")
    project.write("test_faq.py", CLEARING + TESTS["a block"] + other)

    done = getattr(project, runner)(*args, CI="true", START_METHOD=start)

    assert "live_api: 2 tests: 2 failed on a miss" in done.text, done
    assert provider.calls == 0


def test_under_a_runner_without_ours_it_misses_as_well(project, provider):
    project.write("project_settings.py", SWITCHED_ON)
    project.write("test_faq.py", CLEARING + TESTS["a block"])

    done = project.manage("test", CI="true")

    assert "FixtureMiss" in done.text, done
    assert provider.calls == 0


FAILING = """
    import os
    from unittest import mock

    import pytest
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    @pytest.mark.parametrize("question", ["Who?", "Where?"])
    def test_it(question, request):
        with mock.patch.dict(os.environ, {"OPENAI_API_KEY": "its-own"}, clear=True), live_api():
            chat("openai", [{"role": "user", "content": question}])
        END
"""


def test_nothing_stays_of_a_test_that_fails(project, provider):
    project.write("test_faq.py", FAILING.replace("END", "assert question is None"))

    done = project.pytest(**ON)

    assert "2 failed" in done.text, done
    assert provider.calls == 2
    assert project.fixtures == []


def test_each_has_its_recordings_under_its_own_name(project):
    project.write("test_faq.py", FAILING.replace("END", ""))

    project.pytest(**ON)

    told = [path.read_text(encoding="utf-8") for path in project.fixtures]
    assert ["test_faq.py::test_it[Who?]" in text for text in sorted(told)].count(True) == 1, told
    assert ["test_faq.py::test_it[Where?]" in text for text in sorted(told)].count(True) == 1, told


def test_in_the_doctors_run_the_mode_that_a_block_names_does_not_hold(monkeypatch):
    monkeypatch.setenv(variables.DOCTOR, "true")
    with variables.of_a_run():
        monkeypatch.delenv(variables.DOCTOR)

        assert modes.named_by_test("once") is None


def test_one_that_is_set_to_nothing_is_unset(monkeypatch):
    monkeypatch.setenv(MODE, "refresh")
    with variables.of_a_run():
        monkeypatch.setenv(MODE, "")

        assert modes.decide(Mode.REPLAY) == (Mode.REPLAY, None)
        assert variables.said(MODE) is None


def test_what_a_run_began_with_ends_with_it(monkeypatch):
    monkeypatch.setenv(MODE, "refresh")
    with variables.of_a_run():
        monkeypatch.delenv(MODE)

    assert variables.said(MODE) is None
