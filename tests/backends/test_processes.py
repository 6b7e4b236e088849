"""Four processes of fifty threads ask the same at once: the provider is asked once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from django_llmcache.contrib.demo.standin import StandIn
from tests import stores

ROOT = Path(__file__).parents[2]
PROCESSES, THREADS = 4, 50
PATIENCE = 60.0


@pytest.fixture
def upstream():
    with StandIn(latency=0.5, event_delay=0) as standin:
        yield standin


def settings_for(kind, tmp_path, upstream, **options):
    """Return the settings of each process, with the place to keep entries made."""
    name = "database" if kind in ("postgres", "sqlite") else kind
    chosen = {
        "CACHES": {
            "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
            "llm": stores.alias_for(name, tmp_path),
        },
        "LLMCACHE": {
            "BACKEND": "django_llmcache.backends.django_cache.DjangoCacheBackend",
            "OPTIONS": {"ALIAS": "llm", "READ_TIMEOUT": 10, "WRITE_TIMEOUT": 10, **options},
            "PROVIDERS": {"openai": {"BASE_URL": f"{upstream.url}/v1", "TIMEOUT": 20}},
        },
    }
    if name == "database":
        chosen["DATABASES"] = {"default": stores.database_for(kind, tmp_path)}
        manage(chosen, "createcachetable")
    return chosen


def manage(settings, *command):
    """Return what a command of Django writes in a process of its own."""
    code = "import django; from django.conf import settings; import json, sys; "
    code += "settings.configure(SECRET_KEY='x', INSTALLED_APPS=['django_llmcache'], **json.loads(sys.argv[1])); "
    code += "django.setup(); from django.core.management import call_command; call_command(*sys.argv[2:])"
    line = [sys.executable, "-c", code, json.dumps(settings), *command]
    return subprocess.run(line, check=True, capture_output=True, cwd=ROOT, text=True).stdout


@contextmanager
def crowd(settings, prompt="Hi", number=PROCESSES):
    """Yield processes that are ready to ask."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.backends.crowd"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_PROXY": "*"},
        )
        for _ in range(number)
    ]  # fmt: skip
    try:
        for process in processes:
            tell(process, json.dumps({"settings": settings, "prompt": prompt}))
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def tell(process, line):
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def heard(process):
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize("kind", ["redis", "django-redis", "memcached", "postgres", "sqlite"])
def test_a_crowd_of_processes_makes_one_call(kind, tmp_path, upstream):
    with crowd(settings_for(kind, tmp_path, upstream)) as processes:
        for process in processes:
            tell(process, "go")
        came = [heard(process) for process in processes]

    assert [said["failed"] for said in came] == [[]] * PROCESSES
    assert sum(said["answers"] for said in came) == PROCESSES * THREADS
    assert len({text for said in came for text in said["texts"]}) == 1
    assert upstream.calls == 1


@pytest.mark.parametrize("kind", ["redis", "memcached", "postgres", "sqlite"])
def test_what_a_crowd_counted_is_known_to_the_site_when_it_is_gone(kind, tmp_path, upstream):
    settings = settings_for(kind, tmp_path, upstream)
    with crowd(settings) as processes:
        for process in processes:
            tell(process, "go")
        for process in processes:
            heard(process)
        for process in processes:
            process.communicate()

    counted = json.loads(manage(settings, "llmcache", "stats", "--json"))
    assert counted["hits"] + counted["misses"] == PROCESSES * THREADS
    assert (counted["misses"], counted["puts"], counted["processes"]) == (1, 1, PROCESSES)
    assert counted["by_model"]["openai/m"]["hits"] == PROCESSES * THREADS - 1


def test_a_process_that_is_killed_while_it_asks_is_followed_by_another(tmp_path, upstream):
    settings = settings_for("redis", tmp_path, upstream)
    with crowd(settings, number=1) as (first,), crowd(settings, number=1) as (second,):
        tell(first, "go")
        while not upstream.calls:
            pass
        first.send_signal(signal.SIGKILL)
        tell(second, "go")
        said = heard(second)

    assert said["failed"] == []
    assert said["answers"] == THREADS
    assert upstream.calls == 2
