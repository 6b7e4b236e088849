from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from time import monotonic
from types import SimpleNamespace

import pytest
import requests

from .browser import ASYNC, SYNC, badge
from .conftest import ROOT


@pytest.fixture
def clone(tmp_path):
    """Return a copy of the example, and the environment of somebody who has set nothing."""
    shutil.copy(ROOT / "manage.py", tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", ".env")
    shutil.copytree(ROOT / "example_project", tmp_path / "example_project", ignore=ignored)
    kept = {"COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR"}
    plain = {name: value for name, value in os.environ.items() if name.upper() in kept}
    ours = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "DJANGO_RUNSERVER_HIDE_WARNING": "true"}
    return SimpleNamespace(folder=tmp_path, env=plain | ours | {"PYTHONUNBUFFERED": "1", "STANDIN_LATENCY": "0"})


@contextmanager
def served(clone):
    """Run the example's server; give its address, and a file with what it says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = clone.folder / "log.txt"
    command = [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=clone.folder, env=clone.env, stdout=out, stderr=out)
        try:
            wait_for(port, process, log)
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.kill()
            process.wait(30)


def wait_for(port, process, log):
    deadline = monotonic() + 60
    while monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    pytest.fail(f"runserver does not answer:\n{log.read_text('utf-8')}")


def test_runserver_works_from_a_fresh_clone_without_key_migrate_or_warning(clone):
    badges = []
    with served(clone) as (site, log), requests.Session() as browser:
        browser.trust_env = False
        for url in (SYNC, SYNC, ASYNC):
            token = browser.get(site + url, timeout=30).cookies["csrftoken"]
            form = {"csrfmiddlewaretoken": token, "provider": "groq", "question": "Tell me a joke about opentelemetry"}
            badges.append(badge(browser.post(site + url, form, timeout=30)))
        said = log.read_text("utf-8")

    assert [re.sub(r"[\d.]+ ms", "N ms", text) for text in badges] == [
        "live, N ms",
        "from cache, N ms, 61 tokens saved",
        "from cache, N ms, 61 tokens saved",
    ]
    assert "no issues" in said
    assert not re.findall(r"(?i)warning|unapplied|error|traceback", said)
    assert not (clone.folder / "db.sqlite3").exists()


@pytest.mark.parametrize(
    "command",
    [["check", "--deploy", "--fail-level", "ERROR"], ["makemigrations", "--check", "--dry-run"]],
    ids=["check", "makemigrations"],
)
def test_the_project_passes_djangos_own_checks(clone, command):
    line = [sys.executable, "manage.py", *command]

    done = subprocess.run(line, cwd=clone.folder, env=clone.env, capture_output=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr.decode()
