"""What one test records is its own: no other test, block or set-up that asks the same takes it, or gives it its own."""

from __future__ import annotations

import json

import pytest

from django_llmcache.contrib.demo.standin import Reply

from .conftest import ON

ASK = """
    from django_llmcache import chat


    def ask(text):
        return chat("openai", [{"role": "user", "content": text}]).text
"""
BLOCKS = """
    from asking import ask
    from django_llmcache.testing import live_api


    @live_api
    def helped():
        return ask("Helped")


    def test_blocks():
        with live_api():
            first = [ask("Hi"), ask("Hi")]
        with live_api():
            second = [ask("Hi")]
        print("told", first, second, helped(), helped())
"""
INNER_BLOCKS = """
    from asking import ask
    from django_llmcache.testing import live_api


    @live_api(repeat="fail")
    def helped():
        return ask("Hi")


    @live_api
    def test_inner():
        outer = ask("Hi")
        with live_api():
            inner = ask("Hi")
        print("told", outer, inner, helped(), ask("Goes on from " + outer))
"""
FIXTURES = """
    import pytest
    from asking import ask
    from django_llmcache.testing import live_api


    @pytest.fixture(scope="module")
    def one():
        return [ask("Make"), ask("Make")]


    @pytest.fixture(scope="module", params=["a", "b"])
    def another(request):
        return [ask("Make")]


    @live_api
    def test_things(one, another):
        print("told", one, another)
"""
FIRST_TURNS = """
    from asking import ask
    from django_llmcache.testing import live_api


    @live_api
    def test_one():
        ask("One goes on from " + ask("Hello"))


    @live_api
    def test_other():
        ask("Other goes on from " + ask("Hello"))
"""
PARAMETERS = """
    import pytest
    from asking import ask
    from django_llmcache.testing import live_api


    @live_api
    @pytest.mark.parametrize("value", ["a/b", "a.b"])
    def test_ids(value):
        print("told", value, [ask("Hi"), ask("Hi")])
"""


@pytest.fixture(autouse=True)
def _numbered(provider):
    """Let each answer be another."""
    texts = [
        {"choices": [{"message": {"content": f"Answer {number}"}, "finish_reason": "stop"}]} for number in range(40)
    ]
    provider.script(*(Reply(body=json.dumps(text).encode()) for text in texts))


def told(done):
    return sorted(line.rpartition("told ")[2] for line in done.text.splitlines() if "told " in line)


@pytest.mark.parametrize(
    "code", [BLOCKS, INNER_BLOCKS, FIXTURES, PARAMETERS], ids=["blocks", "inner", "fixtures", "parameters"]
)
def test_each_replays_what_it_recorded(project, code):
    project.write("asking.py", ASK)
    project.write("test_it.py", code)

    first = project.pytest("-s", "--llmcache-mode", "refresh", **ON)
    second = project.pytest("-s", "--llmcache-mode", "replay", **ON)

    assert (first.code, second.code) == (0, 0), (first, second)
    assert told(first) == told(second) != []


def test_one_with_blocks_is_one_test(project):
    project.write("asking.py", ASK)
    project.write("test_it.py", INNER_BLOCKS)

    done = project.pytest("--llmcache-mode", "refresh", **ON)

    assert "live_api: 1 tests: 1 recorded" in done.text


TURNS_OF_BLOCKS = """
    from asking import ask
    from django_llmcache.testing import live_api


    def goes_on(name):
        with live_api():
            seed = ask("Hello")
        with live_api():
            ask(f"{name} goes on from {seed}")


    def test_one():
        goes_on("One")


    def test_other():
        goes_on("Other")
"""
OUTER_TURNS = """
    from asking import ask
    from django_llmcache.testing import live_api


    def goes_on(name):
        seed = ask("Hello")
        with live_api():
            ask(f"{name} goes on from {seed}")


    @live_api
    def test_one():
        goes_on("One")


    @live_api
    def test_other():
        goes_on("Other")
"""
TURNS_AFTER_SET_UPS = """
    from asking import ask
    from django.test import TestCase
    from django_llmcache.testing import live_api


    class Seeded(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.seed = ask("Hello")


    @live_api
    class test_one(Seeded):
        def test_it(self):
            ask(f"One goes on from {self.seed}")


    @live_api
    class test_other(Seeded):
        def test_it(self):
            ask(f"Other goes on from {self.seed}")
"""
TURNS_AFTER_FIXTURES = """
    import pytest
    from asking import ask
    from django_llmcache.testing import live_api


    @pytest.fixture(scope="class")
    def seed():
        return ask("Hello")


    @live_api
    class test_one:
        def test_it(self, seed):
            ask(f"One goes on from {seed}")


    @live_api
    class test_other:
        def test_it(self, seed):
            ask(f"Other goes on from {seed}")
"""

