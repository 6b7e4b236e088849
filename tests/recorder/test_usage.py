"""Which fixtures a full run left unused, told by all of its processes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.usage import UsageLog, UsageUnknown

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
    log.start(fixtures.paths())
    log.used(used)
    log.recorded(recorded)
    log.finish()

    assert log.last().unused(fixtures) == [left]


def test_what_came_after_the_full_run_began_is_not_judged(fixtures, log):
    log.start(fixtures.paths())
    fixtures.write(fixture(name="pulled meanwhile"))
    log.finish()
    fixtures.write(fixture(name="imported"))

    assert log.last().unused(fixtures) == []


def test_what_a_full_run_said_of_a_fixture_holds_where_it_has_moved(fixtures, log):
    used, left = (fixtures.write(fixture(name=name)) for name in range(2))
    log.start(fixtures.paths())
    log.used(used)
    log.finish()

    moved = [(old, fixtures.move(old, fixture(name=old.name))) for old in (used, left)]
    log.moved(*moved)

    assert log.last().unused(fixtures) == [moved[1][1]]


def test_a_move_makes_no_log(fixtures, log):
    path = fixtures.write(fixture())
    log.moved((path, path))

    assert not log.path.exists()


def test_a_damaged_fixture_can_be_unused_too(fixtures, log):
    path = fixtures.write(fixture())
    path.write_text("{")
    log.start(fixtures.paths())
    log.finish()

    assert log.last().unused(fixtures) == [path]


@pytest.mark.parametrize("said", [[], ["start"], ["finish"], ["start", "finish", "start"]])
def test_without_a_full_run_nothing_can_be_called_unused(fixtures, log, said):
    fixtures.write(fixture())
    for word in said:
        getattr(log, word)()

    with pytest.raises(UsageUnknown, match=r"No full run of the tests is noted in .*usage\.jsonl.*Run the whole suite"):
        log.last().unused(fixtures)


@pytest.mark.parametrize("end", [lambda log: None, lambda log: log.give_up("a test failed")], ids=["killed", "failed"])
def test_where_a_run_was_not_full_its_settings_and_the_way_out_are_named(log, end):
    log.start(settings="project.old_settings")
    end(log)

    with pytest.raises(
        UsageUnknown, match=r"of runs with the settings project\.old_settings: where nobody .* delete it"
    ):
        log.last()


def test_a_run_of_some_tests_adds_to_what_is_used(fixtures, log):
    path = fixtures.write(fixture())
    log.start(fixtures.paths())
    log.finish()
    UsageLog(log.path).used(path)

    assert log.last().unused(fixtures) == []


def test_a_full_run_forgets_those_before(fixtures, log):
    path = fixtures.write(fixture())
    for uses in (True, False):
        log.start(fixtures.paths())
        if uses:
            log.used(path)
        log.finish()

    assert log.last().unused(fixtures) == [path]


def test_one_that_ends_after_another_has_begun_says_nothing_of_that(fixtures, log):
    fixtures.write(fixture())
    log.start(fixtures.paths())
    UsageLog(log.path).start(fixtures.paths())
    log.finish()

    with pytest.raises(UsageUnknown):
        log.last()


def test_nor_does_one_that_was_not_full(fixtures, log):
    path = fixtures.write(fixture())
    other = UsageLog(log.path)
    log.start(fixtures.paths())
    other.start(fixtures.paths())
    log.give_up("a test failed")
    with pytest.raises(UsageUnknown) as told:
        other.last()
    other.finish()

    assert "a test failed" not in str(told.value)
    assert other.last().unused(fixtures) == [path]


def test_a_full_run_notes_anew_what_the_one_before_used(fixtures, log):
    path = fixtures.write(fixture())
    for _ in range(2):
        log.start(fixtures.paths())
        log.used(path)
        log.finish()

    assert log.last().unused(fixtures) == []


def test_a_fixture_is_noted_once_however_often_it_is_replayed(log):
    for _ in range(10):
        log.used(Path("a.json"))

    assert log.path.read_bytes().count(b"a.json") == 1


def test_a_path_is_the_same_from_whatever_folder(fixtures, log, monkeypatch):
    path = fixtures.write(fixture())
    monkeypatch.chdir(path.parent)
    log.start(fixtures.paths())
    log.used(Path(path.name))
    log.finish()

    assert log.last().unused(fixtures) == []


def test_lines_that_were_cut_short_cost_no_other(fixtures, log):
    path = fixtures.write(fixture())
    log.start(fixtures.paths())
    with log.path.open("ab") as file:
        file.write(b'\n[1]\n{"event": "used", "fixture": 3}\n\xff\n{"event": "us')
    log.used(path)
    log.finish()

    assert log.last().unused(fixtures) == []


def test_many_processes_append_at_once(log):
    log.start()
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(log.path), str(number)]) for number in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    log.finish()

    assert len(log.last().used) == 800


def test_the_log_is_made_where_its_folder_is_missing(log):
    log.used(Path("a.json"))

    assert log.path.is_file()


def test_only_the_fixtures_that_are_there_are_named(fixtures, log):
    log.start(fixtures.paths())
    log.used(fixtures.folder / "openai" / "chat" / "0" / "gone.json")
    log.finish()

    assert log.last().unused(fixtures) == []


def test_a_link_in_its_place_is_not_followed(fixtures, log, tmp_path):
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    log.path.parent.mkdir()
    log.path.symlink_to(target)

    with pytest.raises(OSError, match=r"usage\.jsonl"):
        log.used(fixtures.write(fixture()))

    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("put", [Path.mkdir, lambda path: path.symlink_to(path.parent / "nowhere"), os.mkfifo])
def test_what_is_no_file_in_its_place_says_nothing(fixtures, log, put):
    log.path.parent.mkdir()
    put(log.path)

    with pytest.raises(UsageUnknown, match=r"can't be read \(.+\), so that no fixture can be called unused"):
        log.last().unused(fixtures)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may chown")
def test_the_file_of_another_user_is_not_believed(fixtures, log):
    fixtures.write(fixture())
    log.start(fixtures.paths())
    log.finish()
    os.chown(log.path, 65534, 65534)

    with pytest.raises(UsageUnknown, match="it is not a file of this user"):
        log.last().unused(fixtures)


@pytest.mark.parametrize("written", [0, 7])
def test_one_that_lacks_a_line_goes_so_that_nothing_is_called_unused(fixtures, log, monkeypatch, written):
    path = fixtures.write(fixture())
    log.start(fixtures.paths())
    log.finish()
    with monkeypatch.context() as full, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        full.setattr(os, "write", lambda number, line: written)
        log.used(path)

    with pytest.raises(UsageUnknown, match="No full run"):
        log.last().unused(fixtures)


def test_after_that_nothing_is_noted_until_a_full_run_starts(fixtures, log):
    path = fixtures.write(fixture())
    log.path.mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        log.used(path)
    log.used(path)
    log.path.rmdir()
    log.start(fixtures.paths())
    log.used(path)
    log.finish()

    assert log.last().unused(fixtures) == []
