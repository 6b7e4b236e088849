"""What ``with live_api()`` blocks have recorded stays where their test passes, and only there."""

from __future__ import annotations

import re

import pytest

from django_llmcache.contrib.demo.standin import Reply

from .conftest import ON

TWICE = """
    import os
    from unittest import expectedFailure

    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask():
        return chat("openai", [{"role": "user", "content": "Hi"}]).text


    class Tests(SimpleTestCase):
        def test_answers(self):
            with live_api():
                first = ask()
            with live_api():
                second = ask()
            self.assertEqual(first, second)
            END
"""


PUTS_BACK = """
    import os
    from unittest import mock

    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api


    class Tests(SimpleTestCase):
        def test_first(self):
            with live_api(mode="replay"):
                changed = mock.patch.dict(os.environ, SWITCH="on")
                changed.start()
            self.addCleanup(changed.stop)

        def test_next(self):
            self.assertNotIn("llmcache-has-no-key", os.environ.values())
"""


@pytest.fixture(params=["pytest", "manage"])
def run(request, project):
    """Return what runs the project's tests, by either runner."""
    if request.param == "pytest":
        return project.pytest
    return lambda **variables: project.manage("test", "--testrunner", RUNNER, **variables)


RUNNER = "django_llmcache.testing.LLMCacheDiscoverRunner"


def test_the_next_block_has_what_the_one_before_recorded(project, provider, run):
    project.write("test_faq.py", TWICE.replace("END", ""))

    done = run(**ON)

    assert done.code == 0, done
    assert provider.calls == len(project.fixtures) == 1


def test_no_made_up_key_is_left_for_the_next_test_where_one_puts_back_what_it_found_inside(project, run):
    project.write("test_faq.py", PUTS_BACK)

    done = run(**ON)

    assert done.code == 0, done


@pytest.mark.parametrize("end", ["self.fail()", "1 / 0", "self.skipTest('half way')"])
def test_nothing_stays_of_a_test_that_does_not_pass(project, run, end):
    project.write("test_faq.py", TWICE.replace("END", end))

    done = run(**ON)

    assert project.fixtures == []
    assert "1 live" in done.text, done
    assert "recorded" not in done.text


def test_what_one_has_recorded_stays_that_fails_as_expected(project, provider, run):
    failing = TWICE.replace("def test", "@expectedFailure\n        def test").replace("END", "self.fail()")
    project.write("test_faq.py", failing)

    assert [run(**ON).code, run(**ON).code] == [0, 0]
    assert provider.calls == len(project.fixtures) == 1


def test_nothing_stays_where_the_tear_down_fails(project, run):
    project.write("test_faq.py", TWICE.replace("END", "\n\n        def tearDown(self):\n            self.fail()"))

    assert run(**ON).code == 1
    assert project.fixtures == []


LEFT_BY_A_FAULT = """
    import asyncio
    import os
    from unittest import IsolatedAsyncioTestCase

    from django.test import SimpleTestCase
    from django_llmcache import achat, chat
    from django_llmcache.exceptions import LLMCacheError
    from django_llmcache.testing import live_api

    HI = [{"role": "user", "content": "Hi"}]


    @live_api(fault="garble@1")
    def faulty():
        chat("openai", HI)


    KIND
        METHOD
            if os.environ.get("FAILING"):
                self.fail("at its end")
"""
LEAVING = {
    "fault in a block": """def test_it(self):
            with self.assertRaises(LLMCacheError), live_api(fault="garble@1"):
                chat("openai", HI)""",
    "fault in a function": """def test_it(self):
            with self.assertRaises(LLMCacheError):
                faulty()""",
    "fault in an async block": """async def test_it(self):
            with self.assertRaises(LLMCacheError):
                async with live_api(fault="garble@1"):
                    await achat("openai", HI)""",
    "fault in what is called off": """async def test_it(self):
            with self.assertRaises(asyncio.CancelledError):
                async with live_api(fault="garble@1"):
                    with self.assertRaises(LLMCacheError):
                        await achat("openai", HI)
                    raise asyncio.CancelledError""",
}


