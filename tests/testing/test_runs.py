"""Whole runs of both test runners: record once, replay offline, skip when nobody says anything."""

from __future__ import annotations

import pytest

from .conftest import ON

FAQ = """
    import threading

    from django.test import TestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api

    HI = [{"role": "user", "content": "Hi"}]


    class FaqTests(TestCase):
        @live_api
        def test_answers(self):
            answer = chat("openai", HI)
            self.assertTrue(answer.text)
            self.assertEqual(answer.cache.status == "replay", answer.from_cache)

        @live_api(ttl=60)
        async def test_answers_on_the_loop(self):
            from django_llmcache import achat

            self.assertTrue((await achat("openai", HI)).text)

        @live_api
        def test_answers_in_a_thread(self):
            texts = []
            thread = threading.Thread(target=lambda: texts.append(chat("openai", HI).text))
            thread.start()
            thread.join()
            self.assertTrue(texts)

        def test_without_a_provider(self):
            self.assertEqual(1, 1)
"""


@pytest.fixture(params=["pytest", "manage"])
def run(request, project):
    """Return what runs the project's tests, by either runner."""
    if request.param == "pytest":
        return project.pytest
    return lambda **variables: project.manage("test", **variables)


def test_nothing_said_skips_and_asks_nobody(project, provider, run):
    project.write("test_faq.py", FAQ)

    done = run()

    assert done.code == 0, done
    assert "skipped=3" in done.text or "3 skipped" in done.text
    assert provider.calls == 0
    assert project.fixtures == []


def test_the_first_run_records_and_the_second_replays_offline_without_a_key(project, provider, run):
    project.write("test_faq.py", FAQ)
    first = run(**ON)
    asked = provider.calls
    provider.stop()

    second = run(LLMCACHE_TEST_CACHE_ENABLED="true")

    assert first.code == 0, first
    assert asked == 1
    assert project.fixtures
    assert second.code == 0, second


def test_what_one_runner_recorded_the_other_replays(project, provider):
    project.write("test_faq.py", FAQ)
    assert project.pytest(**ON).code == 0
    provider.stop()

    done = project.manage("test", LLMCACHE_TEST_CACHE_ENABLED="true")

    assert done.code == 0, done


def test_a_changed_prompt_fails_in_replay_and_says_what_changed(project, run):
    project.write("test_faq.py", FAQ)
    assert run(**ON).code == 0
    project.write("test_faq.py", FAQ.replace('"content": "Hi"', '"content": "Hi there"'))

    done = run(**ON, LLMCACHE_TEST_CACHE_MODE="replay")

    assert done.code != 0
    assert "messages[0].content" in done.text
    assert "{+there+}" in done.text


MIXED = """
    import pytest
    from django_llmcache.testing import live_api


    @pytest.fixture(scope="session")
    def shared():
        return 1


    @pytest.fixture(scope="module")
    def of_the_module():
        return 1


    def test_plain(shared, of_the_module):
        assert shared == of_the_module


    @live_api
    def test_live():
        pass
"""


@pytest.mark.parametrize("module", ["", "missing.settings"], ids=["none", "missing"])
def test_without_settings_plain_tests_run_and_a_live_one_says_what_to_set(project, module):
    project.write("pytest.ini", "[pytest]\n")
    project.write("test_mixed.py", MIXED)

    done = project.pytest("-p", "no:django", **ON, **({"DJANGO_SETTINGS_MODULE": module} if module else {}))

    assert "1 passed, 1 error" in done.text, done
    assert ("No module named 'missing'" if module else "define the environment variable DJANGO_SETTINGS") in done.text


def test_settings_that_can_not_work_are_the_error_of_a_live_test(project):
    project.write("mistaken.py", "from project_settings import *\n\nLLMCACHE = {'DEFAULT_TTL': 'long'}\n")
    project.write("test_mixed.py", MIXED.replace("shared, of_the_module", "shared").replace("== of_the_module", "== 1"))

    done = project.pytest("--ds=mistaken", "-p", "no:recording", **ON)

    assert "1 passed, 1 error" in done.text, done
    assert "settings.LLMCACHE['DEFAULT_TTL'] is 'long'" in done.text


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_pytest_says_why_they_were_skipped_and_where_they_are(project, words):
    project.write("test_faq.py", FAQ)

    done = project.pytest("-rs", *words)

    assert "live_api: 3 skipped. The test cache is off. Set LLMCACHE_TEST_CACHE_ENABLED=true" in done.text, done
    assert "SKIPPED [1] test_faq.py:" in done.text
    assert "pytest_items.py" not in done.text


def test_the_mode_of_one_run_does_not_hold_for_the_next_in_the_same_process(project, provider):
    project.write("test_faq.py", FAQ)
    project.write("twice.py", """
        import os, pytest

        first = pytest.main(["-q", "--llmcache-mode", "live"])
        assert first == 0, first
        assert not [name for name in os.environ if name.startswith("LLMCACHE_COMMAND")]
        print("THEN", end=" ")
        second = pytest.main(["-q"])
    """)  # fmt: skip

    done = project.run("twice.py", OPENAI_API_KEY="made-up")
    asked = provider.calls

    assert "3 skipped" in done.text.partition("THEN")[2], done
    assert asked == 3
