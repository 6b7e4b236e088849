"""What one process can tell about another."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from django_llmcache.workers import processes
from django_llmcache.workers.processes import is_alive, place, start_id

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
NO_PID = 2**22 + 1


@pytest.fixture
def without_proc(tmp_path, monkeypatch):
    """Look for processes where none are listed, as on macOS and Windows."""
    monkeypatch.setattr(processes, "PROC", tmp_path)


@needs_proc
class TestWithProc:
    def test_a_process_keeps_its_start_id(self):
        assert isinstance(start_id(os.getpid()), int)
        assert start_id(os.getpid()) == start_id(os.getpid())

    def test_a_process_that_is_not_there_has_none(self):
        assert start_id(NO_PID) is None

    def test_this_process_lives(self):
        assert is_alive(os.getpid(), start_id(os.getpid()))
        assert is_alive(os.getpid(), None)

    def test_a_later_process_of_the_same_id_is_another(self):
        assert is_alive(os.getpid(), start_id(os.getpid()) - 1) is False

    def test_a_process_that_is_not_there_does_not_live(self):
        assert is_alive(NO_PID, None) is False

    def test_a_process_name_with_brackets_is_read(self, tmp_path):
        copy = tmp_path / "a) R 1"
        copy.symlink_to("/bin/sleep")
        sleeper = subprocess.Popen([copy, "60"])
        try:
            assert is_alive(sleeper.pid, start_id(sleeper.pid))
        finally:
            sleeper.kill()
            sleeper.wait()

    def test_the_place_tells_machine_and_container(self):
        assert place().startswith(f"{socket.gethostname()} pid:[")


@pytest.mark.usefixtures("without_proc")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't ask")
class TestWithoutProc:
    def test_nothing_tells_a_later_process_of_the_same_id(self):
        assert start_id(os.getpid()) is None
        assert is_alive(os.getpid(), None)

    @pytest.mark.parametrize("pid", [NO_PID, 10**30])
    def test_a_process_that_is_not_there_does_not_live(self, pid):
        assert is_alive(pid, None) is False

    def test_another_users_process_lives(self, monkeypatch):
        def refuse(_pid, _signal):
            raise PermissionError

        monkeypatch.setattr(os, "kill", refuse)

        assert is_alive(os.getpid(), None)

    def test_windows_is_not_asked(self, monkeypatch):
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("signal 0 is Ctrl-C there"))

        assert is_alive(os.getpid(), None) is None

    def test_the_place_is_the_machine(self):
        assert place() == socket.gethostname()
