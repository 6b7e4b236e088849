"""What ``manage.py llmcache stats`` finds and says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import orjson

from django_llmcache import backends, sitestats, workers
from django_llmcache.backends.base import BaseBackend
from django_llmcache.backends.wording import words_of
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
            ("entries", _held(stats)),
            ("hits", f"{stats.hits:,} ({stats.hit_rate:.1%} of {stats.hits + stats.misses:,} look-ups)"),
            ("misses", f"{stats.misses:,}"),
            ("stale", f"{stats.stale:,}"),
            ("stored", f"{stats.puts:,}"),
            ("tokens saved", f"{stats.tokens_saved:,}"),
            ("not looked up", _listed(stats.bypassed)),
            ("not stored", _listed(stats.not_stored)),
            ("removed", _listed(stats.evictions)),
            ("cache errors", f"{stats.errors:,}"),
            *(("of a model", _of_model(model, figures)) for model, figures in stats.by_model.items()),
            *((f"worker {pid}", _in_short(part)) for pid, part in self.workers.items()),
        ]
        return "\n".join(f"{name:<14} {value}" for name, value in rows)


def gather() -> Report:
    """Return the statistics of every running worker together, or of the site where its processes share a backend.

    Raises:
        RunDirError: the folder between the workers and this shell can't be used or trusted.
    """
    backend = backends.current()
    if not backend.in_process:
        return _of_shared(backend)
    strangers = workers.unreachable()
    published = workers.published()
    parts = {worker.pid: CacheStats.from_dict(worker.stats) for worker in published}
    stats = CacheStats.together(parts.values())
    problem = "\n".join(f"{stranger.text} {stranger.cure}" for stranger in strangers) or None
    return Report(stats._replace(backend=stats.backend or backend.name), _spoken_of(len(parts)), problem, parts)


def _of_shared(backend: BaseBackend) -> Report:
    try:
        stats = sitestats.of_site()
    except Exception as error:
        said = words_of(error.__cause__ or error)
        problem = f"{backend.name} cannot be read ({said}), so nothing is known of the site. Is it running?"
        return Report(sitestats.of_process(), "this process alone", problem)
    if stats is None:
        return Report(sitestats.of_process(), f"{backend.name}; the counters are this process' own")
    return Report(stats, f"the whole site ({stats.processes:,} active), by way of {backend.name}")


def _spoken_of(count: int) -> str:
    if count == 0:
        return "no worker: none is running"
    return f"{count} running {'worker' if count == 1 else 'workers'} on this machine"


def _in_short(stats: CacheStats) -> str:
    entries = "?" if stats.entries is None else f"{stats.entries:,}"
    return f"entries {entries}, hits {stats.hits:,}, misses {stats.misses:,}"


def _of_model(model: str, figures: Mapping[str, int]) -> str:
    names = {"hits": "hits", "misses": "misses", "puts": "stored", "tokens_saved": "tokens saved"}
    return f"{model}: " + ", ".join(f"{shown} {figures.get(name, 0):,}" for name, shown in names.items())


def _held(stats: CacheStats) -> str:
    if stats.entries is None or stats.bytes is None:
        return "not known: this backend can't count them"
    return f"{stats.entries:,} ({stats.bytes / 1024:,.1f} KiB)"


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {reason}" for reason, number in counts.items()) or "-"
