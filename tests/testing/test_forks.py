"""Processes that a test forks replay what is recorded, and a miss there fails the test, under both runners."""

from __future__ import annotations

import os
import re

import pytest

from .conftest import ON

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")

TESTS = """
    import multiprocessing
    import os
    from concurrent.futures import ProcessPoolExecutor
    from contextlib import suppress

    import requests
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api

    forking = multiprocessing.get_context("fork")


    def ask(text):
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        return requests.post(os.environ["STANDIN_URL"] + "/v1/chat/completions", json=body, timeout=5).text


    def say(text):
        return chat("openai", [{"role": "user", "content": text}]).text


    def swallow(text):
        with suppress(Exception):
            ask(text)


    @live_api
    class Tests(SimpleTestCase):
        def test_in_a_process(self):
            if RECORDING:
                return ask("In a process")
            child = forking.Process(target=swallow, args=["In a process"])
            child.start()
            child.join()

        def test_in_a_pool(self):
            if RECORDING:
                return ask("In a pool")
            with forking.Pool(1) as pool:
                self.assertTrue(pool.apply_async(ask, ["In a pool"]).get(60))

        def test_in_a_pool_by_chat(self):
            if RECORDING:
                return say("By chat")
            with forking.Pool(1) as pool:
                self.assertTrue(pool.apply_async(say, ["By chat"]).get(60))

        def test_in_an_executor(self):
            if RECORDING:
                return ask("In an executor")
            with ProcessPoolExecutor(1, mp_context=forking) as pool:
                self.assertTrue(pool.submit(ask, "In an executor").result(60))

        def test_in_a_block(self):
            with live_api(ttl=60):
                if RECORDING:
                    return ask("In a block")
                with forking.Pool(1) as pool:
                    pool.map(swallow, ["In a block"])
"""


@pytest.fixture(params=["pytest", "manage"])
def run(request, project):
    """Return what runs the project's tests, by either runner."""
    if request.param == "pytest":
        return project.pytest
    runner = "django_llmcache.testing.LLMCacheDiscoverRunner"
    return lambda *args, **variables: project.manage("test", "--testrunner", runner, *args, **variables)


def test_what_only_they_replay_is_not_called_unused(project, run):
    project.write("test_faq.py", TESTS.replace("RECORDING", "True"))
    recorded = run(**ON)
    project.write("test_faq.py", TESTS.replace("RECORDING", "False"))

    replayed = run("--llmcache-mode", "replay", **ON)

    assert (recorded.code, replayed.code) == (0, 0), replayed
    assert "fixtures that no test used" not in replayed.text


def test_what_is_recorded_is_replayed_there(project, provider, run):
    project.write("test_faq.py", TESTS.replace("RECORDING", "True"))
    recorded = run(**ON)
    provider.stop()
    project.write("test_faq.py", TESTS.replace("RECORDING", "False"))
    replayed = run("--llmcache-mode", "replay", **ON)

    assert (recorded.code, replayed.code) == (0, 0), (recorded, replayed)
    assert len(project.fixtures) == 5


@pytest.mark.parametrize("mode", ["replay", "once"])
def test_what_is_not_fails_each_test_though_somebody_swallows_the_error(project, provider, run, mode):
    project.write("test_faq.py", TESTS.replace("RECORDING", "False"))

    done = run("--llmcache-mode", mode, **ON)

    assert "5 tests: 5 failed on a miss\ncalls: 5 missed\n" in done.text, done
    assert re.search(r"test +\S+test_in_a_process\n", done.text)
    assert "errors=5" in done.text or done.text.count("FAILED test_faq.py") == 5
    assert provider.calls == 0
    assert list(project.temporary.glob("llmcache-misses-*")) == []


@pytest.mark.parametrize("mode", ["replay", "once"])
def test_the_miss_names_no_line_that_records_there_what_cannot_be(project, run, mode):
    project.write("test_faq.py", TESTS.replace("RECORDING", "False"))

    done = run("--llmcache-mode", mode, **ON)

    assert "or in a `with live_api():` block before it starts" in done.text, done
    assert "Record it" not in done.text


BLOCK_BEFORE = """
    import multiprocessing
    import os

    import requests
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api


    def ask():
        requests.post(os.environ["STANDIN_URL"] + "/v1/chat/completions", json={"model": "m"}, timeout=5)


    class Tests(SimpleTestCase):
        @live_api
        def test_in_a_process(self):
            with live_api():
                ask()
            child = multiprocessing.get_context("fork").Process(target=ask)
            child.start()
            child.join()
            self.assertEqual(child.exitcode, 0)
"""


@pytest.mark.parametrize("mode", ["once", "refresh"])
def test_what_a_block_has_recorded_before_is_replayed_there_in_every_mode(project, provider, run, mode):
    project.write("test_faq.py", BLOCK_BEFORE)

    done = run("--llmcache-mode", mode, **ON)

    assert (done.code, provider.calls) == (0, 1), done


THREADS = """
    import os
    from multiprocessing.pool import ThreadPool

    import requests
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api


    def ask(text):
        body = {"model": "m", "messages": [{"role": "user", "content": text}]}
        return requests.post(os.environ["STANDIN_URL"] + "/v1/chat/completions", json=body, timeout=5).text


    @live_api
    class Tests(SimpleTestCase):
        def test_map(self):
            with ThreadPool(2) as pool:
                pool.map(ask, ["One", "Two"])

        def test_result(self):
            with ThreadPool(1) as pool:
                pool.apply_async(ask, ["Three"]).get(60)
"""


def test_a_pool_of_threads_of_multiprocessing_hands_a_miss_on_and_waits_for_nobody(project, run):
    project.write("test_faq.py", THREADS)

    done = run("--llmcache-mode", "replay", **ON)

    assert "2 tests: 2 failed on a miss\n" in done.text, done


OWN_FOLDER = """
    import multiprocessing
    import os
    import tempfile
    from contextlib import suppress
    from unittest.mock import patch

    import requests
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api


    def swallow():
        with suppress(Exception):
            requests.post(os.environ["STANDIN_URL"] + "/v1/chat/completions", json={"model": "m"}, timeout=5)


    class Tests(SimpleTestCase):
        @live_api
        def test_in_a_process(self):
            with tempfile.TemporaryDirectory() as folder, patch.object(tempfile, "tempdir", folder):
                child = multiprocessing.get_context("fork").Process(target=swallow)
                child.start()
                child.join()
                self.assertEqual(os.listdir(folder), [])
"""


def test_a_miss_there_fails_a_test_that_has_a_temporary_folder_of_its_own(project, run):
    project.write("test_faq.py", OWN_FOLDER)

    done = run("--llmcache-mode", "replay", **ON)

    assert "1 tests: 1 failed on a miss\ncalls: 1 missed\n" in done.text, done
