"""Which fixtures a full run left unused, told by all of its processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.usage import UsageLog, UsageUnknown, unused

from .made import fixture

WRITER = """
import sys
from pathlib import Path
from django_llmcache.recorder.usage import UsageLog

log = UsageLog(Path(sys.argv[1]))
for number in range(200):
    log.used(Path(f"/fixtures/{sys.argv[2]}/{number}.json"))
"""


@pytest.fixture
def fixtures(tmp_path) -> FixtureStore:
    return FixtureStore(tmp_path / "fixtures")


@pytest.fixture
def log(tmp_path) -> UsageLog:
    return UsageLog(tmp_path / "run" / "usage.jsonl")


def test_what_was_neither_used_nor_recorded_is_unused(fixtures, log):
    used, recorded, left = (fixtures.write(fixture(name=name)) for name in range(3))
    log.start()
    log.used(used)
    log.recorded(recorded)
    log.finish()

    assert unused(fixtures, log) == [left]


def test_a_damaged_fixture_can_be_unused_too(fixtures, log):
    path = fixtures.write(fixture())
    path.write_text("{")
    log.start()
    log.finish()

    assert unused(fixtures, log) == [path]


@pytest.mark.parametrize("said", [[], ["start"], ["finish"], ["start", "finish", "start"]])
def test_without_a_full_run_nothing_can_be_called_unused(fixtures, log, said):
    fixtures.write(fixture())
    for word in said:
        getattr(log, word)()

    with pytest.raises(UsageUnknown, match=r"No full run of the tests is noted in .*usage\.jsonl.*Run the whole suite"):
        unused(fixtures, log)


def test_a_run_of_some_tests_adds_to_what_is_used(fixtures, log):
    path = fixtures.write(fixture())
    log.start()
    log.finish()
    UsageLog(log.path).used(path)

    assert unused(fixtures, log) == []


def test_a_full_run_forgets_those_before(fixtures, log):
    path = fixtures.write(fixture())
    for uses in (True, False):
        log.start()
        if uses:
            log.used(path)
        log.finish()

    assert unused(fixtures, log) == [path]


def test_a_full_run_notes_anew_what_the_one_before_used(fixtures, log):
    path = fixtures.write(fixture())
    for _ in range(2):
        log.start()
        log.used(path)
        log.finish()

    assert unused(fixtures, log) == []


def test_a_fixture_is_noted_once_however_often_it_is_replayed(log):
    for _ in range(10):
        log.used(Path("a.json"))

    assert log.path.read_bytes().count(b"a.json") == 1


def test_a_path_is_the_same_from_whatever_folder(fixtures, log, monkeypatch):
    path = fixtures.write(fixture())
    monkeypatch.chdir(path.parent)
    log.start()
    log.used(Path(path.name))
    log.finish()

    assert unused(fixtures, log) == []


def test_lines_that_were_cut_short_cost_no_other(fixtures, log):
    path = fixtures.write(fixture())
    log.start()
    with log.path.open("ab") as file:
        file.write(b'\n[1]\n{"event": "used", "path": 3}\n\xff\n{"event": "us')
    log.used(path)
    log.finish()

    assert unused(fixtures, log) == []


def test_many_processes_append_at_once(log):
    log.start()
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(log.path), str(number)]) for number in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    log.finish()

    assert len(log.paths()) == 800


def test_the_log_is_made_where_its_folder_is_missing(log):
    log.used(Path("a.json"))

    assert log.path.is_file()


def test_only_the_fixtures_that_are_there_are_named(fixtures, log):
    log.start()
    log.used(fixtures.folder / "openai" / "chat" / "0" / "gone.json")
    log.finish()

    assert unused(fixtures, log) == []
