"""What is still to be done when a process ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

AT_EXIT = """
import multiprocessing
from django_llmcache.endings import at_exit

def first(): print("first", flush=True)
def last(): print("last", flush=True)

def register():
    at_exit(last); at_exit(first); at_exit(last); at_exit(first)

if __name__ == "__main__":
    {call}
"""


@pytest.mark.parametrize(
    "call",
    [
        "register()",
        "child = multiprocessing.get_context('fork').Process(target=register); child.start(); child.join()",
    ],
    ids=["process", "multiprocessing child"],
)
def test_what_is_registered_last_is_called_first(call, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(AT_EXIT.format(call=call))

    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip

    assert done.stdout.split() == ["first", "last"]
