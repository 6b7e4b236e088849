"""The example's live_api tests: they pass offline and without a key, from the fixtures in the repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = re.findall(r"^LLMCACHE_TEST_CACHE_ENABLED=true python (.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
RUNNERS = {"manage": LINES[0].split(), "pytest": LINES[1].split()}
"""As README says them."""


def run(runner, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "LLMCACHE_"))}
    return subprocess.run(
        [sys.executable, *RUNNERS[runner]],
        cwd=ROOT, env=kept | variables, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("runner", RUNNERS)
def test_they_pass_from_what_is_recorded(runner):
    done = run(runner, LLMCACHE_TEST_CACHE_ENABLED="true", CI="true")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 replayed" in done.stdout + done.stderr


@pytest.mark.parametrize("runner", RUNNERS)
def test_without_a_word_they_are_skipped(runner):
    done = run(runner)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 skipped" in done.stdout or "skipped=4" in done.stderr
