"""Workers that a shell does not reach are found, and told with the cure."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from django.test import override_settings

from django_llmcache import conf, users
from django_llmcache.workers.folder import Folder, default_name
from django_llmcache.workers.reports import FRESH, WorkerReport, file_of
from django_llmcache.workers.strangers import find_strangers

HERE = os.getpid()
NOBODY = 65534
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root may change owners and roots")


@pytest.fixture
def temporary(tmp_path) -> Path:
    """Return a temporary directory like /tmp."""
    path = tmp_path / "tmp"
    path.mkdir()
    path.chmod(0o1777)
    return path


@pytest.fixture
def ours(temporary) -> Path:
    """Return the folder of this shell, which is not there."""
    return temporary / default_name()


def settle(folder, **changes):
    """Let this process be a worker in a folder."""
    report = WorkerReport.of_this_process(seen=0, cleared={}, stats={})._replace(**changes)
    Folder.make(folder).write(file_of(report.pid), report.as_dict())
    return folder


def named(name, *, uid=None, digest=None):
    """Return a folder's name changed in one part."""
    word, user, project = name.split("-")
    return f"{word}-{uid or user}-{digest or project}"


@pytest.fixture
def find(ours, temporary, tmp_path):
    """Return what looks through ``temporary`` alone, without processes."""
    return lambda path=ours, **options: find_strangers(path, temporary=(temporary,), proc=tmp_path / "proc", **options)


class TestFolders:
    def test_nobody_is_found_where_nobody_is(self, find):
        assert find() == []

    def test_our_own_workers_are_no_strangers(self, find, ours):
        settle(ours)

        assert find() == []

    def test_other_projects_are_no_strangers(self, find, ours):
        settle(ours.with_name(named(ours.name, digest="0" * 12)), base_dir="/srv/other")

        assert find() == []

    def test_dead_workers_are_no_strangers_and_their_files_stay(self, find, ours):
        other = settle(ours.with_name(named(ours.name, digest="0" * 12)), pid=2**22 + 1)

        assert find() == []
        assert [file.suffix for file in other.iterdir()] == [".json"]

    def test_another_settings_module_is_told(self, find, ours):
        other = settle(ours.with_name(named(ours.name, digest="0" * 12)), settings="site.production")

        [stranger] = find()

        assert (stranger.kind, stranger.folder, stranger.pids) == ("settings", other, (HERE,))
        assert f"Worker {HERE} of user " in stranger.text
        assert "with the settings module 'site.production', this shell has 'tests.settings'" in stranger.text
        assert stranger.cure == "Run this with --settings=site.production."

    def test_another_temporary_directory_is_told(self, ours, temporary, tmp_path):
        elsewhere = tmp_path / "var"
        elsewhere.mkdir()
        settle(elsewhere / ours.name)

        [stranger] = find_strangers(ours, temporary=(temporary, elsewhere), proc=tmp_path / "proc")

        assert (stranger.kind, stranger.folder) == ("folder", elsewhere / ours.name)
        assert "LLMCACHE['RUN_DIR']" in stranger.cure

    def test_workers_that_still_use_the_default_are_told_to_a_shell_with_a_folder_of_its_own(
        self, find, ours, tmp_path
    ):
        settle(ours)

        [stranger] = find(tmp_path / "named")

        assert (stranger.kind, stranger.folder) == ("folder", ours)
        assert "restart the workers" in stranger.cure

    @needs_root
    def test_another_users_workers_are_told(self, find, ours):
        other = settle(ours.with_name(named(ours.name, uid=NOBODY)))
        os.chown(other, NOBODY, NOBODY)

        [stranger] = find()

        assert (stranger.kind, stranger.pids) == ("user", (HERE,))
        assert stranger.text == f"Worker {HERE} of user nobody: in that user's folder, {other}."
        assert stranger.cure == "Run this as that user: sudo -u nobody …"

    def test_several_workers_are_told_together(self, find, ours):
        other = ours.with_name(named(ours.name, digest="0" * 12))
        settle(other, settings="a")
        settle(other, settings="b", pid=os.getppid(), started=None)

        [stranger] = find()

        assert set(stranger.pids) == {HERE, os.getppid()}
        assert stranger.text.startswith("Workers ")
        assert "'a' and 'b'" in stranger.text

    def test_a_file_a_link_and_a_damaged_folder_are_no_strangers(self, find, ours, tmp_path):
        ours.with_name(named(ours.name, uid=1)).write_text("")
        ours.with_name(named(ours.name, uid=2)).symlink_to(settle(tmp_path / "x"))
        damaged = ours.with_name(named(ours.name, uid=3))
        damaged.mkdir()
        (damaged / file_of(HERE)).write_text("{")

        assert find() == []

    def test_a_folder_that_goes_meanwhile_is_no_stranger(self, find, ours, monkeypatch):
        other = settle(ours.with_name(named(ours.name, digest="0" * 12)))
        lstat = Path.lstat

        def gone(path):
            if path == other:
                raise FileNotFoundError
            return lstat(path)

        monkeypatch.setattr(Path, "lstat", gone)

        assert find() == []


