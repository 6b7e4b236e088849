"""The names of folders and files: valid on every system, and never a way out of the fixture folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from secrets import token_hex
from typing import Final

LONGEST: Final = 60
"""Characters of a folder's name, so that the whole path stays below what Windows allows."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


@lru_cache(maxsize=1024)
def folder_name(name: str) -> str:
    """Return the name of the folder for a provider or an endpoint."""
    safe = _UNSAFE.sub("_", name).strip(".") or "_"
    if len(safe) > LONGEST:
        safe = f"{safe[: LONGEST - 9].rstrip('.')}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"
    return f"_{safe}" if _RESERVED.fullmatch(safe) else safe


def file_stem(seconds: float) -> str:
    """Return a new name for a fixture, less its ending: the UTC time, and four random hex characters."""
    time = datetime.fromtimestamp(seconds, UTC)
    return f"{time:%Y-%m-%dT%H-%M-%S}-{time.microsecond:06}Z-{token_hex(2)}"


def take_name(seconds: float) -> str:
    """Return a new name for a take: the UTC time, and four random hex characters."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H-%M-%SZ}-{token_hex(2)}"


def filed_name(test: str, redacted: Callable[[str], str]) -> str:
    """Return a test's id as it stands in files and messages: the value of a parameter may be a credential."""
    return redacted(test) if "[" in test else test


def other_stem(stem: str) -> str:
    """Return another name for what has one, less the ending of both: always the same, with other hex characters."""
    return f"{stem[:-4]}{hashlib.sha256(stem.encode('utf-8', 'surrogateescape')).hexdigest()[:4]}"
