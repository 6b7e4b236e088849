"""Settings that a test or its class changes, under both runners: who is a provider then is asked in no replay."""

from __future__ import annotations

import pytest

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
    runner = "django_llmcache.testing.LLMCacheDiscoverRunner"

    done = project.manage("test", "--testrunner", runner, "--llmcache-mode", "replay")

    assert "calls: 3 missed" in done.text, done
    assert provider.calls == 0