@needs_root
class TestUnreadable:
    """Root's folders, seen by a user who may not read them."""

    @pytest.fixture(autouse=True)
    def way_in(self, temporary):
        """Let anybody come as far as ``temporary``, which pytest keeps to its user."""
        shelter = Path(tempfile.mkdtemp(prefix="llmcache-tests-"))
        shelter.chmod(0o1777)
        self.shelter = shelter
        yield
        shutil.rmtree(shelter)

    def look(self):
        name = default_name()
        os.seteuid(NOBODY)
        try:
            path = self.shelter / default_name()
            return name, find_strangers(path, temporary=(self.shelter,), proc=self.shelter / "proc")
        finally:
            os.seteuid(0)

    def test_a_folder_in_use_is_told(self):
        settle(self.shelter / default_name())

        name, [stranger] = self.look()

        assert (stranger.kind, stranger.folder.name, stranger.pids) == ("user", name, ())
        assert stranger.text.startswith("User root may run workers of this project")
        assert stranger.cure == "Run this as that user: sudo -u root …"

    def test_a_folder_nobody_wrote_to_lately_is_not(self):
        folder = settle(self.shelter / default_name())
        past = time.time() - FRESH - 1
        os.utime(folder, (past, past))

        assert self.look()[1] == []

    def test_another_projects_folder_is_not(self):
        settle(self.shelter / named(default_name(), digest="0" * 12))

        assert self.look()[1] == []


class TestPrivate:
    """Workers in another mount namespace, or under another root."""

    def test_a_private_directory_of_systemd_is_looked_into(self, find, ours, temporary):
        inside = temporary / "systemd-private-0a1b-web.service-x9" / "tmp"
        inside.mkdir(parents=True)
        settle(inside / ours.name)

        [stranger] = find()

        assert (stranger.kind, stranger.folder, stranger.pids) == ("private_tmp", inside / ours.name, (HERE,))
        assert "systemd's PrivateTmp" in stranger.text
        assert "RuntimeDirectory=" in stranger.cure
        assert "sudo" not in stranger.cure

    @needs_root
    def test_another_users_private_directory_is_told_with_both_cures(self, find, ours, temporary):
        inside = temporary / "systemd-private-0a1b-web.service-x9" / "tmp"
        inside.mkdir(parents=True)
        os.chown(settle(inside / named(ours.name, uid=NOBODY)), NOBODY, NOBODY)

        [stranger] = find()

        assert stranger.kind == "private_tmp"
        assert "RuntimeDirectory=" in stranger.cure
        assert stranger.cure.endswith("sudo -u nobody …")

    def test_processes_of_another_container_are_left_alone(self, ours, temporary, tmp_path):
        inside = tmp_path / "proc" / "7" / "root" / temporary.relative_to("/")
        inside.mkdir(parents=True)
        settle(inside / ours.name)
        for process, namespace in (("7", "pid:[1]"), ("self", "pid:[2]")):
            (tmp_path / "proc" / process / "ns").mkdir(parents=True)
            (tmp_path / "proc" / process / "ns" / "pid").symlink_to(namespace)

        assert find_strangers(ours, temporary=(temporary,), proc=tmp_path / "proc") == []

    @pytest.mark.skipif(not IS_ROOT or shutil.which("unshare") is None, reason="needs root and unshare")
    def test_a_real_worker_with_private_mounts_is_found_and_warns(self, crew, temporary, tmp_path, ours):
        private = tmp_path / "systemd-private-0a1b-web.service-x9" / "tmp"
        private.mkdir(parents=True)
        mount = f"mount --bind {private} {temporary}"
        permitted = subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False)
        if permitted.returncode:
            pytest.skip(f"no mounts here: {permitted.stderr.decode()}")
        worker = crew.hire(
            {"BASE_DIR": conf.project()[0]},
            prefix=("unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"),
            environment={"TMPDIR": str(temporary)},
        )

        [stranger] = find_strangers(ours, temporary=(temporary,))
        errors = "".join(worker.end())

        assert (stranger.kind, stranger.pids) == ("private_tmp", (worker.pid,))
        assert re.match(r"/proc/\d+/root/.*/tmp/llmcache-", str(stranger.folder))
        assert "is in a temporary directory of this service's own (systemd's PrivateTmp)" in errors

    @needs_root
    def test_a_real_worker_in_a_chroot_is_found(self, crew, temporary, tmp_path, ours):
        jail = tmp_path / "jail"
        (jail / temporary.relative_to("/")).mkdir(parents=True)
        worker = crew.hire(
            {"BASE_DIR": conf.project()[0]},
            options=("--chroot", str(jail)),
            environment={"TMPDIR": str(temporary)},
        )

        [stranger] = find_strangers(ours, temporary=(temporary,))

        assert (stranger.kind, stranger.pids) == ("private_tmp", (worker.pid,))


def test_where_there_are_no_user_ids_every_folder_is_mine(find, ours, monkeypatch):
    other = settle(ours.with_name(named(ours.name, digest="0" * 12)), settings="x")
    other.chmod(0o755)
    monkeypatch.setattr(users, "get_uid", None)

    assert [stranger.kind for stranger in find()] == ["settings"]


def test_by_default_the_usual_temporary_directories_are_looked_through(tmp_path):
    shelter = Path(tempfile.mkdtemp(prefix="llmcache-tests-"))
    try:
        with override_settings(BASE_DIR=tmp_path):
            settle(shelter / "run")
            found = find_strangers(shelter / "elsewhere")
    finally:
        shutil.rmtree(shelter)

    assert found == []
