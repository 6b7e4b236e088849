"""Fixtures are called unused after a full run alone: one in which every live_api test there is passed on recordings."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from django_llmcache import conf
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.usage import UsageLog, UsageUnknown
from django_llmcache.testing import override_llmcache, pytest_runs, unused
from django_llmcache.testing.runner import LLMCacheDiscoverRunner
from django_llmcache.testing.setups import usage_log, usage_logs
from tests.recorder.made import fixture

from .conftest import ON

RUNNER = ("test", "--testrunner", "django_llmcache.testing.LLMCacheDiscoverRunner")
TESTS = """
    import os
    from unittest import skipIf

    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask(text):
        return chat("openai", [{"role": "user", "content": text}]).text


    class FaqTests(SimpleTestCase):
        @live_api
        def test_one(self):
            self.assertTrue(ask("One"))

        @live_api
        @skipIf(os.environ.get("SKIP"), "asked to be")
        def test_two(self):
            self.assertTrue(ask("Two"))

        @live_api(fault="cut@1")
        def test_three(self):
            with self.assertRaises(Exception):
                ask("One")
                raise ValueError("a client may not notice")

        def test_an_ordinary_one(self):
            self.assertFalse(os.environ.get("FAIL"))
"""
FUNCTION = """
    from django_llmcache.testing import live_api
    from test_faq import ask


    @live_api
    def test_of_pytest_alone():
        assert ask("Of pytest alone")
"""
PARAMETER = """
    import os

    import pytest
    from django_llmcache.testing import live_api
    from test_faq import ask


    @live_api
    @pytest.mark.parametrize("key", [os.environ["KEY"]])
    def test_key(key):
        if "NO_KEY" in os.environ:
            pytest.skip("asked to be")
        assert ask("Of a key")
"""
SUB = TESTS.replace("FaqTests", "SubTests").replace('"One"', '"Three"').replace('"Two"', '"Four"')
SAID = "fixtures that no test used"
PARTIAL_PYTEST = [
    ((), {}),
    (("--collect-only",), ON),
    (("--setup-only",), ON),
    ((), ON | {"LLMCACHE_TEST_CACHE_MODE": "live"}),
    ((), ON | {"within": "sub"}),
    ((), ON | {"SKIP": "1"}),
    ((), ON | {"FAIL": "1"}),
    (("-n", "2", "--deselect", "sub"), ON),
]
PARTIAL_MANAGE = [
    ((), {}),
    ((), ON | {"LLMCACHE_TEST_CACHE_MODE": "live"}),
    ((), ON | {"within": "sub"}),
    ((), ON | {"SKIP": "1"}),
    (("--parallel", "2", "--failfast"), ON | {"FAIL": "1"}),
]


class Observed:
    """A project, and what its runs say of its fixtures."""

    def __init__(self, project, runner):
        self.project = project
        self.runner = runner
        project.write("test_faq.py", TESTS)
        project.write("sub/__init__.py", "")
        project.write("sub/test_sub.py", SUB)

    def run(self, *words, **variables):
        if self.runner == "pytest":
            return self.project.pytest(*words, **variables)
        manage = self.project.folder / "manage.py"
        return self.project.run(str(manage), *RUNNER, *words, PYTHONPATH=self.path, **variables)

    @property
    def path(self):
        return f"{self.project.folder}:{Path(__file__).parents[2]}"

    def known(self):
        """Return the names of the fixtures that are known to be unused."""
        [log] = self.project.temporary.glob("llmcache-usage-*.jsonl")
        store = FixtureStore(self.project.folder / "tests/llm_fixtures")
        return [asked(store.read(path)) for path in unused.unused_fixtures(store, [UsageLog(log)])]

    def forget(self):
        for log in self.project.temporary.glob("llmcache-usage-*.jsonl"):
            log.unlink()


def asked(one):
    return one.request.body.decode().partition('"content":"')[2].partition('"')[0]


@pytest.mark.parametrize(("runner", "partial"), [("pytest", PARTIAL_PYTEST), ("manage", PARTIAL_MANAGE)])
def test_no_run_of_some_tests_makes_the_fixtures_of_others_unused(project, runner, partial):
    observed = Observed(project, runner)
    recording = observed.run(**ON)
    assert recording.code == 0, recording
    assert observed.known() == []

    for words, variables in partial:
        observed.forget()
        done = observed.run(*words, **variables)
        assert SAID not in done.text, (words, variables, done)
        with pytest.raises((UsageUnknown, ValueError)):  # nothing is noted at all, or no full run
            observed.known()


@pytest.mark.parametrize(("runner", "workers"), [("pytest", "-n2"), ("manage", "--parallel=2")])
def test_a_full_run_tells_what_it_left_and_no_test_needs(project, runner, workers):
    observed = Observed(project, runner)
    project.write("test_of_pytest.py", FUNCTION)
    assert project.pytest(**ON).code == 0
    assert observed.run(**ON).code == 0
    project.write("test_faq.py", TESTS.replace("test_two", "test_2").replace('"Two"', '"Zwei"'))

    done = observed.run(workers, **ON)

    assert f"{SAID}: 1\n" in done.text, done
    assert observed.known() == ["Two"]
    pruned = project.manage("llmcache", "fixtures", "prune", "--unused", "--noinput")
    assert pruned.code == 0, pruned
    assert len(project.fixtures) == 5  # that of the test which only pytest knows too


WITHOUT_A_NAME = """
    import os
    import requests
    from django_llmcache.testing import live_api


    @live_api
    def test_gateway():
        requests.post(os.environ["STANDIN_URL"] + "/v1/chat/completions", json={"messages": []}, timeout=5)
