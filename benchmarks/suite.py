"""A suite of 200 tests that ask a provider which takes 300 ms: live, replayed by us, and by pytest-recording.

Each run loads pytest-django and its own recorder, and no other plugin that may be installed. "In process" is the same
200 tests without pytest around them, whose own work for a test takes about as long as a replay. "No recorder" is what
pytest, Django and the client take alone where one answer comes out of memory: nobody can be quicker. Its start-up
counts what is installed: the OpenAI SDK imports aiohttp where that is there, and Django Jinja.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import requests

from django_llmcache.contrib.demo.standin import StandIn

from .recorders import body
from .table import table

TESTS = 200
LATENCY = 0.3
ROUNDS = 7  # the best of them: others use the machine too, now more and now less
IN_ONE = "live_api, in process"
FASTER, FASTER_IN_PROCESS = 40, 250
FASTER_WITH_NEW_CLIENTS = 35

OURS = ("live_api", "django_llmcache.testing.plugin")
NOTHING = ("usefixtures()", "pytest_django.plugin")
THEIRS = ("vcr", "pytest_recording.plugin")

SETTINGS = """
import os
SECRET_KEY = "made-up"
INSTALLED_APPS = ["django_llmcache"]
LLMCACHE = {"PROVIDERS": {"openai": {"BASE_URL": os.environ["STANDIN"] + "/v1"}}}
"""
TEST = """
import os, time
import pytest
ASK

START = time.perf_counter()

def question(number):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Question {number}"}]}

@pytest.mark.MARK
@pytest.mark.parametrize("number", range(TESTS))
def test_answer(number):
    assert ask(question(number))

def test_time():
    print("SECONDS", time.perf_counter() - START)
"""
IN_PROCESS = """
import time
import django
django.setup()
from django_llmcache.testing import live_api
from django_llmcache.testing.setups import running_pytest
running_pytest()
from test_suite import ask, question

@live_api
def test(number):
    assert ask(question(number))

test(0)
start = time.perf_counter()
for number in range(TESTS):
    test(number)
print("SECONDS", time.perf_counter() - start)
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
FROM_MEMORY = {
    BY_REQUESTS: """
import io, json, requests
from urllib3 import HTTPResponse

class Memory(requests.adapters.HTTPAdapter):
    def send(self, request, **options):
        return self.build_response(request, HTTPResponse(io.BytesIO(KEPT), status=200, preload_content=False))
""" + BY_REQUESTS + """
SESSION.mount("http://", Memory())
""",
    BY_NEW_CLIENTS: """
import json, openai
try:
    import httpx2 as httpx
except ImportError:
    import httpx

MEMORY = httpx.MockTransport(lambda request: httpx.Response(200, json=json.loads(KEPT)))
""" + BY_NEW_CLIENTS.replace('"/v1")', '"/v1", http_client=httpx.Client(transport=MEMORY))'),
}  # fmt: skip
"""The same with no network: ``KEPT`` is the one answer that is given."""

CONFTEST = """
import pytest

@pytest.fixture(scope="module")
def vcr_config():
    return {"match_on": ["method", "scheme", "host", "port", "path", "query", "body"]}
"""


def run():
    """Print how much faster the replays are; return whether ours met the targets."""
    met = _compare("one session of requests", BY_REQUESTS, FASTER, FASTER_IN_PROCESS)
    if find_spec("openai"):
        print()
        met = _compare("a new OpenAI client in each", BY_NEW_CLIENTS, FASTER_WITH_NEW_CLIENTS, None) and met
    return met


