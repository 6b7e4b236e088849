"""What a worker tells of itself in ``<pid>.json``."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from django_llmcache import conf

from . import processes
from .folder import Folder

HEARTBEAT: Final = 60.0
"""Seconds after which a worker writes anew even when nothing changed."""

FRESH: Final = 3 * HEARTBEAT
"""Seconds for which a worker counts as alive where its process can't be seen."""

UNREADABLE: Final = -1
"""What ``seen`` is when a worker's file is damaged."""

_NAME: Final = re.compile(r"\d+\.json")
_FIELDS: Final[Mapping[str, tuple[type, ...]]] = {
    "pid": (int,),
    "place": (str,),
    "started": (int, type(None)),
    "base_dir": (str,),
    "settings": (str,),
    "seen": (int,),
    "cleared": (dict,),
    "published_at": (int, float),
    "stats": (dict,),
}


class WorkerReport(NamedTuple):
    """One worker, as it last wrote of itself.

    Attributes:
        pid: its process id.
        place: the machine and the container in it.
        started: tells it from a later process of the same id; ``None`` where nothing does.
        base_dir, settings: the project's folder and its settings module.
        seen: the number of the last clear that it applied, ``UNREADABLE`` when its file is damaged.
        cleared: entries removed by each of the last clears, by number; ``None`` when they can't be counted.
        published_at: seconds since the epoch.
        stats: what its ``publish`` returned.
    """

    pid: int
    place: str = ""
    started: int | None = None
    base_dir: str = ""
    settings: str = ""
    seen: int = UNREADABLE
    cleared: Mapping[int, int | None] = {}
    published_at: float = 0.0
    stats: Mapping[str, Any] = {}

    @classmethod
    def of_this_process(cls, *, seen: int, cleared: Mapping[int, int | None], stats: Mapping[str, Any]) -> WorkerReport:
        """Return the report of the process that runs."""
        pid = os.getpid()
        base_dir, settings = conf.project()
        return cls(
            pid=pid, place=processes.place(), started=processes.start_id(pid), base_dir=base_dir, settings=settings,
            seen=seen, cleared=cleared, published_at=time.time(), stats=stats,
        )  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> WorkerReport:
        """Return the report that ``as_dict`` described.

        Raises:
            ValueError: a field is missing or of another type.
        """
        for name, types in _FIELDS.items():
            if not isinstance(content.get(name, ...), types):
                raise ValueError(f"A worker's report has {name}={content.get(name)!r}.")  # noqa: TRY004 - it was read
        cleared = {int(n): count for n, count in content["cleared"].items() if isinstance(count, int | None)}
        return cls(**{name: content[name] for name in _FIELDS} | {"cleared": cleared})

    def as_dict(self) -> dict[str, Any]:
        """Return the report as it is written."""
        return {**self._asdict(), "cleared": {str(n): count for n, count in self.cleared.items()}}

    def is_live(self) -> bool:
        """Return whether the worker still runs."""
        here = self.place == processes.place()
        alive = processes.is_alive(self.pid, self.started) if here else None
        return time.time() - self.published_at < FRESH if alive is None else alive


def file_of(pid: int) -> str:
    """Return the name of a worker's file."""
    return f"{pid}.json"


def live(folder: Folder, *, remove: bool = True) -> list[WorkerReport]:
    """Return the workers that run, by process id; those whose file is damaged have ``seen`` UNREADABLE.

    Args:
        folder: where they write.
        remove: whether to remove the files of those that are gone.
    """
    found = []
    for name in folder.names(_NAME):
        report = _read(folder, name)
        if report is None:
            continue
        if report.is_live():
            found.append(report)
        elif remove:
            folder.remove(name)
    return sorted(found, key=lambda report: report.pid)


def _read(folder: Folder, name: str) -> WorkerReport | None:
    try:
        return WorkerReport.from_dict(folder.read(name) or {})
    except FileNotFoundError:
        return None
    except ValueError:
        return WorkerReport(int(name[:-5]), processes.place(), published_at=time.time() - folder.age(name))