"""


def test_a_run_that_asks_for_real_what_is_recorded_as_no_setting_names_the_host_leaves_nothing(project):
    project.write("test_gateway.py", WITHOUT_A_NAME)
    assert project.pytest(**ON).code == 0
    project.write("unnamed.py", "from project_settings import *\nLLMCACHE = {'RUN_DIR': LLMCACHE['RUN_DIR']}\n")

    done = project.pytest("--ds", "unnamed", **ON)
    pruned = project.manage("llmcache", "fixtures", "prune", "--unused", "--noinput")

    assert "asked at hosts that no setting names as a provider's: 1" in done.text, done
    assert SAID not in done.text
    assert (pruned.code, "The last one was not full: no setting named 127.0.0.1:" in pruned.text) == (1, True), pruned
    assert len(project.fixtures) == 1


def test_prune_says_why_the_last_run_was_not_full(project):
    observed = Observed(project, "pytest")
    observed.run(**ON, SKIP="1")

    done = project.manage("llmcache", "fixtures", "prune", "--unused", "--noinput")

    assert done.code == 1, done
    assert (
        "The last one was not full: 2 live_api tests did not pass on recordings, such as sub/test_sub.py" in done.text
    )
    assert len(project.fixtures) == 2


@pytest.mark.parametrize("words", [{}, {"NO_KEY": "1"}], ids=["full", "partial"])
def test_a_key_that_is_a_tests_parameter_stays_nowhere(project, words):
    key = "sk-proj-" + "aB3" * 14
    project.write("test_faq.py", TESTS)
    project.write("test_key.py", PARAMETER)

    done = project.pytest(KEY=key, **ON, **words)

    assert done.code == 0, done
    [log] = project.temporary.glob("llmcache-usage-*.jsonl")
    assert "test_key.py::test_key" in log.read_text()
    assert key not in log.read_text()


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_a_log_that_can_not_be_kept_fails_no_run(project, runner):
    observed = Observed(project, runner)
    assert observed.run(**ON).code == 0
    [log] = project.temporary.glob("llmcache-usage-*.jsonl")
    log.unlink()
    log.mkdir()
    (log / "not empty").touch()

    done = observed.run(**ON)

    assert done.code == 0, done
    assert SAID not in done.text
    assert done.text.count("It can't be noted in") == 1


class TestPytest:
    """Which runs of pytest are known beforehand not to be full."""

    @pytest.fixture
    def config(self, tmp_path, monkeypatch):
        def make(*, source="TESTPATHS", args=("tests",), root=tmp_path, within=None, **options):
            monkeypatch.setattr(unused, "elsewhere", lambda root: None)
            return SimpleNamespace(
                option=SimpleNamespace(markexpr=options.pop("markexpr", ""), **options), args=list(args),
                args_source=getattr(pytest.Config.ArgsSource, source), rootpath=root,
                invocation_params=SimpleNamespace(dir=within or root), getini=lambda name: ["tests"],
            )  # fmt: skip

        return make

    @pytest.mark.parametrize(
        "words",
        [{}, {"source": "INVOCATION_DIR", "args": ["."]}, {"source": "ARGS"}, {"markexpr": "live_api"}],
        ids=str,
    )
    def test_one_of_all_tests_is_not(self, config, words):
        assert pytest_runs.narrowed(config(**words)) is None

    @pytest.mark.parametrize("option", pytest_runs.NARROWING)
    def test_an_option_that_leaves_tests_out_is_named(self, config, option):
        assert pytest_runs.narrowed(config(**{option: ["x"]})) == f"{pytest_runs.NARROWING[option]} was given"

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            ({"markexpr": "live_api and not slow"}, "-m was given"),
            ({"source": "ARGS", "args": ["tests/test_faq.py"]}, "some tests were named"),
            ({"within": Path("/elsewhere")}, "it did not run in"),
        ],
        ids=str,
    )
    def test_so_is_what_else_narrows_it(self, config, words, why):
        assert pytest_runs.narrowed(config(**words)).startswith(why)


class TestDjango:
    """Which runs of Django's runner are known beforehand not to be full."""

    @pytest.mark.parametrize(
        ("words", "why"),
        [
            ({"tags": ["slow"]}, "--tag was given"),
            ({"exclude_tags": ["live_api"]}, "--exclude-tag was given"),
            ({"test_name_patterns": ["one"]}, "-k was given"),
            ({"pattern": "x*.py"}, "--pattern was given"),
            ({"top_level": "."}, "--top-level-directory was given"),
            ({"tags": ["live_api"]}, None),
        ],
        ids=str,
    )
    def test_what_narrows_it_is_named(self, monkeypatch, words, why):
        monkeypatch.setattr(unused, "elsewhere", lambda root: None)

        assert LLMCacheDiscoverRunner(**words)._narrowed([]) == why

    def test_so_are_labels(self):
        assert LLMCacheDiscoverRunner()._narrowed(["app"]) == "some tests were named"


