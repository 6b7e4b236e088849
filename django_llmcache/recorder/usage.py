"""Which fixtures the tests of a run used: a log beside the fixtures, never among them."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from django_llmcache.exceptions import LLMCacheError
from django_llmcache.parsing import written

from .files import open_own
from .store import FixtureStore

_FINISHED: Final = "finished"
_MOVED: Final = "moved"
_PARTIAL: Final = "partial"
_RECORDED: Final = "recorded"
_STARTED: Final = "started"
_USED: Final = "used"


class UsageUnknown(LLMCacheError):  # noqa: N818 - nothing went wrong, but nothing is known either
    """No full run has said which fixtures it used, so that none can be called unused."""


class FullRun(NamedTuple):
    """What the last full run said, and what is known since it began.

    Attributes:
        ran: ids of the tests, and of the set-ups, that passed in it.
        root: the folder that its tests are in, ``""`` where it did not say.
        there: the fixtures that were there when it began, by their place in the fixture folder.
        used: those that were used or written since.
    """

    ran: frozenset[str]
    root: str
    there: frozenset[str]
    used: frozenset[str]

    def unused(self, store: FixtureStore) -> list[Path]:
        """Return the fixtures that neither it nor a run since used or wrote; of what came later, it knows nothing."""
        left = self.there - self.used
        if not left:  # as in most runs, which need not look through the folder
            return []
        return [path for path in store.paths() if _place_of(path) in left]


class UsageLog:
    """A file of JSON lines. Any number of processes may append to it at once.

    A full run says ``start`` before its first test and ``finish`` after its last, or ``give_up`` where it turned out to
    be none; a run of some tests says nothing, and only adds to what is known to be used.

    A log that lacks a line would call unused what was used. So where one can't be written, which is an ``OSError`` of
    any method here, the whole log goes, and this process notes nothing more until a full run starts.

    Args:
        path: of the file, outside the fixture folder. A link, or the file of another user, is not used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._told: set[tuple[int, str, str]] = set()
        self._lost = False
        self._run: str | None = None

    def start(self, there: Iterable[Path] = (), *, settings: str = "") -> None:
        """Forget every run before; what follows is a full one.

        Args:
            there: the fixtures that it finds.
            settings: name of the settings module that it has, for messages.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._told.clear()
        self._lost = False
        self._run = secrets.token_hex(8)  # another full run may start before this one ends
        places = [_place_of(path) for path in there]
        self._append({"event": _STARTED, "run": self._run, "settings": settings, "there": places})

    def finish(self, *, ran: Iterable[str] = (), root: str = "") -> None:
        """Note that the full run came to its end.

        Args:
            ran: ids of the tests that passed.
            root: the folder that they are in.
        """
        self._append({"event": _FINISHED, "run": self._run, "ran": sorted(ran), "root": root})

    def give_up(self, why: str) -> None:
        """Note why the run that started was no full one after all."""
        self._append({"event": _PARTIAL, "run": self._run, "why": why})

    def used(self, *paths: Path | str) -> None:
        """Note that fixtures were replayed."""
        self._note(_USED, paths)

    def recorded(self, *paths: Path) -> None:
        """Note that fixtures were written."""
        self._note(_RECORDED, paths)

    def moved(self, *moves: tuple[Path, Path]) -> None:
        """Note that fixtures are in another place now: each as it was, and as it is."""
        if moves and self.path.exists():
            self._append(*(
                {"event": _MOVED, "old": _place_of(old), "fixture": _place_of(new)} for old, new in moves
            ))  # fmt: skip

    def last(self) -> FullRun:
        """Return what the last full run said: of several at once, the one that started last.

        Raises:
            UsageUnknown: it did not come to its end, or was none.
        """
        events = _events(self.path)
        runs = [event.get("run") for event in events if event.get("event") == _STARTED]
        of_it = [event for event in events if runs and event.get("run") == runs[-1]]
        ends = [event for event in of_it if event.get("event") == _FINISHED]
        if not ends:
            why = [str(event.get("why")) for event in of_it if event.get("event") == _PARTIAL]
            raise UsageUnknown(
                f"No full run of the tests is noted in {self.path}, so that no fixture can be called unused. "
                + (f"The last one was not full: {why[-1]}. " if why else "")
                + "Run the whole suite first."
                + "".join(_whose(str(event["settings"])) for event in of_it if event.get("settings"))
            )
        there, used = _fixtures(events)
        return FullRun(_texts(ends[-1].get("ran")), str(ends[-1].get("root") or ""), there, used)

    def is_begun(self) -> bool:
        """Return whether a full run has said ``start``, to whatever end it came.

        Raises:
            UsageUnknown: the log can't be read.
        """
        return any(event.get("event") == _STARTED for event in _events(self.path))

    def used_since(self) -> frozenset[str]:
        """Return which fixtures were used or written since the last run began that said ``start``, whatever it was.

        Raises:
            UsageUnknown: the log can't be read.
        """
        return _fixtures(_events(self.path))[1]

    def _note(self, event: str, paths: Iterable[Path | str]) -> None:
        told = {(os.getpid(), event, str(path)) for path in paths} - self._told
        if told:
            self._append(*({"event": event, "fixture": _place_of(path)} for _, _, path in sorted(told)))
            self._told |= told

    def _append(self, *events: dict[str, Any]) -> None:
        if self._lost:
            return
        # The first line end keeps this whole where the line before was cut short.
        line = b"\n" + b"".join(written(event) + b"\n" for event in events)
        try:
            number = self._opened_to_append()
            try:
                count = os.write(number, line)  # in one call, so that no other process' line lands in the middle
            finally:
                os.close(number)
            if count < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            self._lost = True
            with suppress(OSError):
                self.path.unlink()
            raise

    def _opened_to_append(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            return open_own(self.path, flags)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return open_own(self.path, flags)


def _whose(settings: str) -> str:
    return f" That file is of runs with the settings {settings}: where nobody makes such runs any more, delete it."


def _fixtures(events: Iterable[dict[str, Any]]) -> tuple[frozenset[str], frozenset[str]]:
    """Return which fixtures were there when the full run began, and which were used since, by where they are now."""
    there: set[str] = set()
    used: set[str] = set()
    for event in events:
        fixture = event.get("fixture")
        if event.get("event") == _STARTED:
            there.update(_texts(event.get("there")))
        elif isinstance(fixture, str) and event.get("event") == _MOVED:
            for known in (there, used):
                if event.get("old") in known:
                    known.remove(event["old"])
                    known.add(fixture)
        elif isinstance(fixture, str):
            used.add(fixture)
    return frozenset(there), frozenset(used)


def _texts(value: Any) -> frozenset[str]:
    return frozenset(map(str, value if isinstance(value, list) else ()))


def _place_of(path: Path | str) -> str:
    """Return where a fixture is: its provider, endpoint, key and name, whatever leads to the folder of all."""
    # Not a Path: this is on the way of every test, and of every fixture at the end of a run.
    return "/".join(os.path.abspath(path).split(os.sep)[-4:])  # noqa: PTH100, PTH206


def _events(path: Path) -> list[dict[str, Any]]:
    try:
        with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageUnknown(
            f"{path}, which says what the tests used, can't be read ({error.strerror}), so that no fixture can be "
            "called unused."
        ) from error
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None  # empty, or cut short by a process that was killed
    return event if isinstance(event, dict) else None
