"""Says who connects past the recorder: the library that does, then who called it, up to the project's own code."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

from . import lacking

UNKNOWN: Final = "an unknown client"

_STANDARD: Final = frozenset(
    {"asyncio", "ftplib", "http.client", "imaplib", "logging.handlers", "poplib", "smtplib", "urllib.request",
     "xmlrpc.client"}
)  # fmt: skip
"""Clients of the standard library; what they connect with (``socket``, ``ssl``) tells nothing."""

_OURS: Final = __name__.partition(".")[0]
_RUNNERS: Final = re.compile(r"(_?pytest|pytest_\w+|pluggy|django\.test)(\.|$)")
_ENDS: Final = frozenset({"_pytest.runner", "unittest.suite"})
"""Every test and its set-up is called from here, and nobody beyond asks for anything."""

_INSTALLED: Final = frozenset({"dist-packages", "site-packages"})
_SHOWN: Final = 3


def client_of(library: str = "") -> str:
    """Return who connects, by the stack.

    Args:
        library: the one that connects, where it is not on the stack itself.
    """
    found = [library] if library else []
    standard, of_the_project = "", False
    for name, is_own in _calling():
        package = name.partition(".")[0]
        if package in sys.stdlib_module_names:
            if not found:
                standard = next((one for one in (name, package) if one in _STANDARD), standard)
            continue
        if len(found) == _SHOWN or (of_the_project and not is_own):
            break
        if is_own and standard and not found:  # any other library that uses it tells more
            found.append(standard)
        of_the_project = of_the_project or is_own
        if package not in found:
            found.append(package)
    hint = lacking(found)
    return (", called by ".join(found) or standard or UNKNOWN) + (f" ({hint})" if hint else "")


def is_nobody(client: str) -> bool:
    """Return whether a client says nothing of who called it, as of one that goes on in a thread or task of its own."""
    return client == UNKNOWN or client in _STANDARD


def is_installed(path: Path) -> bool:
    """Return whether a file is of an installed library, in the project's folder too, and not of the project."""
    return not _INSTALLED.isdisjoint(path.parts)


def _calling() -> Iterator[tuple[str, bool]]:
    """Yield the modules on the stack from within, and whether each is the project's; none of ours, nor a runner's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name, file = str(frame.f_globals.get("__name__", "")), frame.f_globals.get("__file__")
        if name in _ENDS:
            return
        is_own = bool(file) and not is_installed(Path(str(file)))
        if name and name.partition(".")[0] != _OURS and (is_own or not _RUNNERS.match(name)):
            yield name, is_own
        frame = frame.f_back
