"""Every form that ``live_api`` has, under both runners: each test asks, and each is answered from a fixture."""

from __future__ import annotations

import django
import pytest

from .conftest import ON

STARTS = ["fork", "spawn", *(["forkserver"] if django.VERSION >= (6,) else [])]
"""How Django's runner may start its processes."""

UNITTEST = """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor
    from unittest import IsolatedAsyncioTestCase

    from django.test import LiveServerTestCase, SimpleTestCase, TestCase, tag
    from django_llmcache import achat, chat
    from django_llmcache.testing import live_api


    def ask(text="Hi"):
        return chat("openai", [{"role": "user", "content": text}])


    @live_api
    class OnAClass(SimpleTestCase):
        def test_answers(self):
            self.assertTrue(ask().text)


    class OfASubclass(OnAClass):
        def test_answers_too(self):
            self.assertTrue(ask("In a subclass").text)


    @live_api(ttl=60)
    class WithOptions(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.answer = ask("In the set-up of a class")

        def test_answers(self):
            self.assertTrue(self.answer.text)


    @tag("live_api")
    class ByTag(SimpleTestCase):
        def test_answers(self):
            self.assertTrue(ask("By tag").text)


    class InThreads(SimpleTestCase):
        @live_api
        def test_answers(self):
            with ThreadPoolExecutor(4) as pool:
                self.assertTrue(all(answer.text for answer in pool.map(ask, ["In threads"] * 4)))
"""
# Apart from the others: Django cannot send one of these to a process of --parallel.
ON_A_LOOP = """

    class OnALoop(IsolatedAsyncioTestCase):
        @live_api
        async def test_answers(self):
            self.assertTrue((await achat("openai", [{"role": "user", "content": "On a loop"}])).text)

        @live_api
        async def test_answers_in_an_executor(self):
            loop = asyncio.get_running_loop()
            self.assertTrue((await loop.run_in_executor(None, ask, "In an executor")).text)
"""
FUNCTIONS = """
    import pytest
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask(text="Hi"):
        return chat("openai", [{"role": "user", "content": text}])


    @live_api
    def test_a_function():
        assert ask().text


    @pytest.mark.live_api(ttl=60)
    def test_a_marked_function():
        assert ask("Marked").text


    @pytest.mark.parametrize("text", ["One", "Two"])
    @live_api
    def test_a_parametrised_function(text):
        assert ask(text).text


    def test_a_block():
        with live_api():
            assert ask("In a block").text


    def test_another():
        assert True
"""


def recorded_and_replayed(project, provider, runner):
    """Return what a runner's ``live_api`` tests end with where the provider is there, and then where it is not."""
    args = {"pytest": ("-m", "live_api"), "manage": ("test", "--tag", "live_api")}[runner]
    run = getattr(project, runner)
    first = run(*args, **ON)
    provider.stop()
    return first, run(*args, LLMCACHE_TEST_CACHE_ENABLED="true")


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_every_form_of_unittest_is_recorded_and_replayed(project, provider, runner):
    project.write("test_forms.py", UNITTEST + ON_A_LOOP)

    first, second = recorded_and_replayed(project, provider, runner)

    assert (first.code, second.code) == (0, 0), (first, second)
    assert "8 passed" in second.text or "Ran 8 tests" in second.text


def test_every_form_of_pytest_is_recorded_and_replayed(project, provider):
    project.write("test_forms.py", FUNCTIONS)

    first = project.pytest("-m", "live_api", **ON)
    asked = provider.calls
    provider.stop()
    second = project.pytest("-m", "live_api", LLMCACHE_TEST_CACHE_ENABLED="true")

    assert (first.code, second.code) == (0, 0), (first, second)
    assert asked == 4
    assert "4 passed" in second.text
    assert "2 deselected" in second.text


STATIC = """
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask(text):
        return chat("openai", [{"role": "user", "content": text}])


    class Plain:
        @live_api
        @staticmethod
        def test_bare():
            assert ask("Bare").text

        @live_api(ttl=60)
        @staticmethod
        def test_with_options():
            assert ask("With options").text

        @staticmethod
        @live_api
        def test_below():
            assert ask("Below").text


    class TestOfPytest(Plain):
        pass


    class OfUnittest(Plain, SimpleTestCase):
        pass


    @live_api(ttl=30)
    class OfALiveClass(SimpleTestCase):
        @live_api(samples=2)
        @staticmethod
        def test_sampled():
            assert ask("Of a class").text

        @staticmethod
        def test_unmarked():
            assert ask("Unmarked").text
"""


