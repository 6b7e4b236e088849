"""The shell's end, with workers in this process or made up on disk; test_machine.py has real ones."""

from __future__ import annotations

import json
import os
import time

import pytest

from django_llmcache.entry import Selector
from django_llmcache.exceptions import RunDirError
from django_llmcache.workers.announcer import Acknowledgement, ClearReport, announce, published
from django_llmcache.workers.folder import Folder
from django_llmcache.workers.reports import WorkerReport, file_of, live

HERE = os.getpid()


def write(run_dir, *, pid=HERE, seen=0, cleared=None, **changes):
    """Write the report of a worker that lives."""
    report = WorkerReport.of_this_process(seen=seen, cleared=cleared or {}, stats={})._replace(pid=pid, **changes)
    Folder.make(run_dir).write(file_of(pid), report.as_dict())


class TestAnnounce:
    def test_a_worker_acknowledges_with_its_count(self, channel, run_dir, store, clock):
        channel.look()

        report = announce(Selector(tag="a"), path=run_dir, clock=clock, pause=lambda _: channel.look())

        assert report == ClearReport(1, (Acknowledgement(HERE, 3),), ())
        assert report.cleared == 3
        assert store.cleared == [Selector(tag="a")]

    def test_without_workers_nothing_is_waited_for(self, run_dir, clock):
        report = announce(Selector(), path=run_dir, clock=clock, pause=pytest.fail)

        assert report == ClearReport(1, (), ())
        assert report.cleared == 0

    def test_a_folder_without_workers_does_not_look_used_to_other_users(self, run_dir, clock):
        announce(Selector(), path=run_dir, clock=clock)

        assert run_dir.stat().st_mtime == 0

    def test_who_does_not_acknowledge_in_time_is_named(self, run_dir, clock):
        write(run_dir)
        began = clock()

        def pass_time(_seconds):
            clock.now += 1

        report = announce(Selector(), path=run_dir, timeout=3, clock=clock, pause=pass_time)

        assert (report.acknowledged, report.silent) == ((), (HERE,))
        assert clock() == began + 3

    def test_a_count_that_is_not_known_makes_the_sum_unknown(self, run_dir, clock):
        write(run_dir)

        report = announce(
            Selector(), path=run_dir, clock=clock, pause=lambda _: write(run_dir, seen=1, cleared={1: None})
        )

        assert (report.acknowledged, report.cleared) == ((Acknowledgement(HERE, None),), None)

    def test_a_worker_that_cleared_everything_for_a_later_clear_has_acknowledged(self, run_dir, clock):
        write(run_dir)

        report = announce(Selector(), path=run_dir, clock=clock, pause=lambda _: write(run_dir, seen=4, cleared={4: 9}))

        assert report.acknowledged == (Acknowledgement(HERE, None),)

    def test_a_worker_that_ends_is_not_waited_for(self, run_dir, clock):
        write(run_dir)

        report = announce(Selector(), path=run_dir, clock=clock, pause=lambda _: Folder(run_dir).remove(file_of(HERE)))

        assert report == ClearReport(1, (), ())

    def test_a_worker_that_starts_meanwhile_had_nothing_to_clear(self, run_dir, clock):
        write(run_dir)

        def start(_seconds):
            write(run_dir, pid=os.getppid(), seen=1, started=None)
            write(run_dir, seen=1, cleared={1: 2})

        report = announce(Selector(), path=run_dir, clock=clock, pause=start)

        assert report.acknowledged == (Acknowledgement(HERE, 2),)

    def test_a_child_that_is_forked_meanwhile_is_waited_for(self, run_dir, clock):
        write(run_dir)
        child = os.getppid()
        steps = [
            lambda: (write(run_dir, pid=child, started=None), write(run_dir, seen=1, cleared={1: 2})),
            lambda: write(run_dir, pid=child, seen=1, cleared={1: 2}, started=None),
        ]

        report = announce(Selector(), path=run_dir, clock=clock, pause=lambda _: steps.pop(0)())

        assert report.cleared == 4

    def test_a_number_is_larger_than_any_worker_has_seen(self, run_dir, clock):
        write(run_dir, seen=41)

        report = announce(Selector(), path=run_dir, clock=clock, timeout=0)

        assert (report.n, report.silent) == (42, (HERE,))

    def test_a_worker_whose_file_is_damaged_is_waited_for(self, run_dir, clock, channel):
        channel.look()
        (run_dir / file_of(HERE)).write_text("{")

        report = announce(Selector(), path=run_dir, clock=clock, pause=lambda _: channel.look())

        assert report.acknowledged == (Acknowledgement(HERE, 3),)

    def test_old_clears_are_pruned(self, run_dir, clock):
        clears = Folder.make(run_dir / "clears").path
        for n in range(1, 300):
            (clears / f"{n:012}.json").write_text("{}")
            os.utime(clears / f"{n:012}.json", (1, 1))

        announce(Selector(), path=run_dir, clock=clock)

        assert len(list(clears.iterdir())) == 256

    def test_a_folder_that_can_not_be_trusted_is_an_error(self, run_dir):
        run_dir.write_text("")

        with pytest.raises(RunDirError, match="it is not a folder"):
            announce(Selector(), path=run_dir)

    def test_clears_that_can_not_be_trusted_are_an_error(self, run_dir, tmp_path):
        Folder.make(run_dir)
        (run_dir / "clears").write_text("")

        with pytest.raises(RunDirError, match="clears is not used by llmcache: it is not a folder"):
            announce(Selector(), path=run_dir)

    def test_a_disk_that_is_full_is_an_error_with_the_cure(self, run_dir, monkeypatch):
        def refuse(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Folder, "create", refuse)

        with pytest.raises(RunDirError, match=r"run cannot be used by llmcache: No space left on device.*RUN_DIR"):
            announce(Selector(), path=run_dir)


class TestPublished:
    def test_it_is_what_the_workers_wrote(self, channel, run_dir, store):
        store.stats = {"hits": 7}
        channel.look()

        [worker] = published(path=run_dir)

        assert (worker.pid, worker.stats) == (HERE, {"hits": 7})

    def test_a_damaged_file_is_left_out(self, channel, run_dir):
        channel.look()
        (run_dir / file_of(HERE)).write_text("{")

        assert published(path=run_dir) == []

    def test_no_folder_is_made_to_read_it(self, run_dir):
        assert published(path=run_dir) == []
        assert not run_dir.exists()

    def test_a_folder_that_can_not_be_trusted_is_an_error(self, run_dir):
        run_dir.write_text("")

        with pytest.raises(RunDirError, match="it is not a folder"):
            published(path=run_dir)

    def test_a_folder_that_can_not_be_read_is_an_error(self, run_dir, monkeypatch):
        Folder.make(run_dir)

        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Folder, "names", refuse)

        with pytest.raises(RunDirError, match="run cannot be used by llmcache: Permission denied"):
            published(path=run_dir)


def test_the_report_of_a_worker_is_json_that_a_person_can_read(channel, run_dir):
    channel.look()

    content = json.loads((run_dir / file_of(HERE)).read_bytes())

    assert content["pid"] == HERE
    assert abs(content["published_at"] - time.time()) < 60
    assert [worker.as_dict() for worker in live(Folder(run_dir))] == [content]
