"""The workers of a parallel run take turns at a set-up that each of them makes, so that one records it for all.

Else each would record its own, and what its tests went on from would be another's in a replay.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from django.core.files import locks

from django_llmcache import conf, variables
from django_llmcache.users import user_token

PATIENCE: Final = 120.0
"""Seconds to wait for another worker's set-up; then it is made all the same."""

_PAUSE: Final = 0.05


def is_worker() -> bool:
    """Return whether this process is one of several that run tests: pytest-xdist's, or of ``--parallel``."""
    return variables.said(variables.XDIST_WORKER) is not None or multiprocessing.parent_process() is not None


@contextmanager
def turn(name: str) -> Iterator[None]:
    """Wait until no other worker is at a set-up; where it ends, or its process does, the next one has its turn.

    Args:
        name: of the set-up.
    """
    digest = sha256(f"{conf.fixture_folder()}\n{name}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    with ExitStack() as stack:
        with suppress(OSError):  # no place for it, or none that can be locked: then nobody waits
            place = Path(tempfile.gettempdir()) / f"llmcache-turns-{user_token()}"
            place.mkdir(exist_ok=True)
            file = stack.enter_context((place / digest).open("ab"))
            _wait_for(file)
        yield


def _wait_for(file: IO[bytes]) -> None:
    """Lock a file, until it is closed."""
    deadline = time.perf_counter() + PATIENCE
    while not locks.lock(file, locks.LOCK_EX | locks.LOCK_NB) and time.perf_counter() < deadline:
        time.sleep(_PAUSE)