@pytest.fixture(params=LEAVING)
def left(request, project):
    """Return a project with a test that expects what leaves a block, and fails where it is told to."""
    kind = "IsolatedAsyncioTestCase" if "async def" in LEAVING[request.param] else "SimpleTestCase"
    code = LEFT_BY_A_FAULT.replace("KIND", f"class Tests({kind}):").replace("METHOD", LEAVING[request.param])
    project.write("test_faq.py", code)
    return project


def test_what_one_has_recorded_stays_that_is_left_by_a_fault_which_its_test_expects(left, provider, run):
    recorded, replayed = run(**ON), run(**ON, LLMCACHE_TEST_CACHE_MODE="replay")

    assert (recorded.code, replayed.code) == (0, 0), (recorded, replayed)
    assert provider.calls == len(left.fixtures) == 1
    assert "1 recorded" in recorded.text, recorded


def test_nothing_stays_of_it_where_the_test_fails(left, provider, run):
    done = run(**ON, FAILING="yes")

    assert "at its end" in done.text, done
    assert provider.calls == 1
    assert left.fixtures == []


AFTER_A_MISS = """
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.exceptions import LLMCacheError
    from django_llmcache.recorder.misses import FixtureMiss
    from django_llmcache.testing import live_api

    STANDS_IN = "llmcache-has-no-key"  # and so it can't be recorded


    class Tests(SimpleTestCase):
        def test_it(self):
            with self.assertRaises(FixtureMiss), live_api(fault="garble@1"):
                try:
                    chat("openai", [{"role": "user", "content": "Hi"}])
                except LLMCacheError:
                    chat("anthropic", [{"role": "user", "content": "Hi"}], model="claude", api_key=STANDS_IN)
"""


def test_nothing_stays_of_one_that_is_left_by_a_miss(project, provider, run):
    project.write("test_faq.py", AFTER_A_MISS)

    done = run(**ON)

    assert done.code == 0, done
    assert provider.calls == 1
    assert project.fixtures == []


RERUN = """
    import pytest
    from _pytest.runner import runtestprotocol


    def pytest_runtest_protocol(item, nextitem):  # as pytest-rerunfailures does
        if not any(report.failed for report in runtestprotocol(item, nextitem=nextitem, log=False)):
            return True
        item._initrequest()
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            item.ihook.pytest_runtest_logreport(report=report)
        return True
"""
FLAKY = """
    from pathlib import Path

    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask():
        with live_api():
            return chat("openai", [{"role": "user", "content": "Hi"}]).text


    def test_flaky():
        texts = [ask(), ask()]
        log = Path("texts.log")
        tries = log.read_text().splitlines() if log.exists() else []
        log.write_text("\\n".join([*tries, str(texts)]))
        assert tries
"""


def test_one_that_is_run_again_is_replayed_from_what_its_last_try_recorded(project, provider):
    project.write("conftest.py", RERUN)
    project.write("test_flaky.py", FLAKY)

    provider.script(*(Reply(body=answer(number)) for number in range(4)))

    recorded = project.pytest(**ON, LLMCACHE_TEST_CACHE_MODE="refresh")
    replayed = project.pytest(**ON, LLMCACHE_TEST_CACHE_MODE="replay")

    assert (recorded.code, replayed.code) == (0, 0), (recorded, replayed)
    tries = (project.folder / "texts.log").read_text().splitlines()
    assert tries == ["['0', '1']", "['2', '3']", "['2', '3']"]


def test_one_that_is_run_again_is_counted_once_by_its_last_try(project):
    project.write("conftest.py", RERUN)
    project.write(
        "test_flaky.py",
        """
        from pathlib import Path

        from django_llmcache import chat
        from django_llmcache.testing import live_api


        @live_api
        def test_flaky():
            first = Path("tried").exists()
            Path("tried").touch()
            chat("openai", [{"role": "user", "content": "Hi"}])
            assert first
    """,
    )

    done = project.pytest(**ON)

    assert "live_api: 1 tests: 1 recorded\n" in done.text, done


def answer(number):
    return b'{"choices":[{"message":{"role":"assistant","content":"%d"},"finish_reason":"stop"}]}' % number


SHARED = """
    import os

    import pytest
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    @pytest.fixture(scope="module")
    def answer():
        with live_api():
            yield chat("openai", [{"role": "user", "content": "Hi"}]).text


    def test_first(answer):
        assert not os.environ.get("FAILING")


    def test_last(answer):
        pytest.skip("at the end")
"""


