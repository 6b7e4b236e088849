"""What processes that a test forks ask for in vain: they tell it to the test's own, which fails by it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, NamedTuple

from .exchange import Outgoing
from .files import open_own

_BYTES: Final = "latin-1"
"""How a body is written: each of its bytes as one character."""

_forked = False
"""Whether this process has ever forked: nearly no test does, and each asks many times what its children told."""


class Told(NamedTuple):
    """One miss.

    Attributes:
        text: what is shown of it.
        provider: whom the child asked.
        asked: its request, as people may see it; ``None`` where the recording can't be read.
    """

    text: str
    provider: str = ""
    asked: Outgoing | None = None


class Children:
    """The processes that one test forks. They share a file, which the first of them makes that has a miss."""

    def __init__(self) -> None:
        self._process = os.getpid()
        # Nobody can guess it. Where it is must not hang on what the test does to `tempfile` until it forks.
        self._path = f"{tempfile.gettempdir()}{os.sep}llmcache-misses-{token_hex(16)}.jsonl"
        self._heard: set[bytes] = set()

    def is_one(self) -> bool:
        """Return whether this process is one of them."""
        return os.getpid() != self._process

    def tell(self, told: Told) -> None:
        """Tell the test's own process of a miss, as far as there is a place for it: the child has the error itself."""
        line = json.dumps([told.text, told.provider, _words(told.asked)]).encode() + b"\n"
        with suppress(OSError):
            number = open_own(Path(self._path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                os.write(number, line)  # in one call, so that no other child's line lands in the middle
            finally:
                os.close(number)

    def heard(self) -> Iterator[Told]:
        """Yield what they have told since it was last asked for; what an SDK asks again and again comes once."""
        if not _forked or not os.access(self._path, os.F_OK) or self.is_one():  # nearly always
            return
        for line in self._lines():
            if line.endswith(b"\n") and line not in self._heard:
                self._heard.add(line)
                text, provider, words = json.loads(line)
                yield Told(text, provider, _request(words))

    def forget(self) -> None:
        """Remove their file, where there is one."""
        if self._heard and not self.is_one():
            Path(self._path).unlink(missing_ok=True)

    def _lines(self) -> list[bytes]:
        try:
            number = open_own(self._path, os.O_RDONLY)
        except OSError:
            return []
        with os.fdopen(number, "rb") as file:
            return file.readlines()


def _note_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_note_fork)


def _words(asked: Outgoing | None) -> list[Any] | None:
    return asked and [asked.method, asked.url, asked.headers, asked.body.decode(_BYTES)]


def _request(words: list[Any] | None) -> Outgoing | None:
    if words is None:
        return None
    method, url, headers, body = words
    return Outgoing(method, url, tuple((name, value) for name, value in headers), body.encode(_BYTES))
