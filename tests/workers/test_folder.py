"""What is trusted, where the folder is, and the JSON files in it."""

from __future__ import annotations

import errno
import getpass
import os
import re
import stat
import tempfile
from pathlib import Path

import pytest
from django.test import override_settings

from django_llmcache import conf, users
from django_llmcache.exceptions import ConfigurationError, RunDirError
from django_llmcache.workers.folder import LARGEST, Folder, default_name, run_dir

needs_posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no user ids")
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may chown")
refuses_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
NOBODY = 65534


@pytest.fixture
def folder(run_dir) -> Folder:
    return Folder.make(run_dir)


class TestTrust:
    @needs_posix
    def test_a_new_folder_is_this_users_alone(self, run_dir):
        Folder.make(run_dir)

        assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700

    def test_parents_of_a_named_folder_are_made(self, run_dir):
        assert Folder.make(run_dir / "a" / "b").path.is_dir()

    def test_a_folder_that_is_not_there_is_not_made_to_be_read(self, run_dir):
        assert Folder.existing(run_dir) is None
        assert not run_dir.exists()

    @needs_posix
    def test_a_planted_symbolic_link_is_refused(self, run_dir, tmp_path):
        run_dir.symlink_to(tmp_path)

        with pytest.raises(RunDirError, match=r"run is not used by llmcache: it is a symbolic link.*Remove it, or set"):
            Folder.make(run_dir)

    @needs_posix
    def test_a_link_that_leads_nowhere_is_refused(self, run_dir, tmp_path):
        run_dir.symlink_to(tmp_path / "nowhere")

        with pytest.raises(RunDirError, match="symbolic link"):
            Folder.make(run_dir)

    def test_a_file_in_its_place_is_refused(self, run_dir):
        run_dir.write_text("")

        with pytest.raises(RunDirError, match="it is not a folder"):
            Folder.make(run_dir)

    @needs_posix
    @pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
    def test_a_folder_that_others_may_write_to_is_refused(self, run_dir, mode):
        run_dir.mkdir()
        run_dir.chmod(mode)

        with pytest.raises(RunDirError, match=rf"others may write to it \(mode 0{mode:o}\). Do `chmod go-w .*run`"):
            Folder.make(run_dir)

    @needs_posix
    def test_a_folder_that_others_may_read_is_used(self, run_dir):
        run_dir.mkdir()
        run_dir.chmod(0o755)

        assert Folder.make(run_dir).path == run_dir

    @needs_root
    def test_another_users_folder_is_refused_and_its_owner_named(self, run_dir):
        run_dir.mkdir()
        os.chown(run_dir, NOBODY, NOBODY)

        with pytest.raises(RunDirError, match=r"it belongs to user nobody, and this is root. .*sudo -u nobody"):
            Folder.make(run_dir)

    @needs_root
    def test_a_folder_in_a_place_that_is_not_ours_is_refused(self, tmp_path):
        tmp_path.chmod(0o755)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(RunDirError, match=r"cannot be used by llmcache: Permission denied. Let user nobody"):
                Folder.make(tmp_path / "run")
        finally:
            os.seteuid(0)

    @refuses_root
    def test_a_read_only_parent_is_refused(self, tmp_path):  # pragma: no cover - where the suite is not run by root
        tmp_path.chmod(0o500)

        with pytest.raises(RunDirError, match="cannot be used by llmcache: Permission denied"):
            Folder.make(tmp_path / "run")

    def test_a_parent_that_is_a_file_is_refused(self, tmp_path):
        (tmp_path / "file").write_text("")

        with pytest.raises(RunDirError, match="Not a directory"):
            Folder.make(tmp_path / "file" / "run")

    def test_where_there_are_no_user_ids_only_the_kind_is_looked_at(self, run_dir, monkeypatch):
        monkeypatch.setattr(users, "get_uid", None)
        run_dir.mkdir()
        run_dir.chmod(0o777)

        assert Folder.make(run_dir).path == run_dir


