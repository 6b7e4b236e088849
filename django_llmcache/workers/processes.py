"""What one process can tell about another: whether it lives, and is still the same one."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

PROC = Path("/proc")


def place() -> str:
    """Return a name for where process ids mean the same: the machine, and the container in it."""
    try:
        namespace = (PROC / "self/ns/pid").readlink()
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()} {namespace}"


def start_id(pid: int) -> int | None:
    """Return what tells a process from a later one of the same id, ``None`` where nothing does."""
    fields = _status(pid)
    return int(fields[19]) if fields else None  # field 22 of proc(5): clock ticks since the machine started


def is_alive(pid: int, started: int | None) -> bool | None:
    """Return whether the process that had this start id lives, ``None`` where nobody can tell (Windows)."""
    if (PROC / "self/stat").exists():
        fields = _status(pid)
        return bool(fields) and fields[0] not in (b"Z", b"X") and started in (None, int(fields[19]))
    if sys.platform == "win32":  # where signal 0 is no question but Ctrl-C
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _status(pid: int) -> list[bytes]:
    """Return the fields of proc(5)'s ``stat`` from the third on, none when there is no such process."""
    try:
        return (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []
