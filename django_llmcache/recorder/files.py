"""The files of a fixture folder: listed, read, and written so that a reader sees a whole one or none."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple

from django_llmcache.users import is_mine

from .contents import SideFile
from .fields import FixtureError

Stamp = tuple[int, int, int, int]
"""Times of change of a file's content and of its status, its size and its number."""

SIDE: Final = SideFile.SUFFIX
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)  # Windows has none
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for somebody who writes to it
_JUNCTION: Final = 0xA0000003
_BINARY: Final = getattr(os, "O_BINARY", 0)  # of Windows alone


def names_in(folder: str) -> list[str]:
    """Return the names of the fixtures in a key's folder and of their side files, sorted."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - not Paths: this is on the way of a replayed call
    except (FileNotFoundError, NotADirectoryError):
        return []
    fixtures = [name for name in names if name.endswith(".json") and name[0] != "."]
    if len(names) == len(fixtures) == 1:  # as most often
        return fixtures
    sides = {side_of(name) for name in fixtures}.intersection(names) if len(names) > len(fixtures) else ()
    return sorted((*fixtures, *sides))


def side_of(file: str) -> str:
    """Return the path of a fixture's side file."""
    return file.removesuffix(".json") + SIDE


def stamp_of(file: str) -> Stamp:
    """Return what changes when a file is written, edited or replaced.

    Raises:
        FileNotFoundError: it is not there.
    """
    return _stamp(os.lstat(file))


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def folders_in(parent: Path) -> list[Path]:
    """Return the folders in a folder, sorted; links are none."""
    # Sorted as texts, in a fifth of the time that it takes to compare paths.
    return [parent / name for name in sorted(folder_names_in(parent))]


def folder_names_in(parent: Path) -> set[str]:
    """Return the names of the folders in a folder; links are none."""
    try:
        with os.scandir(parent) as entries:
            return {one.name for one in entries if one.is_dir(follow_symlinks=False)}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def key_folders(provider: Path) -> Iterator[Path]:
    """Return the folders of a provider's keys."""
    for endpoint in folders_in(provider):
        yield from folders_in(endpoint)


def fixtures_in(folder: Path) -> list[Path]:
    """Return the files in a key's folder that should be fixtures, sorted."""
    return [folder / name for name in names_in(str(folder)) if name.endswith(".json")]


def leftovers_in(folder: Path) -> list[Path]:
    """Return what writers that were killed have left in a key's folder, or are still about to finish."""
    lonely = (side for side in folder.glob(f"*{SIDE}") if not side.with_suffix(".json").exists())
    return [path for path in (*folder.glob(".*.json.tmp"), *lonely) if not path.is_dir()]


class File(NamedTuple):
    """The content of a file, and its stamp of before that was read."""

    content: bytes
    stamp: Stamp


def read_file(path: Path | str) -> File:
    """Return what is in a file.

    Raises:
        FixtureError: it is a link, a device or a folder.
        FileNotFoundError: it is not there.
    """
    if not _NO_FOLLOW:
        _refuse_all_but_plain(path, os.lstat(path))
    try:
        number = os.open(path, os.O_RDONLY | _BINARY | _NO_FOLLOW | _NO_WAIT)
    except FileNotFoundError:
        raise
    except OSError:
        _refuse_all_but_plain(path, os.lstat(path))
        raise
    try:
        status = os.fstat(number)
        _refuse_all_but_plain(path, status)
        content = os.read(number, status.st_size + 1)
        while len(content) != status.st_size and (more := os.read(number, status.st_size + 1)):
            content += more
    finally:
        os.close(number)
    return File(content, _stamp(status))


def open_own(path: Path | str, flags: int) -> int:
    """Open a file outside the fixture folder; a new one is for this user alone.

    Whoever shares the temporary directory may have put something there under its name.

    Raises:
        PermissionError: it is not a plain file of this user.
        OSError: it can't be opened, or is a link.
    """
    number = os.open(path, flags | _NO_FOLLOW | _NO_WAIT | _BINARY, 0o600)
    status = os.fstat(number)
    if not (stat.S_ISREG(status.st_mode) and is_mine(status)):
        os.close(number)
        raise PermissionError(errno.EPERM, "it is not a file of this user", str(path))
    return number


def _refuse_all_but_plain(path: Path | str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise FixtureError(path, "", "it is not a plain file")


def refuse_links(folder: str, root: str, known: set[str]) -> None:
    """Refuse a folder that is, or lies in, a link; the root itself may be one.

    Args:
        folder: below the root.
        root: the fixture folder.
        known: parents that were looked at before; those of this one are added.

    Raises:
        FixtureError: it is, or does.
    """
    if _is_link(folder):
        raise FixtureError(Path(folder), "", "a symbolic link leads to another folder than this")
    parent = folder.rpartition(os.sep)[0]  # not a Path: this is on the way of a replayed call
    if parent not in known and len(parent) > len(root):
        refuse_links(parent, root, known)
        known.add(parent)


def _is_link(path: str) -> bool:
    """Return whether a path is a symbolic link, or a junction of Windows; one that is not there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


def create(path: Path, content: bytes, side: bytes | None) -> None:
    """Write a new fixture; the side file comes before it, so that whoever sees the fixture finds it whole.

    The temporary file reserves the name, as no two processes can make it; so no hard link is needed.

    Raises:
        FileExistsError: the name is taken.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    _write_new(temporary, content)
    beside = path.with_suffix(SIDE)
    made = [temporary]
    try:
        if path.exists():
            raise FileExistsError(path)
        if side is not None:
            _write_new(beside, side)
            made.append(beside)
        temporary.replace(path)
    except BaseException:
        for file in made:
            file.unlink(missing_ok=True)
        raise


def put(path: Path, content: bytes, side: bytes | None) -> None:
    """Write a fixture under a name that is free or its own already; what a writer that was killed left is no obstacle.

    Where it has a side file already, that stays as it is if the content is the same.
    """
    beside = path.with_suffix(SIDE)
    if side is not None and not (beside.exists() and read_file(beside).content == side):
        _replace(beside, side)
    _replace(path, content)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}-{token_hex(2)}.json.tmp")
    _write_new(temporary, content)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_new(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | _NO_FOLLOW
    number = os.open(path, flags, 0o666)  # the umask says who may read it, as of any source file
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(number)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