class TestFiles:
    def test_what_was_written_is_read(self, folder):
        folder.write("a.json", {"x": [1, "ü"]})
        folder.write("a.json", {"x": 2})

        assert folder.read("a.json") == {"x": 2}
        assert [path.name for path in folder.path.iterdir()] == ["a.json"]

    @needs_posix
    def test_a_file_is_this_users_alone(self, folder):
        folder.write("a.json", {})
        folder.create("b.json", {})

        assert {stat.S_IMODE((folder.path / name).stat().st_mode) for name in ("a.json", "b.json")} == {0o600}

    def test_a_file_is_created_once(self, folder):
        folder.create("a.json", {"x": 1})

        with pytest.raises(FileExistsError):
            folder.create("a.json", {"x": 2})

        assert folder.read("a.json") == {"x": 1}
        assert [path.name for path in folder.path.iterdir()] == ["a.json"]

    def test_without_hard_links_a_file_is_still_created_once(self, folder, monkeypatch):
        def refuse(*_, **__):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        folder.create("a.json", {"x": 1})

        with pytest.raises(FileExistsError):
            folder.create("a.json", {"x": 2})
        assert folder.read("a.json") == {"x": 1}
        assert [path.name for path in folder.path.iterdir()] == ["a.json"]

    @pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'{"x": "' + b"x" * LARGEST + b'"}'])
    def test_a_damaged_file_reads_as_none(self, folder, content):
        (folder.path / "a.json").write_bytes(content)

        assert folder.read("a.json") is None

    def test_a_folder_reads_as_none(self, folder):
        (folder.path / "a.json").mkdir()

        assert folder.read("a.json") is None

    @needs_posix
    def test_a_link_and_a_pipe_read_as_none(self, folder, tmp_path):
        (tmp_path / "elsewhere.json").write_text("{}")
        (folder.path / "a.json").symlink_to(tmp_path / "elsewhere.json")
        os.mkfifo(folder.path / "b.json")

        assert folder.read("a.json") is None
        assert folder.read("b.json") is None

    def test_a_file_that_is_not_there_is_told_apart(self, folder):
        with pytest.raises(FileNotFoundError):
            folder.read("a.json")
        assert folder.stamp("a.json") is None
        assert folder.age("a.json") == float("inf")
        folder.remove("a.json")

    def test_names_match_whole(self, folder):
        for name in ("2.json", "1.json", "x1.json", "1.json.tmp"):
            folder.write(name, {})

        assert folder.names(re.compile(r"\d+\.json")) == ["1.json", "2.json"]

    def test_a_write_that_fails_leaves_nothing_behind(self, folder):
        (folder.path / "a.json").mkdir()

        with pytest.raises(OSError, match="directory"):
            folder.write("a.json", {})

        assert [path.name for path in folder.path.iterdir()] == ["a.json"]

    def test_a_full_disk_leaves_nothing_behind(self, folder, monkeypatch):
        class Full:
            def __init__(self, number, _mode):
                os.close(number)

            def __enter__(self):
                raise OSError(errno.ENOSPC, "No space left on device")

            def __exit__(self, *_):
                """Never entered."""

        monkeypatch.setattr(os, "fdopen", Full)

        with pytest.raises(OSError, match="No space left"):
            folder.write("a.json", {})

        assert list(folder.path.iterdir()) == []

    def test_what_json_cannot_say_leaves_nothing_behind(self, folder):
        with pytest.raises(TypeError):
            folder.write("a.json", {"x": object()})

        assert list(folder.path.iterdir()) == []


class TestRunDir:
    def test_a_named_folder_is_used_as_it_is(self, tmp_path):
        with override_settings(LLMCACHE={"RUN_DIR": tmp_path / "x"}):
            assert run_dir() == tmp_path / "x"
        with override_settings(LLMCACHE={"RUN_DIR": str(tmp_path / "y")}):
            assert run_dir() == tmp_path / "y"

    def test_a_relative_folder_begins_at_base_dir(self, tmp_path):
        with override_settings(LLMCACHE={"RUN_DIR": "var/run"}, BASE_DIR=str(tmp_path)):
            assert run_dir() == tmp_path / "var" / "run"

    def test_a_relative_folder_begins_at_the_working_directory_without_base_dir(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with override_settings(LLMCACHE={"RUN_DIR": "run"}, BASE_DIR=None):
            assert run_dir() == tmp_path / "run"

    def test_a_folder_of_another_type_is_an_error(self):
        with override_settings(LLMCACHE={"RUN_DIR": 5}), pytest.raises(ConfigurationError, match="RUN_DIR"):
            run_dir()

    @pytest.mark.parametrize("unset", [None, ""])
    def test_under_a_test_runner_it_is_a_temporary_one_of_this_process(self, unset):
        with override_settings(LLMCACHE={"RUN_DIR": unset}):
            first, second = run_dir(), run_dir()

        assert first == second
        assert first.name.startswith("llmcache-process-")
        assert first.is_dir()

    def test_elsewhere_it_is_in_the_temporary_directory_under_a_name_of_its_own(self, monkeypatch):
        monkeypatch.setattr(conf, "under_test_runner", lambda: False)

        assert run_dir() == Path(tempfile.gettempdir()) / default_name()

    @needs_posix
    def test_the_default_name_tells_user_and_project(self, tmp_path):
        with override_settings(BASE_DIR=tmp_path):
            here = default_name()
        with override_settings(BASE_DIR=tmp_path / "other"):
            there = default_name()

        assert re.fullmatch(rf"llmcache-{os.geteuid()}-[0-9a-f]{{12}}", here)
        assert here != there

    def test_the_default_name_does_not_depend_on_the_working_directory(self, tmp_path, monkeypatch):
        here = default_name()
        monkeypatch.chdir(tmp_path)

        assert default_name() == here

    def test_without_user_ids_the_name_tells_the_user(self, monkeypatch):
        monkeypatch.setattr(users, "get_uid", None)
        monkeypatch.setattr(getpass, "getuser", lambda: "Ann B.")

        assert default_name().startswith("llmcache-Ann_B_-")
        assert users.me() == "Ann_B_"

    def test_a_user_without_a_name_is_just_a_user(self, monkeypatch):
        def fail():
            raise KeyError("USERNAME")

        monkeypatch.setattr(users, "get_uid", None)
        monkeypatch.setattr(getpass, "getuser", fail)

        assert default_name().startswith("llmcache-user-")


class TestProject:
    def test_it_is_base_dir_and_the_settings_module(self, tmp_path):
        with override_settings(BASE_DIR=tmp_path):
            assert conf.project() == (str(tmp_path.resolve()), "tests.settings")

    def test_without_base_dir_it_is_the_folder_of_the_settings_module(self):
        from tests import settings as module

        with override_settings(BASE_DIR=None):
            assert conf.project()[0] == str(Path(module.__file__).parent.resolve())

    def test_without_either_it_is_the_working_directory(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
        with override_settings(BASE_DIR=None):
            assert conf.project() == (str(tmp_path.resolve()), "")

    def test_a_test_runner_is_seen(self, monkeypatch):
        from django.test import utils

        assert conf.under_test_runner()
        monkeypatch.delattr(utils._TestState, "saved_data")
        assert not conf.under_test_runner()


@needs_posix
def test_an_unknown_user_is_a_number():
    assert users.user_name(4_000_000) == "4000000"
