"""Processes that end soon, such as of a command or of a pool: what they began is stored, what they counted is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from django_llmcache.contrib.demo.standin import StandIn
from tests import stores

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
PREAMBLE = """
    import asyncio, json, multiprocessing, os, sys
    import django
    from django.conf import settings

    settings.configure(SECRET_KEY="x", INSTALLED_APPS=["django_llmcache"], **json.loads(os.environ["MADE_UP"]))
    django.setup()
    from django_llmcache import achat, chat

    WORDS = ("openai", [{"role": "user", "content": "Hi"}])
"""


@pytest.fixture
def run(tmp_path):
    """Return what runs a program in a process of its own and gives what it writes; all of them share a store.

    An answer expires before the next of them begins.
    """
    with StandIn(latency=0.3, event_delay=0) as upstream:
        chosen = {
            "CACHES": {
                "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
                "llm": stores.alias_for("redis", tmp_path),
            },
            "LLMCACHE": {
                "BACKEND": "django_llmcache.backends.django_cache.DjangoCacheBackend",
                "OPTIONS": {"ALIAS": "llm", **stores.PATIENT},
                "PROVIDERS": {"openai": {"BASE_URL": f"{upstream.url}/v1", "API_KEY": "made-up", "MODEL": "m"}},
                "DEFAULT_TTL": 0.001,
                "STALE_FOR": 3600,
            },
        }

        def run(program):
            script = tmp_path / "program.py"
            script.write_text(dedent(PREAMBLE) + dedent(program))
            env = {**os.environ, "MADE_UP": json.dumps(chosen), "PYTHONPATH": str(ROOT), "NO_PROXY": "*"}
            done = subprocess.run(
                [sys.executable, script], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout.strip()

        run.upstream = upstream
        yield run


def counted(run):
    return json.loads(
        run("from django.core.management import call_command; call_command('llmcache', 'stats', '--json')")
    )


def test_a_refresh_is_stored_before_the_process_ends(run):
    ask = "print(chat(*WORDS).cache.status)"

    assert [run(ask), run(ask)] == ["miss", "stale"]
    assert (run.upstream.calls, counted(run)["puts"]) == (2, 2)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.parametrize("way", ["fork", "forkserver", "spawn"])
def test_a_child_of_multiprocessing_hands_in_what_it_counted(run, way):
    run(f"""
        def ask():
            chat(*WORDS)

        if __name__ == "__main__":
            children = [multiprocessing.get_context({way!r}).Process(target=ask) for _ in range(2)]
            chat(*WORDS)
            for child in children:
                child.start()
                child.join()
    """)

    assert {name: counted(run)[name] for name in ("misses", "stale", "puts")} == {"misses": 1, "stale": 2, "puts": 3}
