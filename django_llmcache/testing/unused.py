"""Which fixtures no test used: known after a full run alone, and nothing is said where that is in doubt."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Final

from django_llmcache import conf
from django_llmcache.recorder.fields import FixtureError
from django_llmcache.recorder.files import fixtures_in
from django_llmcache.recorder.fixture import Fixture
from django_llmcache.recorder.setup import Mode
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.takes import IMPORTED, takes_by_request
from django_llmcache.recorder.usage import FullRun, UsageLog, UsageUnknown

from . import summary
from .modes import decide
from .setups import fixture_store, usage_log, usage_logs

_REST: Final = re.compile(r"(\[.*\])?(@[^/:\[\]]+)?( \((set-up|tear-down)( of [^()]*)?\)| <\d+>)?$", re.DOTALL)
"""What an id has beyond the names of a test: its parameters, its group under xdist, and what was done for a class."""

_PLAIN: Final = frozenset({
    "IsolatedAsyncioTestCase", "LiveServerTestCase", "SimpleTestCase", "StaticLiveServerTestCase", "TestCase",
    "TransactionTestCase", "object",
})  # fmt: skip
"""Bases of which a class has no test."""

_MAKING: Final = re.compile(r"\bimport\s*\(?\s*\*|\b(setattr|globals|locals|vars|exec|scenarios)\(")
"""What may give a file a test of which it has no word."""

REPLAYING: Final = frozenset({Mode.REPLAY, Mode.ONCE})
"""The modes in which a test uses what is recorded."""

_begun = False


def begin(narrowed: str | None) -> None:
    """Begin a run.

    Args:
        narrowed: why it is known beforehand not to be of all tests, ``None`` where nothing says so.
    """
    global _begun
    _begun = False
    # Whoever needs the settings tells of them; of a log that can't be written, the first test that uses a fixture.
    with suppress(*conf.UNREADABLE, OSError):
        decision = decide()
        if narrowed is None and decision.skip is None and decision.mode in REPLAYING:
            usage_log().start(fixture_store().paths(), settings=conf.project()[1])
            _begun = True


def end(failed: str | None, root: Path) -> list[Path]:
    """End a run, and return the fixtures that it left unused: none where it was no full one after all.

    Args:
        failed: why it is known not to have been one, ``None`` where nothing says so.
        root: the folder that its tests are in.
    """
    if not _begun:
        return []
    log, why = usage_log(), failed or _doubt()
    with suppress(OSError, UsageUnknown):  # the log can't be kept
        if why is None:
            log.finish(ran={_bare(test.id) for test in summary.tests() if test.passed}, root=str(root))
            return unused_fixtures(fixture_store(), usage_logs())
        log.give_up(why)
    return []


def elsewhere(root: Path) -> str | None:
    """Return why a run of the tests below a folder is not one of the whole project, ``None`` where nothing says so."""
    try:
        places = {"project": conf.rooted("."), "fixtures": conf.fixture_folder()}
    except conf.UNREADABLE:
        return "its settings can't be read"
    for what, path in places.items():
        if not path.resolve().is_relative_to(root.resolve()):
            return f"it ran in {root}, and the {what} are in {path}"
    return None


def unused_fixtures(store: FixtureStore, logs: Sequence[UsageLog]) -> list[Path]:
    """Return the fixtures that were there when the last full run began, and were neither replayed nor recorded since.

    Of runs with other settings each has a log of its own: none of them may have used such a fixture since its last.
    Of a take all answers are unused, or none: no replay uses one that lacks some.

    One that a test asked for which is still there, and did not run, may be needed yet: the tests of pytest and those
    of ``manage.py test`` are not the same. One that was imported is of no test until one replays it.

    Raises:
        UsageUnknown: no full run came to its end.
    """
    runs, unknown = [], []
    used: set[str] = set()
    for log in logs:
        try:
            runs.append(log.last())
            used |= runs[-1].used
        except UsageUnknown as why:
            if log.is_begun():  # what that run would have used is not known
                raise
            unknown.append(why)
            used |= log.used_since()
    if not runs:
        raise unknown[0]
    left = {path for run in runs for path in _left_by(run._replace(used=frozenset(used)), store)}
    return sorted(_whole_takes(left, store))


def _left_by(run: FullRun, store: FixtureStore) -> Iterator[Path]:
    ran = {plain(test) for test in run.ran}
    return (path for path in run.unused(store) if not _needed(_tests(store, path), ran, run))


def _whole_takes(left: set[Path], store: FixtureStore) -> Iterator[Path]:
    """Yield those of some fixtures that are damaged, or whose take has no other answers."""
    for folder in {path.parent for path in left}:
        sound = {one.path: one for one in map(partial(_read, store), fixtures_in(folder)) if one is not None}
        yield from {path for path in left if path.parent == folder} - sound.keys()
        for take in chain.from_iterable(takes_by_request(sound.values())):
            if paths := {one.path for one in take.fixtures if one.path is not None} & left:
                yield from paths if len(paths) == len(take.fixtures) else ()


def plain(test: str) -> str:
    """Return the dotted names of a test, whichever runner's id it is, without its parameters."""
    return _bare(test).replace(".py::", "::").removesuffix(".py").replace("::", ".").replace("/", ".")


