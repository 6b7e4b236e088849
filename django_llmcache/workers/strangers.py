"""Workers of this project that a shell can't reach, each with the cure; so that nobody reads "no running worker"."""

from __future__ import annotations

import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from django_llmcache import conf
from django_llmcache.users import is_mine, user_name

from . import privacy, processes, reports
from .folder import Folder, default_name

_NAME: Final = re.compile(r"llmcache-\w+-[0-9a-f]{12}")
_PRIVATE: Final = re.compile(re.escape(privacy.MARK) + ".+")
_PROCESS: Final = re.compile(r"\d+")
_USUAL: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - looked at, never written to
_ONE_FOLDER: Final = (
    "Give this shell the TMPDIR of the workers, or set LLMCACHE['RUN_DIR'] to one folder for both "
    "and restart the workers."
)


class Stranger(NamedTuple):
    """Workers that keep their folder where this shell does not.

    Attributes:
        kind: ``user`` (another user's), ``private_tmp`` (in a temporary directory of a service's own), ``settings``
            (another settings module of this project), ``folder`` (another ``RUN_DIR`` or ``TMPDIR``).
        folder: where this shell sees their folder.
        pids: their process ids; none when the folder can't be read.
        text: what was found, one sentence.
        cure: what to do, one sentence or two.
    """

    kind: str
    folder: Path
    pids: tuple[int, ...]
    text: str
    cure: str


def find_strangers(
    path: Path, *, temporary: tuple[Path, ...] | None = None, proc: Path = processes.PROC
) -> list[Stranger]:
    """Return the workers of this project that do not use the folder ``path``.

    Args:
        path: the folder of this shell.
        temporary: the temporary directories to look through, the usual ones when ``None``.
        proc: where the processes of this machine are listed.
    """
    directories = temporary or (Path(tempfile.gettempdir()), *_USUAL)
    found = []
    seen = {_identity(path), None}
    for directory, foreign in _views((*directories, path.parent), proc):
        for folder in (directory / path.name, *_listed(directory, _NAME)):
            if (identity := _identity(folder)) not in seen:
                seen.add(identity)
                found.append(_stranger(folder, foreign=foreign))
    return [stranger for stranger in found if stranger is not None]


def _views(directories: tuple[Path, ...], proc: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each temporary directory once, and whether this process sees it under another path than its users."""
    seen: set[tuple[int, int] | None] = {None}
    for directory, foreign in _all_views(directories, proc):
        if (identity := _identity(directory, follow=True)) not in seen:
            seen.add(identity)
            yield directory, foreign


def _all_views(directories: tuple[Path, ...], proc: Path) -> Iterator[tuple[Path, bool]]:
    yield from ((directory, False) for directory in directories)
    for directory in directories:
        yield from ((private / "tmp", True) for private in _listed(directory, _PRIVATE))
    for process in _listed(proc, _PROCESS):
        if _is_neighbour(process):  # its root is how it sees the machine: its mounts, its chroot
            yield from ((process / "root" / directory.relative_to("/"), True) for directory in directories)


def _is_neighbour(process: Path) -> bool:
    """Return whether a process can be seen and is in no other container, where the same path is another project."""
    try:
        return (process / "ns/pid").readlink() == (process.parent / "self/ns/pid").readlink()
    except OSError:
        return False


def _stranger(folder: Path, *, foreign: bool) -> Stranger | None:
    """Return what to say of a folder, ``None`` when no worker of this project lives there."""
    try:
        found = folder.lstat()
    except OSError:  # its process ended while we looked
        return None
    base_dir, _ = conf.project()
    try:
        workers = [worker for worker in reports.live(Folder(folder), remove=False) if worker.base_dir == base_dir]
    except OSError:
        return _unreadable(folder, found)
    return _why_apart(folder, found, workers, foreign=foreign) if workers else None


def _why_apart(folder: Path, found: os.stat_result, workers: list[reports.WorkerReport], *, foreign: bool) -> Stranger:
    """Return why this shell does not reach these workers, and how it would."""
    settings = conf.project()[1]
    user = user_name(found.st_uid)
    pids = tuple(worker.pid for worker in workers)
    who = f"{'Worker' if len(pids) == 1 else 'Workers'} {', '.join(map(str, pids))} of user {user}"
    if foreign:
        text = f"{who}: in a temporary directory that this shell does not share (systemd's PrivateTmp), {folder}."
        cure = privacy.CURE if is_mine(found) else f"{privacy.CURE} {_as_user(user)}"
        return Stranger("private_tmp", folder, pids, text, cure)
    if not is_mine(found):
        return Stranger("user", folder, pids, f"{who}: in that user's folder, {folder}.", _as_user(user))
    others = sorted({worker.settings for worker in workers} - {settings})
    if others:
        text = f"{who}: with the settings module {' and '.join(map(repr, others))}, this shell has {settings!r}."
        return Stranger("settings", folder, pids, text, f"Run this with --settings={others[0]}.")
    return Stranger("folder", folder, pids, f"{who}: in another folder, {folder}.", _ONE_FOLDER)


def _unreadable(folder: Path, found: os.stat_result) -> Stranger | None:
    """Return what to say of another user's folder: its name tells the project, its time whether a worker lives."""
    ours = default_name().rpartition("-")[2]
    if folder.name.rpartition("-")[2] != ours or time.time() - found.st_mtime > reports.FRESH:
        return None
    user = user_name(found.st_uid)
    text = f"User {user} may run workers of this project: {folder} is in use, and this shell can't read it."
    return Stranger("user", folder, (), text, _as_user(user))


def _as_user(user: str) -> str:
    return f"Run this as that user: sudo -u {user} …"


def _listed(directory: Path, pattern: re.Pattern[str]) -> list[Path]:
    try:
        with os.scandir(directory) as found:
            return sorted(directory / file.name for file in found if pattern.fullmatch(file.name))
    except OSError:
        return []


def _identity(path: Path, *, follow: bool = False) -> tuple[int, int] | None:
    """Return what tells a directory from others, ``None`` when there is none or it can't be seen."""
    try:
        found = path.stat(follow_symlinks=follow)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None
