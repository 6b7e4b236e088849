"""What is shown of a live_api test that fails: what a runner shows of any other, and of a miss where it was asked."""

from __future__ import annotations

import re

import pytest

from .conftest import ON

FAILING = """
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api


    class Failing(SimpleTestCase):
        @live_api
        def test_it(self):
            self.assertEqual("Lyon", "Paris")  # the line


    @live_api
    class Marked(SimpleTestCase):
        def test_it(self):
            self.assertEqual("Lyon", "Paris")  # the other line
"""
SUB_TESTS = """
    from django.test import SimpleTestCase
    from django_llmcache.testing import live_api


    class WithSubTests(SimpleTestCase):
        @live_api
        def test_it(self):
            with self.subTest(1):
                self.assertEqual(1, 2)


    class Other(SimpleTestCase):
        def test_it(self):
            pass
"""
SAMPLES = """
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    class OnSamples(SimpleTestCase):
        runs = []

        @live_api(samples=3)
        def test_it(self):
            self.runs.append(chat("openai", [{"role": "user", "content": "Hi"}]))
            self.assertLess(len(self.runs), 2)
"""


def test_the_tests_own_line_is_shown(project):
    project.write("test_failing.py", FAILING)

    done = project.manage("test", "test_failing", **ON)

    assert "# the line" in done.text, done
    assert "# the other line" in done.text, done


@pytest.mark.parametrize("workers", [(), ("--parallel", "2")], ids=["one", "two"])
def test_a_sub_test_that_fails_is_one_failure(project, workers):
    project.write("test_sub.py", SUB_TESTS)

    done = project.manage("test", "test_sub", *workers, **ON)

    assert "FAILED (failures=1)" in done.text, done


def test_the_sample_that_failed_is_named(project):
    project.write("test_samples.py", SAMPLES)

    done = project.manage("test", "test_samples", **ON)

    assert "On sample 1 of 3" in done.text, done


MISSING = """
    import pytest
    import requests
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask():
        return chat("openai", [{"role": "user", "content": "Hi"}])  # asks


    @live_api(mode="replay")
    def test_function():
        ask()  # leads there


    class Tests(SimpleTestCase):
        @live_api(mode="replay")
        def test_method(self):
            ask()


    def test_block():
        with live_api(mode="replay"):
            ask()
"""


def test_of_a_miss_pytest_shows_what_asked_and_then_the_message(project):
    project.write("test_missing.py", MISSING)

    done = project.pytest(**ON)

    assert "3 failed" in done.text, done
    assert "# leads there" in done.text
    assert len(re.findall(r"# asks\n( +\^+\n)?E  ", done.text)) == 3, done
    assert "session.py" not in done.text
    assert "session.py" in project.pytest("--full-trace", **ON).text


SHARED = """
    from django.test import TestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    @live_api
    class Tests(TestCase):
        @classmethod
        def setUpTestData(cls):
            chat("openai", [{"role": "user", "content": "Hi"}])  # asks

        def test_one(self):
            pass
"""


def test_of_a_miss_in_what_tests_share_it_shows_no_more(project):
    project.write("test_missing.py", SHARED)

    done = project.pytest("--llmcache-mode=replay", **ON)

    assert "1 error" in done.text, done
    assert "# asks" in done.text
    assert "Nothing is recorded for this request" in done.text
    assert "session.py" not in done.text
    assert "session.py" in project.pytest("--llmcache-mode=replay", "--full-trace", **ON).text


def test_of_any_other_error_it_shows_all(project):
    project.write("test_missing.py", MISSING.replace('"openai"', '"nobody"'))

    done = project.pytest("-k", "test_function", **ON)

    assert "No provider is named 'nobody'" in done.text, done
    assert "client.py" in done.text


APP = """
    import asyncio
    import os
    import urllib.request

    from django.http import HttpResponse

    PROVIDER = os.environ["STANDIN_URL"]


    def ask():
        urllib.request.urlopen(PROVIDER + "/v1/models").close()


    async def connect():
        _, writer = await asyncio.open_connection(*PROVIDER.rpartition("/")[2].split(":"))
        writer.close()


    def view(request):
        ask()
        return HttpResponse()
"""
ASKING_PAST_THE_RECORDER = """
    from unittest import IsolatedAsyncioTestCase

    import app
    from django.test import TestCase, override_settings
    from django.urls import path
    from django_llmcache.testing import live_api

    urlpatterns = [path("", app.view)]


    @live_api
    @override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
    class Asking(TestCase):
        @classmethod
        def setUpTestData(cls):
            app.ask()

        def test_a_view(self):
            self.client.get("/")


    @live_api
    class OnALoop(IsolatedAsyncioTestCase):
        async def test_connects(self):
            await app.connect()
"""


@pytest.mark.parametrize("runner", ["pytest", "manage"])
def test_a_client_that_the_recorder_does_not_know_is_named_without_the_runner(project, runner):
    project.write("app/__init__.py", APP)
    project.write("test_faq.py", ASKING_PAST_THE_RECORDER)
    line = () if runner == "pytest" else ("test", "--testrunner", "django_llmcache.testing.LLMCacheDiscoverRunner")

    done = getattr(project, runner)(*line, **ON)

    told = set(re.findall("recorder: (.*) connected to ", done.text))
    assert told == {
        "urllib.request, called by app, called by test_faq",
        "urllib.request, called by app",  # behind Django, which handles the request
        "asyncio, called by app, called by test_faq",
    }, done