@pytest.mark.parametrize(("runner", "tests"), [("pytest", "8 passed"), ("manage", "Ran 5 tests")])
def test_static_methods_are_recorded_and_replayed_above_and_below_the_decorator(project, provider, runner, tests):
    project.write("test_static.py", STATIC)

    first, second = recorded_and_replayed(project, provider, runner)

    assert (first.code, second.code) == (0, 0), (first, second)
    assert tests in second.text, second


LOOPS = """
    import pytest
    import pytest_asyncio
    from django_llmcache import achat, astream
    from django_llmcache.testing import live_api


    async def ask(text):
        return await achat("openai", [{"role": "user", "content": text}])


    @pytest.fixture
    def anyio_backend():
        return "asyncio"


    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def shared():
        yield await ask("In an async fixture")
        await ask("At its end")


    def test_an_ordinary_one():
        pass


    @pytest.mark.asyncio(loop_scope="module")
    async def test_an_ordinary_one_that_needs_the_fixture(shared):
        assert shared.text


    @pytest.mark.asyncio
    @live_api
    async def test_of_pytest_asyncio():
        assert (await ask("Of pytest-asyncio")).text


    @pytest.mark.asyncio
    @pytest.mark.live_api(samples=2)
    async def test_a_sampled_one():
        assert (await ask("Sampled")).text


    @pytest.mark.asyncio(loop_scope="module")
    @live_api
    async def test_with_a_fixture(shared):
        assert shared.text


    @pytest.mark.anyio
    @live_api
    async def test_of_anyio():
        asked = [{"role": "user", "content": "Of anyio"}]
        assert "".join([event.text async for event in astream("openai", asked)])


    @live_api
    class TestMethods:
        @pytest.mark.anyio
        async def test_of_anyio(self):
            assert (await ask("A method")).text
"""


def test_every_form_of_async_test_is_recorded_and_replayed(project, provider):
    project.write("test_loops.py", LOOPS)

    skipped = project.pytest()
    first = project.pytest(**ON)
    asked = sorted(request["body"]["messages"][0]["content"] for request in provider.requests)
    provider.stop()
    second = project.pytest(LLMCACHE_TEST_CACHE_ENABLED="true", LLMCACHE_TEST_CACHE_MODE="replay")

    assert (skipped.code, first.code, second.code) == (0, 0, 0), (skipped, first, second)
    assert "1 passed, 7 skipped" in skipped.text
    assert "8 passed" in second.text
    assert asked == [
        "A method", "At its end", "In an async fixture", "Of anyio", "Of pytest-asyncio", "Sampled", "Sampled",
    ]  # fmt: skip


def test_workers_of_xdist_record_and_replay(project, provider):
    pytest.importorskip("xdist", reason="pytest-xdist is not installed: pip install pytest-xdist")
    project.write("test_forms.py", UNITTEST)

    first = project.pytest("-n", "4", **ON)
    provider.stop()
    second = project.pytest("-n", "4", LLMCACHE_TEST_CACHE_ENABLED="true")

    assert (first.code, second.code) == (0, 0), (first, second)
    assert "replayed" in second.text


@pytest.mark.parametrize("start", STARTS)
def test_parallel_processes_of_django_record_and_replay(project, provider, start):
    project.write("test_forms.py", UNITTEST)

    line = ("test", "--parallel", "2", "--testrunner", "django_llmcache.testing.LLMCacheDiscoverRunner")

    first = project.manage(*line, "--llmcache-mode", "once", START_METHOD=start, OPENAI_API_KEY="made-up")
    provider.stop()
    second = project.manage(*line, "--llmcache-mode", "replay", START_METHOD=start)

    assert (first.code, second.code) == (0, 0), (first, second)
    assert "Ran 6 tests" in second.text
    assert "replayed" in second.text


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_samples_run_the_test_once_on_each(project, provider, runner):
    project.write(
        "test_forms.py",
        """
        from pathlib import Path

        from django.test import SimpleTestCase
        from django_llmcache import chat
        from django_llmcache.testing import live_api


        class Sampled(SimpleTestCase):
            @live_api(samples=3)
            def test_answers(self):
                answer = chat("openai", [{"role": "user", "content": "Hi"}])
                with Path("runs").open("a") as runs:
                    runs.write(answer.text + "\\n")
        """,
    )
    run = getattr(project, runner)
    args = () if runner == "pytest" else ("test",)

    first = run(*args, **ON)
    asked = provider.calls
    provider.stop()
    second = run(*args, LLMCACHE_TEST_CACHE_ENABLED="true")

    assert (first.code, second.code) == (0, 0), (first, second)
    assert asked == len(project.fixtures) == 3
    assert len((project.folder / "runs").read_text().splitlines()) == 6


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_a_test_that_fails_writes_nothing(project, runner):
    project.write(
        "test_forms.py",
        """
        from django.test import SimpleTestCase
        from django_llmcache import chat
        from django_llmcache.testing import live_api


        class Failing(SimpleTestCase):
            @live_api
            def test_fails(self):
                chat("openai", [{"role": "user", "content": "Hi"}])
                self.fail("on purpose")
        """,
    )

    done = getattr(project, runner)(*(() if runner == "pytest" else ("test",)), **ON)

    assert "on purpose" in done.text
    assert project.fixtures == []


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_a_miss_that_somebody_swallowed_fails_the_test_all_the_same(project, runner):
    project.write(
        "test_forms.py",
        """
        import threading

        from django.test import SimpleTestCase
        from django_llmcache import chat
        from django_llmcache.testing import live_api


        def swallow():
            try:
                chat("openai", [{"role": "user", "content": "Never recorded"}])
            except BaseException:
                pass


        class Swallowing(SimpleTestCase):
            @live_api(mode="replay")
            def test_here(self):
                swallow()

            @live_api(mode="replay")
            def test_in_a_thread(self):
                thread = threading.Thread(target=swallow)
                thread.start()
                thread.join()
        """,
    )

    done = getattr(project, runner)(*(() if runner == "pytest" else ("test",)), **ON)

    assert done.code != 0
    assert "2 failed" in done.text or "failures=2" in done.text or "errors=2" in done.text
    assert "Nothing is recorded for this request" in done.text