@pytest.mark.parametrize("failing", ["", "first"])
def test_what_several_tests_share_stays_whatever_becomes_of_one(project, provider, failing):
    project.write("test_shared.py", SHARED)

    for _ in range(2):
        project.pytest(**ON, FAILING=failing)

    assert provider.calls == len(project.fixtures) == 1


SUB_TESTS = """
    from unittest import TestCase


    class Tests(TestCase):
        def test_subs(self):
            with self.subTest(number=1):
                self.fail("in a sub-test")

        def test_another(self):
            pass


    class Others(TestCase):
        def test_nothing(self):
            pass
"""


def test_a_failing_sub_test_is_told_from_a_process_of_its_own(project):
    project.write("test_subs.py", SUB_TESTS)

    done = project.manage("test", "--parallel", "2")

    assert "in a sub-test" in done.text, done
    assert "Pickl" not in done.text


GIVING_UP = """
    from unittest import expectedFailure

    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask(question):
        chat("openai", [{"role": "user", "content": question}])


    class InBlocks(SimpleTestCase):
        @expectedFailure
        def test_fails_after_a_block(self):
            with live_api():
                ask("1")
            self.fail()


    @live_api
    class Tests(SimpleTestCase):
        def test_skips(self):
            ask("2")
            self.skipTest("half way")

        @expectedFailure
        def test_fails(self):
            ask("3")
            self.fail()

        def test_skips_before(self):
            self.skipTest("at once")
"""


def test_one_that_skips_half_way_is_told_that_it_asks_in_every_run(project, run):
    project.write("test_faq.py", GIVING_UP)

    done = run(**ON, PYTHONWARNINGS="always")

    assert done.code == 0, done
    assert {name: f"{name} asks a provider anew in every run" in done.text for name in NAMES} == NAMES


NAMES = {"test_skips": True, "test_fails": False, "test_fails_after_a_block": False, "test_skips_before": False}


UNHEARD = """
    import asyncio
    import threading
    from concurrent.futures import ThreadPoolExecutor, wait
    from unittest import IsolatedAsyncioTestCase, expectedFailure

    from asgiref.sync import async_to_sync
    from django.test import SimpleTestCase
    from django_llmcache import achat, chat
    from django_llmcache.recorder.misses import FixtureMiss
    from django_llmcache.testing import live_api

    HI = [{"role": "user", "content": "Hi"}]


    def block():
        with live_api(mode="replay"):
            chat("openai", HI)


    @live_api(mode="replay")
    def function():
        chat("openai", HI)


    def missing():
        try:
            block()
        except FixtureMiss:
            pass


    def in_a_thread(act):
        thread = threading.Thread(target=act)
        thread.start()
        thread.join()


    async def task():
        async with live_api(mode="replay"):
            await achat("openai", HI)


    KIND
        METHOD
"""


def unheard(method: str, kind: str = "class Tests(SimpleTestCase):") -> str:
    """Return the code of a test."""
    lines = method.splitlines()
    return UNHEARD.replace("KIND", kind).replace("METHOD", "\n        ".join(lines))


