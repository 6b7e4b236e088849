"""The folders of single keys as they are read: each file once, and anew where it has changed."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from contextlib import suppress
from pathlib import Path
from typing import Final

from .files import File, names_in, read_file, refuse_links, side_of, stamp_of
from .fixture import KEY, Fixture, FixtureError
from .names import folder_name
from .parsed import Parsed, ParsedFolders

TRIES: Final = 20
"""How often what other processes do at the same time is met again before it is an error."""

_CHARACTERS: Final = 12


class KeyFolders:
    """The folders below a root, one for each provider, endpoint and key.

    Args:
        root: the fixture folder, absolute.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._plain: set[str] = set()
        self._kept = ParsedFolders()

    def path(self, provider: str, endpoint: str, key: str) -> str:
        """Return the folder of a key, whether it is there or not.

        Raises:
            FixtureError: it is no key.
        """
        if not KEY.fullmatch(key):
            raise FixtureError(None, "key", f"it is {key!r}; it must be 64 hex digits in lower case")
        return self._start(provider, endpoint, key)[:-1]

    def look(self, folder: str) -> tuple[Fixture, ...]:
        """Return the fixtures of a folder, sorted by file; one that is not there has none.

        Raises:
            FixtureError: one of them is damaged, or belongs in another folder.
        """
        for _ in range(TRIES):
            names, kept = names_in(folder), self._kept.get(folder)
            with suppress(FileNotFoundError):  # removed since it was listed
                if kept is not None and kept.stamps == {name: stamp_of(f"{folder}{os.sep}{name}") for name in names}:
                    return kept.fixtures
                return self._load(folder, names)
        raise FixtureError(Path(folder), "", "its files come and go faster than they can be read")

    def read(self, file: str, *, anywhere: bool = False) -> Fixture:
        """Return the fixture of one file.

        Args:
            file: its path.
            anywhere: whether it may lie in the folder of another key than its own.

        Raises:
            FixtureError: damaged, or belongs in another folder.
            FileNotFoundError: it is not there.
        """
        found, side = read_file(file), None
        with suppress(FileNotFoundError):
            side = read_file(side_of(file))
        return self._parsed(file, found, side, anywhere=anywhere)

    def _start(self, provider: str, endpoint: str, key: str) -> str:
        """Return how the paths of a key's files begin. Not a Path: this is on the way of every replayed call."""
        parts = (self._root, folder_name(provider), folder_name(endpoint), key[:_CHARACTERS], "")
        return os.sep.join(parts)  # noqa: PTH118

    def _parsed(self, file: str, found: File, side: File | None, *, anywhere: bool = False) -> Fixture:
        try:
            text = found.content.removeprefix(BOM_UTF8).decode()
        except UnicodeDecodeError as error:
            raise FixtureError(file, "", f"it is not UTF-8 (byte {error.start})") from error
        fixture = Fixture.from_text(text, file=file, side=side.content if side else None)
        if not (anywhere or file.startswith(self._start(fixture.provider, fixture.endpoint, fixture.key))):
            raise FixtureError(file, "key", "it belongs in another folder than this: key, provider or endpoint differ")
        return fixture

    def _load(self, folder: str, names: list[str]) -> tuple[Fixture, ...]:
        if names:
            refuse_links(folder, self._root, self._plain)
        found = {name: read_file(f"{folder}{os.sep}{name}") for name in names}
        fixtures = tuple([
            self._parsed(f"{folder}{os.sep}{name}", file, found.get(side_of(name)))
            for name, file in found.items()
            if name.endswith(".json")
        ])  # fmt: skip
        self._kept.keep(folder, Parsed({name: file.stamp for name, file in found.items()}, fixtures))
        return fixtures
