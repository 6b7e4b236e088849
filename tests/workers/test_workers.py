"""The package as the rest of the app uses it."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import override_settings

from django_llmcache import conf, workers
from django_llmcache.entry import Selector
from django_llmcache.workers import Channel, announcer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(channel, run_dir, monkeypatch) -> Channel:
    """Return a channel that stands for this process, on a folder where the suite's own is not."""
    monkeypatch.setattr(workers, "_channel", channel)
    monkeypatch.setattr(announcer, "run_dir", lambda: run_dir)
    return channel


def test_every_public_name_is_there():
    assert all(hasattr(workers, name) for name in workers.__all__)


def test_a_process_has_one_channel():
    assert workers.current() is workers.current()


def test_a_shell_that_is_a_worker_itself_hears_itself_at_once(here, store):
    here.look()

    report = workers.announce(Selector(tag="a"))

    assert [(worker.pid, worker.cleared) for worker in report.acknowledged] == [(os.getpid(), 3)]
    assert store.cleared == [Selector(tag="a")]


def test_a_shell_that_is_no_worker_does_not_become_one(here):
    report = workers.announce(Selector())

    assert (report.acknowledged, report.silent, workers.published()) == ((), (), [])
    assert not here.listening


def test_a_worker_tells_the_others_of_a_clear_of_its_own(here, store, run_dir):
    workers.tell(Selector(tag="a"))

    assert (run_dir / "clears" / "000000000001.json").exists()
    assert store.cleared == []


def test_what_a_worker_reads_of_itself_is_up_to_date(here, store):
    here.look()
    store.stats["hits"] = 5

    assert [worker.stats for worker in workers.published()] == [{"hits": 5}]


@pytest.mark.parametrize("changes", [{"LLMCACHE": {"RUN_DIR": "run"}}, {"BASE_DIR": "/srv"}], ids=str)
def test_changed_settings_hold_at_the_next_call(here, changes):
    here.due = math.inf

    with override_settings(**changes):
        inside, here.due = here.due, math.inf

    assert (inside, here.due) == (0.0, 0.0)


def test_other_settings_make_no_call_look(here):
    here.due = math.inf

    with override_settings(DEBUG=True):
        assert here.due == math.inf


def test_under_a_test_runner_the_folder_is_nobody_elses(monkeypatch):
    monkeypatch.setattr(workers, "find_strangers", lambda _: ["a stranger"])

    assert workers.unreachable() == []


def test_a_named_folder_is_compared_with_others_under_a_test_runner_too(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "find_strangers", lambda path: [path])

    with override_settings(LLMCACHE={"RUN_DIR": tmp_path}):
        assert workers.unreachable() == [tmp_path]


def test_elsewhere_the_default_folder_is_compared_with_others(monkeypatch):
    monkeypatch.setattr(conf, "under_test_runner", lambda: False)
    monkeypatch.setattr(workers, "find_strangers", lambda path: [path])

    assert workers.unreachable() == [workers.run_dir()]


UNDER_TESTS = """
import os, sys
from django.conf import settings
settings.configure()
import django.test.utils
django.test.utils.setup_test_environment()
from django_llmcache import workers

workers.connect(apply=lambda selector: 0, publish=dict)
workers.current().poll()
print(workers.run_dir())
print(*os.listdir(workers.run_dir()))
"""


def test_the_folder_of_a_test_run_is_gone_when_it_ends():
    done = subprocess.run(
        [sys.executable, "-c", UNDER_TESTS], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    path, names = done.stdout.splitlines()
    assert "clears" in names
    assert done.stderr == ""
    assert not Path(path).exists()