LEFT = """async def test_it(self):
    left = asyncio.create_task(task())
    await asyncio.wait([left])
"""
RETRIEVED = LEFT.replace("await asyncio.wait([left])", "await asyncio.gather(left, return_exceptions=True)")
HANDED_ON = """def test_it(self):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asked = asyncio.run_coroutine_threadsafe(task(), loop)
    wait([asked])
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
"""
CALLED_BACK = """def test_it(self):
    async def main():
        loop = asyncio.get_running_loop()
        called = loop.create_future()
        loop.call_soon(block)
        loop.call_soon(called.set_result, None)
        await called
    asyncio.run(main())
"""
WHEN_DONE = """async def test_it(self):
    loop = asyncio.get_running_loop()
    done, called = loop.create_future(), loop.create_future()
    done.add_done_callback(lambda _: block())
    done.add_done_callback(called.set_result)
    done.set_result(None)
    await called
"""
EXPECTED_IN_A_CALLBACK = CALLED_BACK.replace("call_soon(block)", "call_soon(missing)")


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        pytest.param("def test_it(self):\n    in_a_thread(block)", "class Tests(SimpleTestCase):", id="block"),
        pytest.param("def test_it(self):\n    in_a_thread(function)", "class Tests(SimpleTestCase):", id="function"),
        pytest.param("def test_it(self):\n    in_a_thread(missing)", "class Tests(SimpleTestCase):", id="swallowed"),
        pytest.param(
            "@live_api(mode='replay')\ndef test_it(self):\n    in_a_thread(block)", "class Tests(SimpleTestCase):",
            id="marked",
        ),
        pytest.param(
            "@expectedFailure\ndef test_it(self):\n    in_a_thread(block)\n    self.fail()",
            "class Tests(SimpleTestCase):",
            id="expected",
        ),
        pytest.param(
            "def test_it(self):\n    self.addCleanup(in_a_thread, block)", "class Tests(SimpleTestCase):", id="clean-up"
        ),
        pytest.param(
            "def test_it(self):\n    with ThreadPoolExecutor() as pool:\n        pool.submit(block)",
            "class Tests(SimpleTestCase):",
            id="pool",
        ),
        pytest.param(LEFT, "class Tests(IsolatedAsyncioTestCase):", id="task"),
        pytest.param(LEFT, "class Tests(SimpleTestCase):", id="task of Django's"),
        pytest.param(
            "def test_it(self):\n    in_a_thread(lambda: asyncio.run(task()))", "class Tests(SimpleTestCase):",
            id="loop in a thread",
        ),
        pytest.param(
            "def test_it(self):\n    in_a_thread(async_to_sync(task))", "class Tests(SimpleTestCase):",
            id="async_to_sync in a thread",
        ),
        pytest.param(HANDED_ON, "class Tests(SimpleTestCase):", id="handed on to a thread's loop"),
        pytest.param(CALLED_BACK, "class Tests(SimpleTestCase):", id="callback"),
        pytest.param(WHEN_DONE, "class Tests(IsolatedAsyncioTestCase):", id="done callback"),
        pytest.param(WHEN_DONE, "class Tests(SimpleTestCase):", id="done callback of Django's"),
    ],
)  # fmt: skip
def test_a_miss_out_of_its_hearing_fails_a_test(project, run, method, kind):
    project.write("test_faq.py", unheard(method, kind))

    done = run(**ON)

    assert done.code == 1, done
    assert "Nothing is recorded for this request" in done.text, done


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        pytest.param(
            "def test_it(self):\n    with self.assertRaises(FixtureMiss):\n        block()",
            "class Tests(SimpleTestCase):",
            id="block",
        ),
        pytest.param(
            "def test_it(self):\n    with self.assertRaises(FixtureMiss), ThreadPoolExecutor() as pool:\n"
            "        pool.submit(block).result()",
            "class Tests(SimpleTestCase):",
            id="pool",
        ),
        pytest.param(
            "def test_it(self):\n    with ThreadPoolExecutor() as pool:\n        asked = pool.submit(block)\n"
            "    try:\n        asked.result()\n    except FixtureMiss:\n        pass",
            "class Tests(SimpleTestCase):",
            id="pool, caught",
        ),
        pytest.param(
            "async def test_it(self):\n    with self.assertRaises(FixtureMiss):\n"
            "        await asyncio.get_running_loop().run_in_executor(None, block)",
            "class Tests(IsolatedAsyncioTestCase):",
            id="executor",
        ),
        pytest.param(RETRIEVED, "class Tests(IsolatedAsyncioTestCase):", id="task"),
        pytest.param(RETRIEVED, "class Tests(SimpleTestCase):", id="task of Django's"),
        pytest.param(
            "async def test_it(self):\n    with self.assertRaises(FixtureMiss):\n"
            "        await asyncio.to_thread(block)",
            "class Tests(IsolatedAsyncioTestCase):",
            id="to_thread",
        ),
        pytest.param(
            "async def test_it(self):\n    with self.assertRaises(FixtureMiss):\n"
            "        await asyncio.get_running_loop().run_in_executor(None, lambda: asyncio.run(task()))",
            "class Tests(SimpleTestCase):",
            id="loop in an executor",
        ),
        pytest.param(
            "def test_it(self):\n    with ThreadPoolExecutor() as pool:\n"
            "        asked = pool.submit(asyncio.run, task())\n    try:\n        asked.result()\n"
            "    except FixtureMiss:\n        pass",
            "class Tests(SimpleTestCase):",
            id="loop in a pool",
        ),
        pytest.param(
            HANDED_ON.replace("wait([asked])", "try:\n        asked.result()\n    except FixtureMiss:\n        pass"),
            "class Tests(SimpleTestCase):",
            id="handed on to a thread's loop",
        ),
        pytest.param(EXPECTED_IN_A_CALLBACK, "class Tests(SimpleTestCase):", id="callback"),
    ],
)
def test_one_that_the_test_itself_expects_does_not(project, run, method, kind):
    project.write("test_faq.py", unheard(method, kind))

    done = run(**ON)

    assert done.code == 0, done