class TestElsewhere:
    @pytest.mark.parametrize(
        ("root", "folder", "why"),
        [
            (".", "fixtures", None),
            ("..", "fixtures", None),
            ("app", "app/fixtures", "project"),
            (".", "..", "fixtures"),
        ],
    )
    def test_a_run_below_the_project_or_apart_from_its_fixtures_is_not_full(
        self, tmp_path, settings, root, folder, why
    ):
        settings.BASE_DIR = tmp_path
        with override_llmcache(TEST_CACHE={"DIR": folder}):
            said = unused.elsewhere(tmp_path / root)

        assert said is None if why is None else f"the {why} are in" in said


class TestDoubt:
    """A fixture that a test once asked for, and that may be needed yet, is not called unused."""

    @pytest.fixture
    def left(self, tmp_path):
        """Return what tells whether a fixture of some tests is called unused after a run of others."""
        store, log = FixtureStore(tmp_path / "fixtures"), UsageLog(tmp_path / "usage.jsonl")
        (tmp_path / "app").mkdir()
        code = "class FaqTests(TestCase):\n    def test_there(self): ...\nclass Derived(FaqMixin, TestCase): ...\n"
        (tmp_path / "app/test_faq.py").write_text(code)
        (tmp_path / "app/test_made.py").write_text("class Made: ...\nsetattr(Made, f'test_{7}', print)\n")

        (tmp_path / "app/test_star.py").write_text("from .contract import *\n")
        (tmp_path / "app/test_loop.py").write_text("for name in 'ab': globals()[f'test_{name}'] = print\n")
        (tmp_path / "app/test_plain.py").write_text("def test_there(): ...\n")
        (tmp_path / "part/tests").mkdir(parents=True)
        (tmp_path / "part/tests/test_part.py").write_text("def test_there(): ...\n")

        def tell(*tests, ran=("app/test_faq.py::FaqTests::test_ran",)):
            path = store.write(fixture(name=tests, tests=tests))
            log.start([path])
            log.finish(ran=ran, root=str(tmp_path))
            return unused.unused_fixtures(store, [log]) == [path]

        return tell

    @pytest.mark.parametrize(
        ("test", "called"),
        [
            ("app/test_faq.py::FaqTests::test_ran", True),
            ("app/test_faq.py::FaqTests::test_ran[one]", True),
            ("app/test_faq.py::FaqTests::test_ran[one]@group", True),
            ("app/test_faq.py::FaqTests::test_there@group", False),
            ("app.test_faq.FaqTests.test_ran", True),
            ("app/test_faq.py::FaqTests::test_there[a]", False),
            ("app.test_faq.FaqTests.test_there", False),
            ("app.test_faq.FaqTests (set-up)", False),
            ("app/test_faq.py (set-up)", False),
            ("app/test_faq.py::FaqTests::test_gone", True),
            ("app.test_faq.FaqTests.test_gone", True),
            ("app/test_faq.py::FaqTests::test_gone <1>", True),
            ("app/test_faq.py::FaqTests::test_there <1>", False),
            ("app/test_faq.py (set-up of thing, 0)", False),
            ("app/test_faq.py::Derived::test_inherited", False),
            ("app.test_faq.Derived.test_inherited", False),
            ("app/test_made.py::Made::test_7", False),
            ("app/test_star.py::test_contract", False),
            ("app/test_loop.py::test_a", False),
            ("app/test_plain.py::test_there", False),
            ("app/test_plain.py::test_gone", True),
            ("tests/test_part.py::test_there", False),
            ("tests/test_part.py::test_gone", True),
            ("sts/test_part.py::test_there", True),
            ("app/test_removed.py::test_there", True),
            ("other.place.FaqTests.test_there", False),
        ],
    )
    def test_by_the_id_of_the_test(self, left, test, called):
        assert left(test) is called

    def test_one_of_several_tests_is_enough(self, left):
        assert not left("app/test_faq.py::FaqTests::test_gone", "app/test_faq.py::FaqTests::test_there")

    def test_so_it_is_where_it_was_imported(self, left):
        assert not left("vcr:cassette.yaml", "app/test_faq.py::FaqTests::test_there")

    @pytest.mark.parametrize("ran", ["app/test_faq.py::FaqTests::test_ran", "app.test_faq.FaqTests.test_ran"])
    def test_an_imported_one_that_nobody_replays_is_called_so_whichever_runner_it_was(self, left, ran):
        assert left("vcr:cassette.yaml", ran=(ran,))

    def test_a_recording_of_no_test_is_called_so(self, left):
        assert left()

    @pytest.mark.parametrize("used", [0, 1])
    def test_of_a_take_all_answers_are_called_so_or_none(self, tmp_path, used):
        store, log = FixtureStore(tmp_path / "fixtures"), UsageLog(tmp_path / "usage.jsonl")
        paths = [store.write(fixture(sequence=number, answers=2, tests=())) for number in range(2)]
        log.start(paths)
        log.used(*map(str, paths[:used]))
        log.finish(ran=["app/test_faq.py::test_ran"], root=str(tmp_path))

        assert unused.unused_fixtures(store, [log]) == ([] if used else sorted(paths))


