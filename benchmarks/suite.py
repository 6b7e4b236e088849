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

SETTINGS = """
import os
SECRET_KEY = "made-up"
INSTALLED_APPS = ["django_llmcache"]
LLMCACHE = {"PROVIDERS": {"openai": {"BASE_URL": os.environ["STANDIN"] + "/v1"}}}
"""
TEST = """
import os, time
import pytest, requests
from django_llmcache.testing import live_api

SESSION = requests.Session()
START = time.perf_counter()

@pytest.mark.MARK
@pytest.mark.parametrize("number", range(TESTS))
def test_answer(number):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Question {number}"}]}
    answer = SESSION.post(os.environ["STANDIN"] + "/v1/chat/completions", json=body, timeout=60)
    assert answer.json()["choices"][0]["message"]["content"]

def test_time():
    print("INSIDE", time.perf_counter() - START)
"""
CONFTEST = """
import pytest

@pytest.fixture(scope="module")
def vcr_config():
    return {"match_on": ["method", "scheme", "host", "port", "path", "query", "body"]}
"""


def run():
    """Print how much faster the replays are; return whether ours met the targets."""
    with tempfile.TemporaryDirectory() as folder, StandIn(latency=LATENCY) as provider:
        live = _timed(Path(folder) / "live", "live_api", provider, ["--llmcache-mode=live"])
        ours = _recorded(Path(folder) / "ours", "live_api", provider, "--llmcache-mode=once", "--llmcache-mode=replay")
        rows = [("live", live, live), ("live_api", ours, live)]
        if find_spec("pytest_recording"):
            theirs = Path(folder) / "theirs"
            rows.append(
                (
                    "pytest-recording",
                    _recorded(theirs, "vcr", provider, "--record-mode=once", "--record-mode=none"),
                    live,
                )
            )
    cells = [
        (name, f"{whole:.2f} s", f"{lives[0] / whole:.0f}", f"{inside:.3f} s", f"{lives[1] / inside:.0f}")
        for name, (whole, inside), lives in rows
    ]
    heads = ("", "with start-up", "times faster", "inside", "times faster")
    print(table(f"{TESTS} tests, a provider that takes {LATENCY * 1000:.0f} ms", heads, cells))
    faster, inside = live[0] / ours[0], live[1] / ours[1]
    print(f"\n  {'met' if faster >= FASTER else 'MISSED':8}with start-up: {faster:.0f} of {FASTER} times")
    print(f"  {'met' if inside >= FASTER_INSIDE else 'MISSED':8}inside: {inside:.0f} of {FASTER_INSIDE} times")
    return faster >= FASTER and inside >= FASTER_INSIDE


def _recorded(folder, mark, provider, record, replay):
    _timed(folder, mark, provider, [record])
    asked = provider.calls
    best = min(_timed(folder, mark, provider, [replay]) for _ in range(3))
    assert provider.calls == asked, f"{mark}: {provider.calls - asked} replayed calls went to the provider"
    return best


def _timed(folder, mark, provider, options):
    """Return the seconds of a whole run, and those of the tests alone."""
    folder.mkdir(exist_ok=True)
    (folder / "suite_settings.py").write_text(SETTINGS)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = suite_settings\nmarkers = vcr\n")
    (folder / "test_suite.py").write_text(TEST.replace("MARK", mark).replace("TESTS", str(TESTS)))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLMCACHE_", "DJANGO_"))}
    env = kept | {"STANDIN": provider.url, "OPENAI_API_KEY": "made-up", "NO_PROXY": "*"}
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
