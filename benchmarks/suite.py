"""A suite of 200 tests that ask a provider which takes 300 ms: live, replayed by us, and by pytest-recording."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from django_llmcache.contrib.demo.standin import StandIn

from .table import table

TESTS = 200
LATENCY = 0.3
FASTER, FASTER_INSIDE = 40, 250
FASTER_WITH_NEW_CLIENTS = 35

SETTINGS = """
import os
SECRET_KEY = "made-up"
INSTALLED_APPS = ["django_llmcache"]
LLMCACHE = {"PROVIDERS": {"openai": {"BASE_URL": os.environ["STANDIN"] + "/v1"}}}
"""
TEST = """
import os, time
import pytest
IMPORTS
from django_llmcache.testing import live_api

START = time.perf_counter()

@pytest.mark.MARK
@pytest.mark.parametrize("number", range(TESTS))
def test_answer(number):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Question {number}"}]}
    assert ask(body)

def test_time():
    print("INSIDE", time.perf_counter() - START)
"""
BY_REQUESTS = """
import requests

SESSION = requests.Session()

def ask(body):
    answer = SESSION.post(os.environ["STANDIN"] + "/v1/chat/completions", json=body, timeout=60)
    return answer.json()["choices"][0]["message"]["content"]
"""
BY_NEW_CLIENTS = """
import openai

def ask(body):
    client = openai.OpenAI(base_url=os.environ["STANDIN"] + "/v1")
    return client.chat.completions.create(**body).choices[0].message.content
"""
CONFTEST = """
import pytest

@pytest.fixture(scope="module")
def vcr_config():
    return {"match_on": ["method", "scheme", "host", "port", "path", "query", "body"]}
"""


def run():
    """Print how much faster the replays are; return whether ours met the targets."""
    met = _compare("one session of requests", BY_REQUESTS, FASTER, FASTER_INSIDE)
    if find_spec("openai"):
        print()
        met = _compare("a new OpenAI client in each", BY_NEW_CLIENTS, FASTER_WITH_NEW_CLIENTS, None) and met
    return met


def _compare(title, ask, faster, faster_inside):
    with tempfile.TemporaryDirectory() as folder, StandIn(latency=LATENCY) as provider:
        suite = Suite(Path(folder), ask, provider)
        live = suite.timed("live", "live_api", ["--llmcache-mode=live"])
        ours = suite.replayed("ours", "live_api", "--llmcache-mode=once", "--llmcache-mode=replay")
        rows = [("live", live), ("live_api", ours)]
        if find_spec("pytest_recording"):
            rows.append(
                ("pytest-recording", suite.replayed("theirs", "vcr", "--record-mode=once", "--record-mode=none"))
            )
    cells = [
        (name, f"{whole:.2f} s", f"{live[0] / whole:.0f}", f"{inside:.3f} s", f"{live[1] / inside:.0f}")
        for name, (whole, inside) in rows
    ]
    heads = ("", "with start-up", "times faster", "inside", "times faster")
    print(table(f"{TESTS} tests, {title}, a provider that takes {LATENCY * 1000:.0f} ms", heads, cells))
    print()
    found = [("with start-up", live[0] / ours[0], faster), ("inside", live[1] / ours[1], faster_inside)]
    for what, times, target in found:
        if target is not None:
            print(f"  {'met' if times >= target else 'MISSED':8}{what}: {times:.0f} of {target} times")
    return all(target is None or times >= target for _, times, target in found)


class Suite:
    """200 tests that ask in one way."""

    def __init__(self, folder, ask, provider):
        self.folder = folder
        self.ask = ask
        self.provider = provider

    def replayed(self, name, mark, record, replay):
        """Return the best of three replays."""
        self.timed(name, mark, [record])
        asked = self.provider.calls
        best = min(self.timed(name, mark, [replay]) for _ in range(3))
        assert self.provider.calls == asked, f"{mark}: {self.provider.calls - asked} calls went to the provider"
        return best

    def timed(self, name, mark, options):
        """Return the seconds of a whole run, and those of the tests alone."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        test = TEST.replace("MARK", mark).replace("TESTS", str(TESTS)).replace("IMPORTS", self.ask)
        (folder / "suite_settings.py").write_text(SETTINGS)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = suite_settings\nmarkers = vcr\n")
        (folder / "test_suite.py").write_text(test)
        # Byte code is kept, as for anybody who runs tests twice.
        ours = ("LLMCACHE_", "DJANGO_", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        env = kept | {"STANDIN": self.provider.url, "OPENAI_API_KEY": "made-up", "NO_PROXY": "*"}
        started = perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:randomly", *options],
            cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        whole = perf_counter() - started
        inside = re.search(r"INSIDE ([\d.]+)", done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert inside is not None, done.stdout
        return whole, float(inside[1])