class TestSettings:
    """Runs with other settings may ask something else: what one of them has used is of use."""

    @pytest.fixture
    def run(self, tmp_path):
        """Return what runs all tests with some settings, which use some of the fixtures; what is unused then."""
        store = FixtureStore(tmp_path / "fixtures")
        paths = [store.write(fixture(name=name)) for name in ("one", "other", "old")]
        logs = {}

        def run(settings, *used, full=True, ended=True):
            log = logs.setdefault(settings, UsageLog(tmp_path / f"usage-{settings}.jsonl"))
            if full:
                log.start(store.paths())
            log.used(*[paths[number] for number in used])
            if full and ended:
                log.finish()
            found = unused.unused_fixtures(store, [*logs.values()])
            return [paths.index(path) for path in found]

        return run

    def test_what_only_the_others_use_is_not_called_unused(self, run):
        run("one", 0)

        assert run("other", 1) == [2]

    def test_nor_what_some_of_their_tests_use_since(self, run):
        run("one", 0)

        assert run("other", 1, full=False) == [2]

    def test_nothing_is_while_it_is_not_known_what_they_would_have_used(self, run):
        run("one", 0)
        with pytest.raises(UsageUnknown):
            run("other", 1, ended=False)

        with pytest.raises(UsageUnknown):
            run("one", 0)

    def test_what_an_earlier_full_run_of_theirs_used_is_forgotten_with_their_next(self, run):
        run("one", 0, 2)
        run("other", 1)

        assert run("one", 0) == [2]


def test_each_settings_module_has_a_log_and_all_are_found(monkeypatch):
    monkeypatch.setattr(conf, "project", lambda: ("", "proj.settings"))
    one = usage_log()
    one.start()
    monkeypatch.setattr(conf, "project", lambda: ("", "proj.settings_b"))
    try:
        other, found = usage_log(), usage_logs()
    finally:
        one.path.unlink()

    assert found[0] is other
    assert one in found


def test_a_run_is_the_same_whichever_other_folders_its_tests_use():
    log = usage_log()
    for number in range(40):
        with override_llmcache(TEST_CACHE={"DIR": f"fixtures-{number}"}):
            usage_log()

    assert usage_log() is log