TURNS_AROUND_A_FIXTURE = """
    import pytest
    from asking import ask
    from django_llmcache.testing import live_api


    @pytest.fixture(scope="module")
    def shared():
        return ask("Shared")


    def test_one():
        with live_api():
            ask("Hello")


    def test_other(request):
        with live_api():
            seed = ask("Hello")
        request.getfixturevalue("shared")
        with live_api():
            ask(f"Other goes on from {seed}")


    @live_api
    def test_needs_it(shared):
        pass
"""


@pytest.mark.parametrize(
    ("runner", "code"),
    [
        ("pytest", TURNS_AROUND_A_FIXTURE),
        ("pytest", FIRST_TURNS), ("pytest", TURNS_OF_BLOCKS), ("pytest", OUTER_TURNS), ("pytest", TURNS_AFTER_SET_UPS),
        ("pytest", TURNS_AFTER_FIXTURES), ("manage", TURNS_AFTER_SET_UPS),
    ],
    ids=["around", "test", "blocks", "outer", "set-ups", "fixtures", "set-ups of Django"],
)  # fmt: skip
def test_a_refresh_of_one_test_leaves_what_another_has_gone_on_from(project, runner, code):
    project.write("asking.py", ASK)
    project.write("test_it.py", code)
    by_manage = ("test",), "test_it.test_one"
    line, one = by_manage if runner == "manage" else (("-o", "python_classes=test_*"), "test_it.py::test_one")

    def run(*words, mode):
        return getattr(project, runner)(*line, *words, **ON, LLMCACHE_TEST_CACHE_MODE=mode)

    runs = [run(mode="once"), run(one, mode="refresh"), run(mode="replay")]

    assert [run.code for run in runs] == [0, 0, 0], runs


@pytest.mark.parametrize("code", [TURNS_OF_BLOCKS, OUTER_TURNS], ids=["blocks", "outer"])
def test_one_that_fails_is_noted_at_no_recording(project, code):
    project.write("asking.py", ASK)
    project.write("test_it.py", f"{code.rstrip()}\n        raise AssertionError\n")

    project.pytest("--llmcache-mode", "once", **ON)

    noted = [test for path in project.fixtures for test in json.loads(path.read_text())["tests"]]
    assert noted != []
    assert [test for test in noted if "test_other" in test] == []


SHARED = """
    import time
    from unittest import skipIf

    from asking import ask
    from django.test import TestCase
    from django_llmcache.testing import live_api


    @live_api
    class Searching(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.place = ask("Make a place")
            time.sleep(0.2)  # the other worker comes meanwhile


    def searching(number):
        return lambda self: ask(f"Search {number} in {self.place}")


    for number in range(6):
        setattr(Searching, f"test_{number}", searching(number))
"""
MODULES = """
    import time

    from asking import ask
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api

    place = []


    def setUpModule():
        place.append(ask("Make a place"))
        time.sleep(0.2)


    @live_api
    class One(SimpleTestCase):
        def test_it(self):
            ask(f"One searches in {place[-1]}")


    @live_api
    class Other(SimpleTestCase):
        def test_it(self):
            ask(f"Other searches in {place[-1]}")
"""


@pytest.mark.parametrize("mode", ["once", "refresh"])
@pytest.mark.parametrize(("runner", "code"), [("pytest", SHARED), ("manage", MODULES)], ids=["pytest", "Django"])
def test_workers_that_share_a_set_up_record_it_once(project, runner, code, mode):
    project.write("asking.py", ASK)
    project.write("test_it.py", code)
    settings = "from project_settings import *\nTEST_RUNNER = 'django_llmcache.testing.LLMCacheDiscoverRunner'\n"
    project.write("with_runner.py", settings)
    line, workers = (
        ((), ("-n", "2")) if runner == "pytest" else (("test", "--settings=with_runner"), ("--parallel", "2"))
    )

    recorded = getattr(project, runner)(*line, *workers, "--llmcache-mode", mode, **ON)
    replayed = getattr(project, runner)(*line, "--llmcache-mode", "replay", **ON)

    assert (recorded.code, replayed.code) == (0, 0), (recorded, replayed)
