"""Every kind of server that Django runs on: the second answer comes from the cache, and many who ask share a call."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

import pytest
import requests
from django.test import override_settings

ROOT = Path(__file__).parents[2]
SITE = "tests.servers.site"
SERVERS = {
    "uvicorn": ("uvicorn", ["-m", "uvicorn", f"{SITE}:asgi", "--port", "{port}"]),
    "daphne": ("daphne", ["-m", "daphne", "-p", "{port}", f"{SITE}:asgi"]),
    "gunicorn sync": ("gunicorn", ["-m", "gunicorn", f"{SITE}:wsgi", "-b", "127.0.0.1:{port}", "-w", "1"]),
    "gunicorn gthread": (
        "gunicorn",
        ["-m", "gunicorn", f"{SITE}:wsgi", "-b", "127.0.0.1:{port}", "-k", "gthread", "--threads", "8"],
    ),
    "gunicorn gevent": ("gevent", ["-m", "gunicorn", f"{SITE}:wsgi", "-b", "127.0.0.1:{port}", "-k", "gevent"]),
}


@pytest.fixture(params=SERVERS)
def server(request):
    return request.param


@pytest.fixture
def url(server, provider, tmp_path):
    """Return where a server of each kind runs the site."""
    package, line = SERVERS[server]
    pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "STANDIN_URL": provider.url, "RUN_DIR": str(tmp_path / "run"), "NO_PROXY": "*"}
    with _served([word.format(port=port) for word in line], port, environment, tmp_path / "log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _served(line, port, environment, log):
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, *line], cwd=ROOT, env=environment, stdout=out, stderr=out)
        try:
            deadline = monotonic() + 60
            while process.poll() is None and monotonic() < deadline:
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
            else:
                pytest.fail(f"it does not answer:\n{log.read_text('utf-8')}")
            yield
        finally:
            process.terminate()
            process.wait(30)


def get(url, view, question):
    answer = requests.get(f"{url}/{view}", params={"question": question}, timeout=30)
    assert answer.status_code == 200, answer.text[:500]
    return answer.json()


def test_the_second_answer_comes_from_the_cache_in_every_kind_of_view(url, provider):
    for view in ("chat", "achat", "client", "aclient"):
        live, again = (get(url, view, f"By {view}") for _ in range(2))

        assert (live["status"], again["status"]) == ("miss", "hit")
        assert again["text"] == live["text"]
    assert provider.calls == 4


def test_many_who_ask_at_once_share_one_call(url, provider, server):
    provider.latency = 0.5
    # Greenlets share a thread, and asyncio knows one running loop to a thread: there are no async views at once there.
    views = ["chat"] * 8 if server == "gunicorn gevent" else ["chat", "achat"] * 4

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda view: get(url, view, "At once"), views))

    assert provider.calls == 1
    assert len({answer["text"] for answer in answers}) == 1


@pytest.fixture
def _logging_as_it_was():
    """Give the root logger back what Celery's worker takes from it: its level, and its handlers."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_logging_as_it_was")
def test_a_task_of_celery_is_answered_from_the_cache(provider):
    pytest.importorskip("celery", reason="celery is not installed: pip install celery")
    from celery.contrib.testing.worker import start_worker

    from .tasks import app, ask

    providers = {"openai": {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up", "MODEL": "gpt-4o-mini"}}
    with override_settings(LLMCACHE={"PROVIDERS": providers}), start_worker(app, perform_ping_check=False):
        (text, live), (again, status) = (ask.delay("Hi").get(timeout=30) for _ in range(2))

    assert (live, status) == ("miss", "hit")
    assert again == text
    assert provider.calls == 1
