"""Runs a script as a program of its own, where nothing is imported yet."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run(script: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
