"""One process as a worker."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import shutil
import stat
import threading

import pytest

from django_llmcache.entry import Selector
from django_llmcache.exceptions import ConfigurationError, RunDirError
from django_llmcache.workers import Channel
from django_llmcache.workers import channel as channels
from django_llmcache.workers.channel import GIVEN_UP, OVERDUE, PUBLISH_EVERY
from django_llmcache.workers.clears import BEGINNING, Clears
from django_llmcache.workers.folder import Folder
from django_llmcache.workers.reports import HEARTBEAT, file_of


def own_report(run_dir):
    """Return what this process has published."""
    return json.loads((run_dir / file_of(os.getpid())).read_bytes())


def announce(run_dir, **conditions):
    return Clears(Folder.make(run_dir)).append(Selector(**conditions))


def steps(run_dir):
    """Return all that was announced."""
    return [(after.n, selector) for after, selector in Clears(Folder.make(run_dir)).since(BEGINNING)]


def watchers():
    return [thread for thread in threading.enumerate() if thread.name == "llmcache-workers"]


@pytest.fixture
def warnings(caplog):
    """Return the warnings that this thread has logged so far, as texts."""
    caplog.set_level(logging.WARNING, logger="django_llmcache")
    here = threading.get_ident()
    return lambda: [record.getMessage() for record in caplog.records if record.thread == here]


class TestClears:
    def test_a_worker_begins_at_the_end(self, channel, run_dir, store):
        announce(run_dir)

        channel.look()

        assert store.cleared == []
        assert own_report(run_dir)["seen"] == 1

    def test_what_is_announced_later_is_applied_once_and_acknowledged_at_once(self, channel, run_dir, store):
        channel.look()
        for tag in "ab":
            announce(run_dir, tag=tag)

        channel.look()
        channel.look()

        assert store.cleared == [Selector(tag="a"), Selector(tag="b")]
        report = own_report(run_dir)
        assert (report["seen"], report["cleared"]) == (2, {"1": 3, "2": 3})

    def test_a_gap_clears_everything_once(self, channel, run_dir, store):
        channel.look()
        for tag in "abc":
            announce(run_dir, tag=tag)
        (run_dir / "clears" / "000000000002.json").unlink()

        channel.look()
        channel.look()

        assert store.cleared == [Selector(tag="a"), Selector()]
        assert own_report(run_dir)["cleared"] == {"1": 3, "3": 3}

    def test_a_deleted_folder_is_made_again_and_nothing_is_cleared(self, channel, run_dir, store):
        announce(run_dir)
        channel.look()
        shutil.rmtree(run_dir)

        channel.look()

        assert store.cleared == []
        assert own_report(run_dir)["seen"] == 0

    def test_a_clear_that_fails_is_tried_again_and_what_came_before_it_acknowledged(
        self, channel, run_dir, store, clock, warnings
    ):
        channel.look()
        announce(run_dir, tag="a")
        channel.look()
        announce(run_dir, tag="b")
        store.fault = RuntimeError("no")
        store.stats = {"hits": 1}
        clock.now += PUBLISH_EVERY
        channel.look()
        while_failing = own_report(run_dir)
        store.fault = None
        channel.look()

        assert (while_failing["seen"], while_failing["stats"]) == (1, {"hits": 1})
        assert store.cleared == [Selector(tag="a"), Selector(tag="b")]
        assert own_report(run_dir)["seen"] == 2
        assert len(warnings()) == 1

    def test_the_last_acknowledgements_are_kept(self, channel, run_dir, monkeypatch):
        monkeypatch.setattr(channels, "_CLEARED_KEPT", 2)
        channel.look()
        for tag in "abcd":
            announce(run_dir, tag=tag)

        channel.look()

        assert own_report(run_dir)["cleared"] == {"3": 3, "4": 3}

    def test_a_clear_announced_while_the_folder_could_not_be_used_is_applied(self, channel, run_dir, store):
        run_dir.write_text("a file in its place")
        channel.look()
        run_dir.unlink()
        announce(run_dir, tag="a")

        channel.look()

        assert store.cleared == [Selector(tag="a")]

    def test_a_receiver_of_an_eviction_may_use_the_cache(self, run_dir, clock):
        channel = Channel(lambda: run_dir, clock=clock)
        applied = []

        def apply(selector):
            applied.append(selector)
            channel.poll()

        channel.connect(apply=apply, publish=dict)
        channel.look()
        announce(run_dir, tag="a")
        channel.look()
        channel.close()

        assert applied == [Selector(tag="a")]


class TestTelling:
    """A worker that clears by itself lets the others know."""

    def test_the_others_hear_of_it_and_it_is_not_applied_here_again(self, channel, run_dir, store):
        channel.look()

        channel.tell(Selector(tag="a"))
        channel.look()

        assert steps(run_dir) == [(1, Selector(tag="a"))]
        assert store.cleared == []
        assert own_report(run_dir)["seen"] == 1

    def test_what_the_others_announced_before_is_applied(self, channel, run_dir, store):
        channel.look()
        announce(run_dir, tag="theirs")

        channel.tell(Selector(tag="ours"))
        channel.look()

        assert store.cleared == [Selector(tag="theirs")]

    def test_behind_a_clear_of_the_same_moment_it_is_applied_again(self, channel, run_dir, store, monkeypatch):
        channel.look()
        with monkeypatch.context() as patch:
            patch.setattr(channel, "_apply", lambda _: announce(run_dir, tag="second"))
            announce(run_dir, tag="first")
            channel.tell(Selector(tag="ours"))

        channel.look()

        assert store.cleared == [Selector(tag="second"), Selector(tag="ours")]

    def test_a_process_that_is_no_worker_tells_and_does_not_become_one(self, run_dir, clock):
        channel = Channel(lambda: run_dir, clock=clock)

        channel.tell(Selector(tag="a"))

        assert steps(run_dir) == [(1, Selector(tag="a"))]
        assert not channel.listening

    def test_a_closed_channel_still_tells(self, channel, run_dir):
        channel.close()

        channel.tell(Selector(tag="a"))

        assert steps(run_dir) == [(1, Selector(tag="a"))]

    def test_a_child_tells_as_itself(self, channel, run_dir, store, monkeypatch):
        channel.look()
        monkeypatch.setattr(channel, "_pid", 1)

        channel.tell(Selector(tag="a"))
        channel.look()

        assert steps(run_dir) == [(1, Selector(tag="a"))]
        assert store.cleared == []

    def test_a_folder_that_can_not_be_used_costs_no_call(self, channel, run_dir, warnings):
        run_dir.write_text("")

        channel.tell(Selector(tag="a"))

        assert len(warnings()) == 1


class TestPublishing:
    def test_a_worker_shows_itself_at_once(self, channel, run_dir, store):
        assert not channel.listening

        channel.look()

        assert channel.listening
        assert own_report(run_dir)["stats"] == {"hits": 0}

    @pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no file modes")
    def test_its_file_is_this_users_alone(self, channel, run_dir):
        channel.look()

        assert stat.S_IMODE((run_dir / file_of(os.getpid())).stat().st_mode) == 0o600

    @pytest.mark.parametrize(
        ("seconds", "hits", "seen"),
        [
            (PUBLISH_EVERY - 0.1, 5, 0),
            (PUBLISH_EVERY, 5, 5),
            (HEARTBEAT - 0.1, 0, 0),
        ],
        ids=["too soon", "changed", "unchanged"],
    )
    def test_what_changed_is_published_every_two_seconds(self, channel, run_dir, store, clock, seconds, hits, seen):
        channel.look()
        before = (run_dir / file_of(os.getpid())).stat().st_mtime_ns
        store.stats["hits"] = hits
        clock.now += seconds

        channel.look()

        assert own_report(run_dir)["stats"] == {"hits": seen}
        assert ((run_dir / file_of(os.getpid())).stat().st_mtime_ns == before) is (seen == 0)

    def test_an_idle_worker_writes_every_minute(self, channel, run_dir, clock):
        channel.look()
        before = (run_dir / file_of(os.getpid())).stat().st_ino
        clock.now += HEARTBEAT

        channel.look()

        assert (run_dir / file_of(os.getpid())).stat().st_ino != before

    def test_all_is_published_on_demand(self, channel, run_dir, store):
        channel.look()
        store.stats["hits"] = 9

        channel.look(publish=True)

        assert own_report(run_dir)["stats"] == {"hits": 9}

    @pytest.mark.parametrize("harm", [os.unlink, lambda path: path.write_text("{")], ids=["removed", "damaged"])
    def test_a_file_that_was_harmed_is_written_anew(self, channel, run_dir, harm):
        channel.look()
        harm(run_dir / file_of(os.getpid()))

        channel.look()

        assert own_report(run_dir)["pid"] == os.getpid()


class TestDue:
    def test_a_channel_without_a_store_is_never_due(self, run_dir):
        channel = Channel(lambda: run_dir)

        assert channel.due == math.inf
        channel.poll()
        assert channel.due == math.inf
        assert not run_dir.exists()

    def test_a_connected_channel_is_due_at_once(self, channel, clock):
        assert clock() >= channel.due

    def test_after_a_look_it_is_due_when_the_thread_is_late(self, channel, clock):
        channel.look()

        assert channel.due == clock() + OVERDUE

    def test_a_poll_starts_one_thread(self, channel, clock):
        before = len(watchers())
        channel.poll()
        clock.now += OVERDUE
        channel.poll()

        assert len(watchers()) == before + 1

    def test_a_call_that_is_due_waits_for_the_look_of_another(self, channel, run_dir, store):
        channel.look()
        announce(run_dir, tag="a")
        channel.due = 0
        begun, go = threading.Event(), threading.Event()
        apply = store.apply

        def slow(selector):
            begun.set()
            assert go.wait(20)
            return apply(selector)

        channel.connect(apply=slow, publish=dict)
        other = threading.Thread(target=channel.look)
        other.start()
        assert begun.wait(20)
        threading.Timer(0.02, go.set).start()
        channel.poll()

        assert store.cleared == [Selector(tag="a")]
        other.join()

    def test_a_call_does_not_wait_for_a_file_system_that_hangs(self, channel, run_dir, clock, monkeypatch):
        monkeypatch.setattr(channels, "PATIENCE", 0.01)
        begun, go = threading.Event(), threading.Event()

        def hang():
            begun.set()
            assert go.wait(20)
            return {}

        channel.connect(apply=lambda _: 0, publish=hang)
        other = threading.Thread(target=channel.look)
        other.start()
        assert begun.wait(20)
        channel.poll()
        given_up_until = channel.due
        go.set()
        other.join()

        assert given_up_until == clock() + GIVEN_UP
        assert channel.due == clock() + OVERDUE

    def test_where_no_thread_can_start_the_calls_look_for_themselves(
        self, channel, run_dir, store, clock, monkeypatch, warnings
    ):
        def refuse(_thread):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            channel.poll()
            announce(run_dir)
            clock.now += OVERDUE
            channel.poll()

        assert store.cleared == [Selector()]
        assert len(warnings()) == 1

    def test_the_thread_looks_by_itself(self, channel, run_dir, store, monkeypatch):
        monkeypatch.setattr(channels, "LOOK_EVERY", 0.01)
        applied = threading.Event()
        channel.connect(apply=lambda _: applied.set(), publish=dict)
        channel.poll()

        announce(run_dir)

        assert applied.wait(20)


class TestEnd:
    def test_a_closed_channel_has_no_file_and_no_thread_and_is_never_due(self, channel, run_dir, store):
        before = len(watchers())
        channel.poll()
        channel.close()
        channel.poll()
        channel.look()

        assert not (run_dir / file_of(os.getpid())).exists()
        assert len(watchers()) == before
        assert channel.due == math.inf

    def test_a_channel_that_was_never_used_closes(self, channel, run_dir):
        channel.close()

        assert not run_dir.exists()

    def test_it_closes_without_its_folder(self, channel, run_dir):
        channel.look()
        shutil.rmtree(run_dir)

        channel.close()

        assert not run_dir.exists()

    def test_it_closes_while_the_file_system_hangs(self, channel):
        channel._lock.acquire()

        channel.close()

        assert channel.due == math.inf

    def test_a_file_that_can_not_be_removed_is_only_logged(self, channel, monkeypatch, warnings):
        channel.look()

        def refuse(*_):
            raise OSError(errno.EROFS, "Read-only file system")

        with monkeypatch.context() as patch:
            patch.setattr(Folder, "remove", refuse)
            channel.close()

        assert "Read-only file system" in warnings()[0]


class TestFork:
    """What a child does, told by another process id; test_machine.py forks for real."""

    def test_a_child_begins_without_the_hook_too(self, channel, run_dir, store, clock, monkeypatch):
        channel.look()
        announce(run_dir, tag="a")
        clock.now += OVERDUE
        monkeypatch.setattr(channel, "_pid", 1)

        channel.poll()

        assert store.cleared == [Selector(tag="a")]
        assert own_report(run_dir)["cleared"] == {"1": 3}

    def test_a_child_is_due_at_once(self, channel, clock):
        channel.look()

        channel.forked()

        assert clock() >= channel.due
        assert not channel.listening

    def test_a_child_of_a_process_without_a_store_is_never_due(self, run_dir):
        channel = Channel(lambda: run_dir)

        channel.forked()

        assert channel.due == math.inf

    def test_a_child_that_ends_unused_leaves_its_parents_file(self, channel, run_dir, monkeypatch):
        channel.look()
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)
            channel.close()

        assert own_report(run_dir)["pid"] == os.getpid()


class TestSettings:
    def test_another_folder_holds_at_the_next_look(self, tmp_path, clock, store):
        folders = [tmp_path / "a"]
        channel = Channel(lambda: folders[-1], clock=clock)
        channel.connect(apply=store.apply, publish=dict)
        channel.look()
        folders.append(tmp_path / "b")
        announce(tmp_path / "b")

        channel.look()

        assert store.cleared == []
        assert not (tmp_path / "a" / file_of(os.getpid())).exists()
        assert own_report(tmp_path / "b")["seen"] == 1
        channel.close()

    def test_another_empty_folder_holds_at_the_next_look(self, tmp_path, clock):
        folders = [tmp_path / "a"]
        channel = Channel(lambda: folders[-1], clock=clock)
        channel.connect(apply=lambda _: 0, publish=dict)
        channel.look()
        folders.append(tmp_path / "b")

        channel.look()

        assert own_report(tmp_path / "b")["seen"] == 0
        channel.close()


class TestFaults:
    @pytest.mark.parametrize(
        "harm",
        [lambda path: path.write_text(""), lambda path: (path.mkdir(), path.chmod(0o777))],
        ids=["file", "writable by others"],
    )
    def test_a_folder_that_is_refused_is_logged_once_and_costs_no_call(self, channel, run_dir, clock, warnings, harm):
        harm(run_dir)

        for _ in range(3):
            channel.poll()
            clock.now += OVERDUE

        [warning] = warnings()
        assert "hears of no clear from a shell" in warning
        assert f"RunDirError: {run_dir} is not used by llmcache" in warning

    def test_each_cause_is_logged(self, run_dir, clock, warnings):
        faults = [RunDirError("a"), OSError(errno.ENOSPC, "full"), OSError(errno.ENOSPC, "full, other file")]
        faults += [
            RunDirError("b"),
            RunDirError("a"),
            ConfigurationError("c"),
            OSError(errno.EROFS, "read-only"),
            KeyError(1),
            KeyError(2),
        ]
        pending = iter(faults)

        def fail():
            raise next(pending)

        channel = Channel(fail, clock=clock)
        channel.connect(apply=lambda _: 0, publish=dict)
        for _ in faults:
            channel.look()
        channel.close()

        assert [text.partition("go on. ")[2] for text in warnings()] == [
            "RunDirError: a",
            "OSError: [Errno 28] full",
            "RunDirError: b",
            "OSError: [Errno 30] read-only",
            "KeyError: 1",
        ]

    def test_an_acknowledgement_that_could_not_be_written_is_written_later(self, channel, run_dir, monkeypatch, store):
        channel.look()
        announce(run_dir)

        def refuse(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Folder, "write", refuse)
            channel.look()
        before = own_report(run_dir)["seen"]
        channel.look()

        assert (before, own_report(run_dir)["seen"], len(store.cleared)) == (0, 1, 1)

    def test_what_json_can_not_say_is_logged(self, channel, store, warnings):
        store.stats = {"hits": object()}

        channel.look()

        assert "not JSON serializable" in warnings()[0]

    def test_a_private_temporary_directory_is_told_once(self, channel, clock, monkeypatch, warnings):
        monkeypatch.setattr(channels, "private_tmp_warning", lambda path: f"{path} is private")

        for _ in range(3):
            channel.look()

        assert len(warnings()) == 1