FAILING_BEHIND_A_MISS = """
    from concurrent.futures import ThreadPoolExecutor

    import pytest
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def answers():
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(chat, "openai", [{"role": "user", "content": "Never recorded"}])
            return [] if asked.exception() else [asked.result()]


    class Failing(SimpleTestCase):
        @live_api(mode="replay")
        def test_answers(self):
            self.assertEqual(len(answers()), 1)


    @live_api(mode="replay")
    def test_answers():
        assert len(answers()) == 1


    @live_api(mode="replay")
    def test_words():
        answers() or pytest.fail("no answer")
"""


@pytest.mark.parametrize(("runner", "failing"), [("pytest", 3), ("manage", 1)])
def test_a_test_that_fails_by_something_else_tells_of_the_miss_behind_it(project, runner, failing):
    project.write("test_forms.py", FAILING_BEHIND_A_MISS)

    done = getattr(project, runner)(*(() if runner == "pytest" else ("test",)), **ON)

    assert done.text.count("Nothing is recorded for this request") >= failing, done
    assert "self.assertEqual(len(answers()), 1)" in done.text


def test_outside_a_test_run_nothing_is_armed_and_production_goes_on(project, provider):
    project.write("test_forms.py", FUNCTIONS)
    assert project.pytest("-k", "test_a_function", **ON).code == 0
    provider.reset()
    project.write(
        "arm.py",
        """
        import django

        django.setup()
        from django_llmcache import chat, conf
        from django_llmcache.testing import live_api

        with conf.forced(STRATEGY="django_llmcache.strategies.TestStrategy"):
            print("cached:", [chat("openai", [{"role": "user", "content": "Hi"}]).cache.status for _ in range(2)])
        with live_api():
            pass
        """,
    )

    armed = project.run("arm.py", **ON, DJANGO_SETTINGS_MODULE="project_settings")
    checked = project.manage("check", **ON)

    assert "cached: ['miss', 'hit']" in armed.text, armed
    assert provider.calls == 1
    assert "ImproperlyConfigured" in armed.text
    assert "outside a test run" in armed.text
    assert checked.code == 0, checked
    assert "llmcache.W004" in checked.text


def test_outside_a_test_run_a_class_is_refused(project, provider):
    project.write(
        "test_forms.py",
        """
        import django

        django.setup()
        import unittest
        from django_llmcache import chat
        from django_llmcache.testing import live_api


        @live_api
        class Tests(unittest.TestCase):
            def test_answers(self):
                chat("openai", [{"role": "user", "content": "Hi"}])
        """,
    )

    done = project.run("-m", "unittest", "test_forms", **ON, DJANGO_SETTINGS_MODULE="project_settings")

    assert "ImproperlyConfigured" in done.text, done
    assert "errors=1" in done.text
    assert provider.calls == 0


def test_a_class_is_answered_for_also_where_the_app_is_not_installed(project, provider):
    settings = (project.folder / "project_settings.py").read_text()
    project.write("project_settings.py", settings.replace('["django_llmcache"]', "[]"))
    project.write("test_forms.py", UNITTEST)

    off, recorded = project.manage("test"), project.manage("test", **ON)
    asked = provider.calls
    replayed = project.manage("test", **ON, LLMCACHE_TEST_CACHE_MODE="replay")

    assert "skipped=" in off.text, off
    assert recorded.code == 0, recorded
    assert asked == len(project.fixtures) > 0
    assert replayed.code == 0, replayed
    assert provider.calls == asked