def test_it_is_told_too_where_the_test_goes_on_to_fail(project, run):
    project.write("test_faq.py", unheard("def test_it(self):\n    in_a_thread(block)\n    self.fail('else')"))

    done = run(**ON)

    assert "Nothing is recorded for this request" in done.text, done
    assert "else" in done.text


def test_one_that_comes_to_the_test_as_well_is_told_once(project, run):
    method = "def test_it(self):\n    with ThreadPoolExecutor() as pool:\n        pool.submit(block).result()"
    project.write("test_faq.py", unheard(method))

    done = run(**ON)

    assert "1 failed in" in done.text or "FAILED (errors=1)" in done.text, done


def test_it_fails_no_other_test(project, run):
    method = "def test_it(self):\n    in_a_thread(block)\n\ndef test_later(self):\n    pass"
    project.write("test_faq.py", unheard(method))

    done = run(**ON)

    assert "test_it" in done.text
    assert "1 failed, 1 passed" in done.text or "FAILED (failures=1)" in done.text, done


SHARED_ACTS = """
    import threading

    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def block():
        with live_api(mode="replay"):
            chat("openai", [{"role": "user", "content": "Hi"}])


    def in_a_thread():
        thread = threading.Thread(target=block)
        thread.start()
        thread.join()


    MODULE


    class Tests(SimpleTestCase):
        CLASS

        def test_it(self):
            pass
"""
OF_A_CLASS = """@classmethod
        def {0}(cls):
            in_a_thread()
            super().{0}()"""


@pytest.mark.parametrize(
    ("module", "of_a_class"),
    [
        pytest.param("", OF_A_CLASS.format("setUpClass"), id="setUpClass"),
        pytest.param("", OF_A_CLASS.format("tearDownClass"), id="tearDownClass"),
        pytest.param("setUpModule = in_a_thread", "", id="setUpModule"),
        pytest.param("tearDownModule = in_a_thread", "", id="tearDownModule"),
    ],
)
def test_one_out_of_the_hearing_of_what_tests_share_fails_the_run_once(project, run, module, of_a_class):
    project.write("test_faq.py", SHARED_ACTS.replace("MODULE", module).replace("CLASS", of_a_class))

    done = run(**ON)

    assert done.code == 1, done
    assert "1 error in" in done.text or "1 failed" in done.text or "FAILED (errors=1)" in done.text, done
    assert "Nothing is recorded for this request" in done.text


OTHERS = """
    from django.test import SimpleTestCase


    class Others(SimpleTestCase):
        def test_other(self):
            pass
"""


@pytest.mark.parametrize(
    ("module", "of_a_class"),
    [
        pytest.param("", OF_A_CLASS.format("setUpClass"), id="setUpClass"),
        pytest.param("", OF_A_CLASS.format("tearDownClass"), id="tearDownClass"),
        pytest.param(
            "", "setUpClass = classmethod(lambda cls: cls.addClassCleanup(in_a_thread))", id="clean-up of a class"
        ),
        pytest.param("tearDownModule = in_a_thread", "", id="tearDownModule"),
    ],
)
def test_a_miss_in_what_tests_share_is_the_error_of_that_and_the_others_run(project, module, of_a_class):
    acts = SHARED_ACTS.replace("MODULE", module).replace("CLASS", of_a_class)
    project.write("test_faq.py", re.sub("(?<!def )in_a_thread", "block", acts))
    project.write("test_others.py", OTHERS)

    done = project.manage("test", "-v", "2", **ON)

    assert "FAILED (errors=1)" in done.text, done
    assert "Nothing is recorded for this request" in done.text
    assert "test_other (test_others.Others.test_other) ... ok" in done.text