def _bare(test: str) -> str:
    """Return the id of a test less its parameters: one of them may be a credential, and the log stays."""
    return _REST.sub("", test)


def _doubt() -> str | None:
    passed = {test.id for test in summary.tests() if test.passed and test.mode in REPLAYING}
    found = summary.found()
    missing = sorted(found - passed)
    if not found:
        return "it had no live_api test"
    if missing:
        return f"{len(missing)} live_api tests did not pass on recordings, such as {_bare(missing[0])}"
    return _asked_past_recordings()


def _asked_past_recordings() -> str | None:
    """Return which host was asked for real of which something is recorded, as no setting named it in this run."""
    unnamed = summary.unnamed()
    if not unnamed:
        return None
    store = fixture_store()
    recorded = {one.request.host for one in map(partial(_read, store), store.paths()) if one is not None}
    asked = sorted(unnamed & recorded)
    return f"no setting named {asked[0]}, of which something is recorded" if asked else None


def _read(store: FixtureStore, path: Path) -> Fixture | None:
    """Return a fixture, ``None`` where it can't be read."""
    try:
        return store.read(path, anywhere=True)
    except (FixtureError, OSError):
        return None


def _tests(store: FixtureStore, path: Path) -> Iterable[str]:
    fixture = _read(store, path)
    return () if fixture is None else fixture.tests


def _needed(tests: Iterable[str], ran: set[str], run: FullRun) -> bool:
    return any(plain(test) not in ran and not _is_gone(test, run) for test in tests if not test.startswith(IMPORTED))


def _is_gone(test: str, run: FullRun) -> bool:
    """Return whether a test is no longer there, as far as its file says."""
    root = Path(run.root).absolute()
    for folder in (root, *root.parents, *_folders_below(root, test)):
        file, names = _file_of(_bare(test), folder)
        if file is not None:
            return bool(names) and not _may_have(file.read_text(encoding="utf-8", errors="replace"), names)
    by_pytest = any("::" in each for each in run.ran)
    return not run.ran or ("::" in test) == by_pytest


@lru_cache(maxsize=64)
def _folders_below(root: Path, test: str) -> tuple[Path, ...]:
    """Return the folders below another in which a test of pytest's may have its file, where that was run on its own."""
    path, found, _ = test.partition("::")
    places = []
    for folder, folders, files in os.walk(root) if found else ():
        folders[:] = [name for name in folders if not (name.startswith(".") or name == "node_modules")]
        place = Path(folder, Path(path).name)
        if "pyvenv.cfg" in files:
            folders.clear()
        elif place.name in files and place.match(path):
            places.append(place.parents[len(Path(path).parts) - 1])
    return tuple(places)


def _may_have(code: str, names: list[str]) -> bool:
    """Return whether a file may still have the test of these names: as it says, by a base, or made while it runs."""
    if names[-1] in code or _MAKING.search(code):
        return True
    if len(names) < 2:
        return False
    try:
        kinds = [
            node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ClassDef) and node.name == names[-2]
        ]
    except SyntaxError:
        return True
    return any(_name_of(base) not in _PLAIN for kind in kinds for base in kind.bases)


def _name_of(base: ast.expr) -> str:
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")


def _file_of(test: str, folder: Path) -> tuple[Path | None, list[str]]:
    """Return the file of a test and the names in it, ``None`` for one that is not there."""
    if "::" in test or test.endswith(".py"):
        path, *names = test.split("::")
        return ((folder / path) if (folder / path).is_file() else None), names
    parts = test.split(".")
    for length in range(len(parts), 0, -1):
        place = folder.joinpath(*parts[:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                return file, parts[length:]
    return None, []
