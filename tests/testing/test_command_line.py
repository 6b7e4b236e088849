"""The line that a miss shows: pasted where the run was, it records the test."""

from __future__ import annotations

import shlex

import pytest

from .conftest import ON
from .project import SETTINGS

TESTS = """
    from django.test import SimpleTestCase
    from django_llmcache import chat
    from django_llmcache.testing import live_api


    class Asking(SimpleTestCase):
        @live_api
        def test_live(self):
            self.assertTrue(chat("openai", [{"role": "user", "content": "Hi"}]).text)


    class Plain(SimpleTestCase):
        def test_nothing(self):
            pass
"""
REPLAY = {"LLMCACHE_TEST_CACHE_ENABLED": "true", "LLMCACHE_TEST_CACHE_MODE": "replay"}


@pytest.fixture
def project(project):
    """Return a project with other settings than its default ones, which keep the fixtures elsewhere."""
    project.write("testing.py", "from project_settings import *\nLLMCACHE |= {'TEST_CACHE': {'DIR': 'elsewhere'}}\n")
    project.write("other.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = testing\n")
    project.write("test_faq.py", TESTS)
    return project


def line_of(done):
    """Return the words of the line that a run has shown, without the variables before them."""
    [line] = {line.partition(":  ")[2] for line in done.text.splitlines() if "Record it" in line}
    return [word for word in shlex.split(line) if not word.startswith("LLMCACHE_")]


@pytest.mark.parametrize(
    "words",
    [
        ("manage.py", "test", "--settings=testing"),
        ("manage.py", "test", "--settings", "testing", "--parallel", "2"),
        ("-m", "pytest", "--ds", "testing"),
        ("-m", "pytest", "--ds=testing", "-n", "2"),
        ("-m", "pytest", "-c", "other.ini"),
    ],
    ids=" ".join,
)
def test_it_has_the_settings_of_the_run(project, words):
    program, *rest = line_of(project.run(*words, **REPLAY))

    done = project.run(*(rest if program == "python" else ("-m", program, *rest)), **ON)

    assert done.code == 0, done
    assert len(list((project.folder / "elsewhere").rglob("*.json"))) == 1, rest


def test_what_the_ini_file_says_it_leaves_out(project):
    project.write("pytest.ini", "[pytest]\naddopts = --ds=testing\n")

    assert line_of(project.pytest(**REPLAY)) == ["pytest", "test_faq.py::Asking::test_live"]


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["alone", "workers"])
def test_it_names_the_test_as_seen_from_the_folder_of_the_run(project, words):
    project.write("backend/project_settings.py", SETTINGS)
    project.write("backend/faq/test_there.py", TESTS)

    done = project.run("-m", "pytest", "faq", *words, within="backend", **REPLAY)

    assert line_of(done) == ["pytest", "faq/test_there.py::Asking::test_live"]
