"""The app as Django loads it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.apps import apps

SET_UP = """
import sys, threading
from django.conf import settings
settings.configure(INSTALLED_APPS=["django_llmcache"], LLMCACHE={"BACKEND": "no.such.Backend", "DEFAULT_TTL": "soon"})
import django
django.setup()
print(sorted({"requests", "httpx", "httpx2", "pytest", "responses", "django.test"} & set(sys.modules)))
print(threading.active_count())
"""

ASK_TWICE = """
import sys
from django.conf import settings
settings.configure(INSTALLED_APPS=sys.argv[1:])
import django
django.setup()
from django.test import override_settings
from django_llmcache import LLMRequest, cache
for max_entries in (10, 20):
    with override_settings(LLMCACHE={"OPTIONS": {"MAX_ENTRIES": max_entries}}):
        answer = cache.with_cache(LLMRequest("openai", payload={"model": "m"}), lambda request: {"choices": []})
        print(answer.cache.status)
"""


def test_its_label_is_the_prefix_of_its_checks():
    assert apps.get_app_config("llmcache").name == "django_llmcache"


def test_it_has_no_tables():
    assert list(apps.get_app_config("llmcache").get_models()) == []


def test_loading_it_imports_no_http_library_starts_nothing_and_reads_no_setting():
    done = subprocess.run([sys.executable, "-c", SET_UP], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout, done.stderr, done.returncode) == ("[]\n1\n", "", 0)


@pytest.mark.parametrize(("installed", "warnings"), [([], 1), (["django_llmcache"], 0)], ids=["missing", "installed"])
def test_a_project_that_does_not_install_it_is_told_once(installed, warnings):
    command = [sys.executable, "-c", ASK_TWICE, *installed]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "miss\nmiss\n"
    assert done.stderr.count("INSTALLED_APPS has no 'django_llmcache'") == len(done.stderr.splitlines()) == warnings
