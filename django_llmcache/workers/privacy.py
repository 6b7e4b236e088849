"""Whether a folder lies in a temporary directory of one service's own (systemd's ``PrivateTmp``)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MARK: Final = "systemd-private-"

CURE: Final = (
    "Set LLMCACHE['RUN_DIR'] to a folder outside the private one, such as /run/<service> "
    "with RuntimeDirectory=<service> in the service's unit, and restart the workers."
)


def private_tmp_warning(path: Path, *, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Return what to tell a worker whose folder no shell can see, ``None`` when a shell can."""
    if MARK not in _mounted_from(path, mounts):
        return None
    return (
        f"{path} is in a temporary directory of this service's own (systemd's PrivateTmp): "
        f"`manage.py llmcache clear` and `stats` from a shell do not reach this process. {CURE}"
    )


def _mounted_from(path: Path, mounts: Path) -> str:
    """Return the directory, of the file system it is on, that is mounted where the path lies."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    places = [(Path(fields[4]), fields[3]) for line in lines if len(fields := line.split()) > 4]
    over = [(len(place.parts), root) for place, root in places if path.is_relative_to(place)]
    return max(over, default=(0, ""), key=lambda found: found[0])[1]
