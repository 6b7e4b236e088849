"""Other ways to a test runner than ``manage.py test`` and pytest with our plugin: live_api tests are seen there too."""

from __future__ import annotations

import pytest

from .conftest import ON

TESTS = """
    from django.test import SimpleTestCase, tag
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    def ask(text):
        return chat("openai", [{"role": "user", "content": text}])


    @live_api
    class Decorated(SimpleTestCase):
        def test_live(self):
            self.assertTrue(ask("Decorated").text)


    @tag("live_api")
    class Tagged(SimpleTestCase):
        def test_live(self):
            self.assertTrue(ask("Tagged").text)


    class Method(SimpleTestCase):
        @live_api
        def test_live(self):
            self.assertTrue(ask("Method").text)
"""
SCRIPT = """
    import os
    import sys

    import django
    from django.conf import settings

    os.environ["DJANGO_SETTINGS_MODULE"] = "project_settings"
    django.setup()

    from django.test.utils import get_runner

    sys.exit(bool(get_runner(settings)(verbosity=0).run_tests(["test_ways"])))
"""
COMMAND = """
    import os

    import django
    from django.core.management import call_command

    os.environ["DJANGO_SETTINGS_MODULE"] = "project_settings"
    django.setup()
    call_command("test", "test_ways", verbosity=0)
"""
WAYS = {
    "script": ("runtests.py",),
    "command": ("call.py",),
    "pytest without our plugin": ("-m", "pytest", "-q", "-p", "no:llmcache", "-p", "no:cacheprovider"),
}


@pytest.fixture(params=WAYS)
def run(request, project):
    project.write("test_ways.py", TESTS)
    project.write("runtests.py", SCRIPT)
    project.write("call.py", COMMAND)
    return lambda **variables: project.run(*WAYS[request.param], **variables)


def test_with_nothing_said_nobody_is_asked(run, provider):
    done = run()

    assert done.code == 0, done
    assert provider.calls == 0, done


def test_they_are_recorded_and_replayed_offline(run, provider, project):
    first = run(**ON)
    calls = provider.calls
    provider.stop()
    second = run(LLMCACHE_TEST_CACHE_ENABLED="true", LLMCACHE_TEST_CACHE_MODE="replay")

    assert (first.code, second.code) == (0, 0), (first, second)
    assert (calls, len(project.fixtures)) == (3, 3), first
