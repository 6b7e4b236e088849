"""The fixtures on disk: one file per exchange, in a folder per provider, endpoint and key. The files are the truth."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from .contents import LARGE
from .files import (
    SIDE,
    create,
    fixtures_in,
    folders_in,
    key_folders,
    leftovers_in,
    put,
    read_file,
    refuse_links,
)
from .fixture import Fixture, FixtureError
from .keyfolders import TRIES, KeyFolders
from .matcher import FORMAT
from .names import file_stem, folder_name

HARD_LIMIT: Final = 16
"""How many times ``max_bytes`` the bodies of one fixture may have, the side file included."""


class Damaged(NamedTuple):
    """A file that is no fixture, and why."""

    path: Path
    error: FixtureError


class FixtureStore:
    """A folder of fixtures. Any number of processes may write to it at once; nothing is shared between them.

    Args:
        folder: where they are; made when the first one is written.
        max_bytes: the largest body that stands in a fixture's own text (``MAX_FIXTURE_BYTES``); a larger one goes
            into a side file, and what has more than sixteen times as many bytes is refused.
    """

    def __init__(self, folder: Path, *, max_bytes: int = 1024 * 1024) -> None:
        self.folder = Path(os.path.abspath(folder))  # noqa: PTH100 - the links that a user made stay as they are
        self.max_bytes = max_bytes
        self._root = str(self.folder)
        self._folders = KeyFolders(self._root)

    def take(self, provider: str, endpoint: str, key: str) -> list[Fixture]:
        """Return the fixtures of one key, sorted by file. What other keys have makes no difference to the time.

        Each look sees what was written, edited or removed since the one before. Whether the JSON of a request can be
        written is seen by who asks for it: a replay does not.

        Raises:
            FixtureError: one of them is damaged, of a newer version's key, or not a file of this folder.
        """
        found = self._folders.look(self._folders.path(provider, endpoint, key))
        return [_known(fixture) for fixture in found if fixture.key == key]

    def read(self, path: Path, *, anywhere: bool = False) -> Fixture:
        """Return the fixture of one file.

        Args:
            path: of the file.
            anywhere: whether it may lie in the folder of another key than its own.

        Raises:
            FixtureError: damaged, or not a file of this folder.
            FileNotFoundError: it is not there.
        """
        return _whole(self._folders.read(str(self._inside(path)), anywhere=anywhere))

    def write(self, fixture: Fixture) -> Path:
        """Write a fixture to a file of its own and return its path. A reader sees the whole file or none.

        Raises:
            FixtureError: it is larger than ``MAX_FIXTURE_BYTES`` allows, can't be told in UTF-8, or not be read again.
            OSError: the file can't be written.
        """
        self._check_size(fixture)
        content, side = self._content(fixture)
        folder = self.folder_of(fixture)
        for _ in range(TRIES):
            path = folder / f"{file_stem(fixture.recorded_at)}.json"
            try:
                self._inside(path)
                folder.mkdir(parents=True, exist_ok=True)
                create(path, content, side)
            except (FileExistsError, FileNotFoundError):
                if folder.exists() and not folder.is_dir():
                    raise
                continue  # another process took the name, or removed the folder while it was empty
            return path
        raise FixtureError(folder, "", "no file name is free there")

    def check(self, fixture: Fixture) -> None:
        """Make sure that a fixture could be written.

        Raises:
            FixtureError: it could not, as of ``write``.
        """
        self._check_size(fixture)
        self._content(fixture)

    def move(self, old: Path, fixture: Fixture) -> Path:
        """Write a fixture anew, in the folder of its key and under the name that it has; return its path.

        Whatever interrupts this, the fixture is there, whole. Done once more, it comes to the same end.

        Args:
            old: where the fixture is.
            fixture: what it becomes.

        Raises:
            FixtureError: one of the two places is not in this folder, or the fixture can't be written.
        """
        old = self._inside(old)
        new = self.copy(old, fixture, old.name)
        if new != old:
            self.delete([old])
        return new

    def copy(self, old: Path, fixture: Fixture, name: str) -> Path:
        """Do what ``move`` does, under a name; where that is another place, leave the fixture where it was as well."""
        old = self._inside(old)
        new = self._inside(self.folder_of(fixture) / name)
        content, side = self._content(fixture)
        if not self._is_free(new, old, fixture, side):
            return self.write(fixture)
        new.parent.mkdir(parents=True, exist_ok=True)
        put(new, content, side)
        if new == old and side is None:
            new.with_suffix(SIDE).unlink(missing_ok=True)
        return new

    def folder_of(self, fixture: Fixture) -> Path:
        """Return the folder of a fixture's key."""
        return Path(self._folders.path(fixture.provider, fixture.endpoint, fixture.key))

    def all(self) -> Iterator[Fixture | Damaged]:
        """Return every fixture, sorted by path, and each file that should be one and can't be read."""
        for provider in folders_in(self.folder):
            yield from self._of_provider(provider)

    def of(self, provider: str) -> Iterator[Fixture]:
        """Return the readable fixtures of a provider."""
        folder = self.folder / folder_name(provider)
        return (found for found in self._of_provider(folder) if isinstance(found, Fixture))

    def elsewhere(self, providers: Iterable[str], endpoint: str, key: str) -> Iterator[Fixture]:
        """Return the readable fixtures of one key that are under other names than these."""
        known = set(map(folder_name, providers))
        for folder in folders_in(self.folder):
            if folder.name not in known:
                with suppress(FixtureError, OSError):
                    yield from self.take(folder.name, endpoint, key)

    def paths(self) -> Iterator[Path]:
        """Return the path of every fixture, readable or not, sorted."""
        for provider in folders_in(self.folder):
            for folder in key_folders(provider):
                yield from fixtures_in(folder)

    def delete(self, paths: Iterable[Path]) -> int:
        """Delete fixtures with their side files, and the folders that are empty then; return how many there were.

        Raises:
            FixtureError: one of the paths is not a file of this folder; nothing was deleted.
        """
        count = 0
        for path in [self._inside(path) for path in paths]:
            with suppress(FileNotFoundError):
                path.unlink()
                count += 1
            path.with_suffix(SIDE).unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or another process was first
                for folder in path.parents[:3]:
                    folder.rmdir()
        return count

    def sweep(self, before: float) -> int:
        """Delete what writers that were killed have left: temporary files, and side files without a fixture.

        Args:
            before: seconds since the epoch; what was written later may be somebody's who is still writing.
        """
        count = 0
        for provider in folders_in(self.folder):
            for folder in key_folders(provider):
                for path in leftovers_in(folder):
                    with suppress(FileNotFoundError):
                        if path.lstat().st_mtime < before:
                            path.unlink()
                            count += 1
        return count

    def _check_size(self, fixture: Fixture) -> None:
        size = len(fixture.request.body) + len(fixture.response.body)
        if size > HARD_LIMIT * self.max_bytes:
            raise FixtureError(
                None, "", f"the bodies of this call to {fixture.provider} have {size:,} bytes, and no more than "
                f"{HARD_LIMIT} times LLMCACHE['TEST_CACHE']['MAX_FIXTURE_BYTES'], which is {self.max_bytes:,}, are "
                "written; raise that setting, or let the test ask for less",
            )  # fmt: skip

    def _content(self, fixture: Fixture) -> tuple[bytes, bytes | None]:
        text, side = fixture.to_text(largest=min(LARGE, self.max_bytes))
        try:
            content = text.encode()
        except UnicodeEncodeError as error:
            raise FixtureError(None, "", f"a text in it can't be written in UTF-8 ({error.reason})") from error
        _whole(Fixture.from_text(text, file=None, side=side))  # nothing is written that can't be read again
        return content, side

    def _is_free(self, new: Path, old: Path, fixture: Fixture, side: bytes | None) -> bool:
        """Return whether nothing is lost if a fixture is written there: it may be there already, half moved."""
        if not new.exists():
            return True
        beside = new.with_suffix(SIDE)
        if new == old:  # two files can't be changed at once
            return side is None or (beside.exists() and read_file(beside).content == side)
        try:
            there = self._folders.read(str(new), anywhere=True)
        except FixtureError:
            return False
        return (there.take, there.recorded_at, there.response) == (
            fixture.take, fixture.recorded_at, fixture.response,
        )  # fmt: skip

    def _inside(self, path: Path) -> Path:
        """Return the path of a fixture, made absolute; refuse one that is, or by a link leads, somewhere else."""
        path = Path(os.path.abspath(path))  # noqa: PTH100 - a link is to be refused, not followed
        if path.suffix != ".json" or path.parents[3:4] != (self.folder,):
            raise FixtureError(path, "", f"it is no fixture of {self.folder}")
        refuse_links(str(path.parent), self._root, set())
        return path

    def _of_provider(self, provider: Path) -> Iterator[Fixture | Damaged]:
        for folder in key_folders(provider):
            try:
                yield from [_whole(fixture) for fixture in self._folders.look(str(folder))]
            except FixtureError:
                yield from map(self._read_or_tell, fixtures_in(folder))

    def _read_or_tell(self, path: Path) -> Fixture | Damaged:
        try:
            return self.read(path)
        except FixtureError as error:
            return Damaged(path, error)
        except FileNotFoundError:
            return Damaged(path, FixtureError(path, "", "it was removed while it was read"))


def _known(fixture: Fixture) -> Fixture:
    """Return a fixture whose key was made as this version makes keys, or as an older one did; refuse a newer one's."""
    if fixture.key_format > FORMAT:
        raise FixtureError(fixture.file, "key_format", newer_key(fixture))
    return fixture


def newer_key(fixture: Fixture) -> str:
    """Return what is wrong with a fixture whose key was made in a way that this version doesn't know."""
    return f"a newer version of django-llmcache made it (format {fixture.key_format}): update the package"


def _whole(fixture: Fixture) -> Fixture:
    """Return a fixture with its request put together, so that what is wrong with that is told now."""
    fixture.request  # noqa: B018
    return fixture
