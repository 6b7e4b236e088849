"""What a worker tells of itself, and whether it still runs."""

from __future__ import annotations

import json
import os
import time

import pytest

from django_llmcache import conf
from django_llmcache.workers import processes
from django_llmcache.workers.folder import Folder
from django_llmcache.workers.reports import FRESH, UNREADABLE, WorkerReport, file_of, live

NO_PID = 2**22 + 1


@pytest.fixture
def folder(run_dir) -> Folder:
    return Folder.make(run_dir)


@pytest.fixture
def report() -> WorkerReport:
    return WorkerReport.of_this_process(seen=3, cleared={2: 5, 3: None}, stats={"hits": 1})


def test_a_report_says_who_and_what(report):
    assert report.pid == os.getpid()
    assert (report.base_dir, report.settings) == conf.project()
    assert (report.place, report.started) == (processes.place(), processes.start_id(os.getpid()))
    assert time.time() - report.published_at < 60


def test_a_report_is_read_as_it_was_written(folder, report):
    folder.write(file_of(report.pid), report.as_dict())

    assert live(folder) == [report]


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "12"},
        {"place": None},
        {"started": "then"},
        {"seen": 1.5},
        {"cleared": []},
        {"cleared": {"x": 1}},
        {"published_at": "today"},
        {"stats": 5},
    ],
    ids=str,
)
def test_a_field_of_another_type_is_refused(report, change):
    with pytest.raises(ValueError, match=r"report has|invalid literal"):
        WorkerReport.from_dict({**report.as_dict(), **change})


@pytest.mark.parametrize("name", WorkerReport._fields)
def test_a_missing_field_is_refused(report, name):
    content = report.as_dict()
    del content[name]

    with pytest.raises(ValueError, match=f"report has {name}=None"):
        WorkerReport.from_dict(content)


def test_counts_that_are_no_numbers_are_left_out(report):
    read = WorkerReport.from_dict({**report.as_dict(), "cleared": {"1": "many", "2": 5, "3": None}})

    assert read.cleared == {2: 5, 3: None}


def test_a_dead_workers_file_is_removed(folder, report):
    folder.write(file_of(NO_PID), report._replace(pid=NO_PID).as_dict())

    assert live(folder) == []
    assert list(folder.path.iterdir()) == []


def test_a_dead_workers_file_stays_for_who_only_looks(folder, report):
    folder.write(file_of(NO_PID), report._replace(pid=NO_PID).as_dict())

    assert live(folder, remove=False) == []
    assert [file.name for file in folder.path.iterdir()] == [file_of(NO_PID)]


def test_a_damaged_file_of_a_running_process_is_a_worker_that_has_seen_nothing(folder):
    (folder.path / file_of(os.getpid())).write_text("{")

    [worker] = live(folder)

    assert (worker.pid, worker.seen) == (os.getpid(), UNREADABLE)


def test_a_damaged_file_of_a_dead_process_is_removed(folder):
    (folder.path / file_of(NO_PID)).write_text("{")

    assert live(folder) == []
    assert list(folder.path.iterdir()) == []


def test_a_file_that_goes_while_it_is_listed_is_no_worker(folder, monkeypatch):
    monkeypatch.setattr(Folder, "names", lambda *_: [file_of(NO_PID)])

    assert live(folder) == []


def test_workers_come_by_process_id(folder, report):
    for pid in (1, os.getpid()):
        content = report._replace(pid=pid, started=processes.start_id(pid)).as_dict()
        (folder.path / file_of(pid)).write_text(json.dumps(content))

    assert [worker.pid for worker in live(folder)] == [1, os.getpid()]


@pytest.mark.parametrize(("age", "alive"), [(0, True), (FRESH + 1, False)])
def test_a_worker_of_another_machine_lives_while_it_writes(report, age, alive):
    elsewhere = report._replace(place="other pid:[1]", pid=NO_PID, published_at=time.time() - age)

    assert elsewhere.is_live() is alive
