"""What ``manage.py llmcache stats`` finds and says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from django_llmcache import backends, cache, workers
from django_llmcache.stats import CacheStats


class Report(NamedTuple):
    """The statistics of the site as far as this shell can see, of each worker by its process id, and what it cannot."""

    stats: CacheStats
    speaks_of: str
    problem: str | None = None
    workers: Mapping[int, CacheStats] = {}

    def as_json(self) -> str:
        """Return the statistics as one JSON object."""
        return orjson.dumps(self.stats.as_dict(), option=orjson.OPT_INDENT_2).decode()

    def as_text(self) -> str:
        """Return the statistics as a table."""
        stats = self.stats
        rows = [
            ("speaks of", self.speaks_of),
            ("backend", stats.backend or "-"),
            ("entries", f"{stats.entries:,} ({stats.bytes / 1024:,.1f} KiB)"),
            ("hits", f"{stats.hits:,} ({stats.hit_rate:.1%} of {stats.hits + stats.misses:,} look-ups)"),
            ("misses", f"{stats.misses:,}"),
            ("stored", f"{stats.puts:,}"),
            ("tokens saved", f"{stats.tokens_saved:,}"),
            ("not looked up", _listed(stats.bypassed)),
            ("not stored", _listed(stats.not_stored)),
            ("removed", _listed(stats.evictions)),
            ("cache errors", f"{stats.errors:,}"),
            *((f"worker {pid}", _in_short(part)) for pid, part in self.workers.items()),
        ]
        return "\n".join(f"{name:<14} {value}" for name, value in rows)


def gather() -> Report:
    """Return the statistics of every running worker together, or of the shared backend.

    Raises:
        RunDirError: the folder between the workers and this shell can't be used or trusted.
    """
    backend = backends.current()
    if not backend.in_process:
        return Report(cache.stats(), f"{backend.name}; the counters are this process' own")
    strangers = workers.unreachable()
    published = workers.published()
    parts = {worker.pid: CacheStats.from_dict(worker.stats) for worker in published}
    stats = CacheStats.together(parts.values())
    problem = "\n".join(f"{stranger.text} {stranger.cure}" for stranger in strangers) or None
    return Report(stats._replace(backend=stats.backend or backend.name), _spoken_of(len(parts)), problem, parts)


def _spoken_of(count: int) -> str:
    if count == 0:
        return "no worker: none is running"
    return f"{count} running {'worker' if count == 1 else 'workers'} on this machine"


def _in_short(stats: CacheStats) -> str:
    return f"entries {stats.entries:,}, hits {stats.hits:,}, misses {stats.misses:,}"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in counts.items()) or "-"
