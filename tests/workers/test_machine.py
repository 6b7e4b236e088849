"""Workers and shells as real processes on this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from django_llmcache.entry import Selector
from django_llmcache.workers.announcer import Acknowledgement, announce, published

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")


def test_a_clear_reaches_every_worker_within_two_seconds(crew, run_dir):
    workers = [crew.hire() for _ in range(3)]

    began = time.monotonic()
    report = announce(Selector(provider="openai"), path=run_dir)
    took = time.monotonic() - began

    assert took < 2
    assert {worker.pid for worker in workers} == {worker.pid for worker in report.acknowledged}
    assert (report.cleared, report.silent) == (30, ())
    for worker in workers:
        assert worker.expect("applied")["selector"] == {"provider": "openai"}


def test_the_workers_publish_what_they_count(crew, run_dir):
    worker = crew.hire()

    [report] = published(path=run_dir)

    assert (worker.pid, {"calls": 1}, 0) == (report.pid, report.stats, report.seen)


def test_two_shells_at_once_are_both_heard_once_by_each_worker(crew, run_dir):
    workers = [crew.hire(), crew.hire()]
    reports = []
    shells = [
        threading.Thread(target=lambda tag=tag: reports.append(announce(Selector(tag=tag), path=run_dir)))
        for tag in ("a", "b")
    ]
    for shell in shells:
        shell.start()
    for shell in shells:
        shell.join()

    assert [report.cleared for report in reports] == [20, 20]
    for worker in workers:
        heard = [worker.expect("applied")["selector"]["tag"] for _ in range(2)]
        assert sorted(heard) == ["a", "b"]
        worker.call()  # and nothing is applied again


def test_a_stopped_worker_is_named_and_applies_the_clear_before_its_next_answer(crew, run_dir):
    worker, other = crew.hire(), crew.hire()
    os.kill(worker.pid, signal.SIGSTOP)
    os.waitpid(worker.pid, os.WUNTRACED)
    try:
        report = announce(Selector(), path=run_dir, timeout=1)
    finally:
        worker.say("call")
        os.kill(worker.pid, signal.SIGCONT)

    assert ((worker.pid,), (Acknowledgement(other.pid, 10),)) == (report.silent, report.acknowledged)
    worker.expect("applied")
    worker.expect("called")


@needs_fork
def test_a_forked_child_hears_of_what_was_announced_before_its_first_use(crew, run_dir):
    parent = crew.hire()
    parent.say("fork")
    child = parent.expect("forked")["child"]
    before = announce(Selector(), path=run_dir)
    parent.expect("applied")

    parent.say("child call")

    assert [(parent.pid, 10)] == list(before.acknowledged)
    assert child == parent.expect("applied")["pid"]
    assert child == parent.expect("called")["pid"]


@needs_fork
def test_a_forked_child_is_a_worker_of_its_own(crew, run_dir):
    parent = crew.hire()
    parent.say("fork")
    child = parent.expect("forked")["child"]
    parent.say("child call")
    parent.expect("called")

    report = announce(Selector(), path=run_dir)

    assert {parent.pid: 10, child: 10} == {worker.pid: worker.cleared for worker in report.acknowledged}


def test_a_worker_that_ends_takes_its_file_away(crew, run_dir):
    worker = crew.hire()

    errors = worker.end()

    assert errors == []
    assert [file.name for file in run_dir.iterdir()] == ["clears"]


def test_a_worker_that_died_is_not_counted_and_its_file_goes(crew, run_dir):
    worker = crew.hire()
    worker.process.kill()
    worker.process.wait()
    assert (run_dir / f"{worker.pid}.json").exists()

    report = announce(Selector(), path=run_dir)

    assert (report.acknowledged, report.silent) == ((), ())
    assert not (run_dir / f"{worker.pid}.json").exists()


@needs_proc
def test_a_dead_worker_that_nobody_has_waited_for_is_dead(crew, run_dir):
    worker = crew.hire()
    worker.process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)

    assert published(path=run_dir) == []


@needs_proc
def test_another_process_with_the_id_of_a_dead_worker_is_no_worker(crew, run_dir):
    worker = crew.hire()
    file = run_dir / f"{worker.pid}.json"
    content = json.loads(file.read_bytes())
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (run_dir / f"{bystander.pid}.json").write_text(json.dumps({**content, "pid": bystander.pid}))
        pids = [report.pid for report in published(path=run_dir)]
    finally:
        bystander.kill()
        bystander.wait()

    assert [worker.pid] == pids


def test_a_worker_goes_on_when_its_folder_is_deleted(crew, run_dir):
    worker = crew.hire()
    announce(Selector(), path=run_dir)
    worker.expect("applied")
    shutil.rmtree(run_dir)
    _until((run_dir / f"{worker.pid}.json").exists)

    report = announce(Selector(tag="again"), path=run_dir)

    assert [(worker.pid, 10)] == list(report.acknowledged)
    worker.expect("applied")
    worker.call()


def _until(condition):
    """Wait for another process, with a deadline."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
