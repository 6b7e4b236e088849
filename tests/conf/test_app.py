"""The app as Django loads it."""

from __future__ import annotations

import subprocess
import sys

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


def test_its_label_is_the_prefix_of_its_checks():
    assert apps.get_app_config("llmcache").name == "django_llmcache"


def test_it_has_no_tables():
    assert list(apps.get_app_config("llmcache").get_models()) == []


def test_loading_it_imports_no_http_library_starts_nothing_and_reads_no_setting():
    done = subprocess.run([sys.executable, "-c", SET_UP], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout, done.stderr, done.returncode) == ("[]\n1\n", "", 0)
