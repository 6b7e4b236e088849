"""The folder that processes of one user share: found, made, and trusted or refused; and the JSON files in it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson

from django_llmcache import conf, users
from django_llmcache.endings import at_exit
from django_llmcache.exceptions import RunDirError
from django_llmcache.users import is_mine, me, user_name, user_token

LARGEST: Final = 64 * 1024
"""Bytes of the largest file that is read."""

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)  # Windows has neither
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)


def run_dir() -> Path:
    """Return the folder of the settings in force, be it there or not.

    Under a test runner, unless ``RUN_DIR`` is set, it is a temporary one of this process.
    """
    explicit = conf.current().run_dir
    if explicit is not None:
        return conf.rooted(explicit)
    if conf.under_test_runner():
        return of_this_process(os.getpid())
    return Path(tempfile.gettempdir()) / default_name()


def default_name() -> str:
    """Return the name that tells this user and this project from others in the temporary directory."""
    digest = hashlib.sha256("\0".join(conf.project()).encode("utf-8", "surrogateescape")).hexdigest()
    return f"llmcache-{user_token()}-{digest[:12]}"


class Folder:
    """A folder of JSON files that is this user's alone.

    Get one through ``make`` or ``existing``, which refuse what another user could have planted or could change.
    """

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, path: Path) -> Folder:
        """Return the folder, made when it is not there.

        Raises:
            RunDirError: it can't be made or trusted.
        """
        while (folder := cls.existing(path)) is None:
            try:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            except FileExistsError:
                continue  # a file or a link, which ``existing`` explains
            except OSError as error:
                raise unusable(path, error) from error
        return folder

    @classmethod
    def existing(cls, path: Path) -> Folder | None:
        """Return the folder, ``None`` when it is not there.

        Raises:
            RunDirError: it can't be trusted.
        """
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable(path, error) from error
        if fault := _fault(path, found):
            raise RunDirError(f"{path} is not used by llmcache: {fault}")
        return cls(path)

    def names(self, pattern: re.Pattern[str]) -> list[str]:
        """Return the names that match the whole pattern, sorted."""
        with os.scandir(self.path) as found:
            return sorted(file.name for file in found if pattern.fullmatch(file.name))

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a file's content, ``None`` when it is damaged, too large, a link or no file.

        Raises:
            FileNotFoundError: it is not there.
        """
        path = self.path / name
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with os.fdopen(os.open(path, os.O_RDONLY | _NO_FOLLOW | _NO_WAIT), "rb") as file:
            content = file.read(LARGEST + 1)
        try:
            parsed = orjson.loads(content) if len(content) <= LARGEST else None
        except orjson.JSONDecodeError:
            return None
        return parsed if isinstance(parsed, dict) else None

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file in one step: a reader sees the old content or the new."""
        temporary = self._temporary(content)
        try:
            temporary.replace(self.path / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def create(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a new file.

        In one step where the file system has hard links; elsewhere a reader may see the beginning of it.

        Raises:
            FileExistsError: another process was first.
        """
        temporary = self._temporary(content)
        try:
            os.link(temporary, self.path / name)
        except FileExistsError:
            raise
        except (OSError, AttributeError, NotImplementedError):
            self._create_slowly(name, orjson.dumps(content))
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def stamp(self, name: str) -> tuple[int, ...] | None:
        """Return what changes when a file is written anew, ``None`` when it is not there."""
        try:
            found = (self.path / name).lstat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def age(self, name: str) -> float:
        """Return the seconds since a file was written, infinity when it is not there."""
        try:
            return time.time() - (self.path / name).lstat().st_mtime
        except FileNotFoundError:
            return float("inf")

    def _temporary(self, content: Mapping[str, Any]) -> Path:
        data = orjson.dumps(content)
        number, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self.path)  # mode 0600, exclusive
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)

    def _create_slowly(self, name: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
        with os.fdopen(os.open(self.path / name, flags, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def unusable(path: Path, error: OSError) -> RunDirError:
    """Return the error that explains why the folder can't be used."""
    return RunDirError(
        f"{path} cannot be used by llmcache: {error.strerror or error}. Let user {me()} write there, "
        "or set LLMCACHE['RUN_DIR'] to a folder that it can write to."
    )


def _fault(path: Path, found: os.stat_result) -> str | None:
    elsewhere = "or set LLMCACHE['RUN_DIR'] to a folder of your own."
    if stat.S_ISLNK(found.st_mode):
        return f"it is a symbolic link, which somebody may have planted. Remove it, {elsewhere}"
    if not stat.S_ISDIR(found.st_mode):
        return f"it is not a folder. Remove it, {elsewhere}"
    if not is_mine(found):
        owner = user_name(found.st_uid)
        return f"it belongs to user {owner}, and this is {me()}. Run this as {owner} (sudo -u {owner} …), {elsewhere}"
    if users.get_uid is not None and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o}). Do `chmod go-w {path}`, {elsewhere}"
    return None


@lru_cache(maxsize=1)
def of_this_process(pid: int) -> Path:
    """Return a folder that no other process looks into, removed when this one ends; ``pid`` is this process' own."""
    path = Path(tempfile.mkdtemp(prefix="llmcache-process-"))
    at_exit(lambda: shutil.rmtree(path, ignore_errors=True) if os.getpid() == pid else None)
    return path