def _compare(title, ask, faster, faster_in_process):
    with tempfile.TemporaryDirectory() as folder, StandIn(latency=LATENCY) as provider:
        suite = Suite(Path(folder), ask, provider)
        live = suite.run("live", OURS, "--llmcache-mode=live")
        runs = {"live_api": suite.recorded("ours", OURS, "--llmcache-mode={}", "replay")}
        if find_spec("pytest_recording"):
            runs["pytest-recording"] = suite.recorded("theirs", THEIRS, "--record-mode={}", "none")
        runs["no recorder, from memory"] = suite.from_memory("memory")
        runs[IN_ONE] = partial(suite.in_process, "ours")
        asked = provider.calls
        best = _best(runs)
        assert provider.calls == asked, f"{provider.calls - asked} calls went to the provider"
    in_process = best.pop(IN_ONE)[1]
    cells = [
        (name, f"{whole:.2f} s", f"{live[0] / whole:.0f}", f"{inside:.3f} s", f"{live[1] / inside:.0f}")
        for name, (whole, inside) in {"live": live, **best}.items()
    ]
    cells.append((IN_ONE, "-", "-", f"{in_process:.3f} s", f"{live[1] / in_process:.0f}"))
    heads = ("", "with start-up", "times faster", "the tests", "times faster")
    print(table(f"{TESTS} tests, {title}, a provider that takes {LATENCY * 1000:.0f} ms", heads, cells))
    print()
    found = [
        ("with start-up", live[0] / best["live_api"][0], faster),
        ("in process", live[1] / in_process, faster_in_process),
    ]
    for what, times, target in found:
        if target is not None:
            print(f"  {'met' if times >= target else 'MISSED':8}{what}: {times:.0f} of {target} times")
    return all(target is None or times >= target for _, times, target in found)


def _best(runs):
    """Return the seconds of the best of some rounds. Each has a turn in all: the machine is quick for all, or slow."""
    rounds = [{name: run() for name, run in runs.items()} for _ in range(ROUNDS)]
    return {name: min(each[name] for each in rounds) for name in runs}


class Suite:
    """200 tests that ask in one way."""

    def __init__(self, folder, ask, provider):
        self.folder = folder
        self.ask = ask
        self.provider = provider

    def recorded(self, name, recorder, option, replay):
        """Record all, and return what replays it, as ``run`` does."""
        self.run(name, recorder, option.format("once"))
        return partial(self.run, name, recorder, option.format(replay))

    def run(self, name, recorder, option):
        """Return the seconds of a whole run under pytest, and those of the tests with pytest's own work for them."""
        mark, plugin = recorder
        test = TEST.replace("MARK", mark).replace("TESTS", str(TESTS)).replace("ASK", self.ask)
        self._write(name, "suite_settings.py", SETTINGS)
        self._write(name, "conftest.py", CONFTEST)
        self._write(name, "pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = suite_settings\nmarkers = vcr\n")
        self._write(name, "test_suite.py", test)
        plugins = ["-p", "no:cacheprovider", "-p", "pytest_django.plugin", "-p", plugin]
        return self._timed(name, "-m", "pytest", "-q", "-s", *plugins, option, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    def from_memory(self, name):
        """Return what runs it with no recorder at all."""
        kept = requests.post(f"{self.provider.url}/v1/chat/completions", json=body(0), timeout=60).content
        memory = Suite(self.folder, f"KEPT = {kept!r}\n{FROM_MEMORY[self.ask]}", self.provider)
        return partial(memory.run, name, NOTHING, "--strict-markers")

    def in_process(self, name):
        """Return the seconds of a whole process, and of the tests that were recorded, called one after the other."""
        self._write(name, "in_process.py", IN_PROCESS.replace("TESTS", str(TESTS)))
        words = {"DJANGO_SETTINGS_MODULE": "suite_settings", "LLMCACHE_TEST_CACHE_ENABLED": "true",
                 "LLMCACHE_TEST_CACHE_MODE": "replay"}  # fmt: skip
        return self._timed(name, "in_process.py", **words)

    def _write(self, name, file, text):
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / file).write_text(text)

    def _timed(self, name, *command, **variables):
        # Byte code is kept, as for anybody who runs tests twice.
        ours = ("LLMCACHE_", "DJANGO_", "PYTHONDONTWRITEBYTECODE")
        kept = {variable: value for variable, value in os.environ.items() if not variable.startswith(ours)}
        env = kept | {"STANDIN": self.provider.url, "OPENAI_API_KEY": "made-up", "NO_PROXY": "*"} | variables
        started = perf_counter()
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder / name, env=env, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        whole = perf_counter() - started
        inside = re.search(r"SECONDS ([\d.]+)", done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        assert inside is not None, done.stdout
        return whole, float(inside[1])
