"""What a cache holds and did, of one process or of several together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from .backends.base import BackendStats
from .counts import Counts


class CacheStats(NamedTuple):
    """What the response cache holds and did since its processes began.

    Attributes:
        backend: the backend's name.
        entries, bytes: what it holds, ``None`` where it can't tell.
        hits, misses: calls answered from the cache, and calls looked up in vain.
        stale: those of the hits, and of the misses that the provider failed, that were answered though expired.
        puts: answers stored.
        tokens_saved: tokens, in and out, of the answers that hits gave.
        errors: failures of the cache that no caller saw.
        bypassed: calls that were not looked up, by reason code.
        not_stored: answers that were not stored, by reason code.
        evictions: entries removed, by reason.
        by_model: hits, misses, puts, stale answers and tokens saved, by ``provider/model``.
        processes: how many processes this speaks of.
    """

    backend: str = ""
    entries: int | None = 0
    bytes: int | None = 0
    hits: int = 0
    misses: int = 0
    stale: int = 0
    puts: int = 0
    tokens_saved: int = 0
    errors: int = 0
    bypassed: Mapping[str, int] = {}
    not_stored: Mapping[str, int] = {}
    evictions: Mapping[str, int] = {}
    by_model: Mapping[str, Mapping[str, int]] = {}
    processes: int = 1

    @property
    def hit_rate(self) -> float:
        """Return the share of look-ups that found an answer, from 0 to 1; 0 when there was none."""
        looked_up = self.hits + self.misses
        return self.hits / looked_up if looked_up else 0.0

    @classmethod
    def of(cls, backend: str, held: BackendStats, counts: Counts) -> Self:
        """Return the statistics of this process.

        Args:
            backend: its name.
            held: what it says of itself.
            counts: what ``telemetry.counters`` counted.
        """
        counted = cls.of_site(backend, counts, processes=1)
        return counted._replace(
            entries=held.entries,
            bytes=held.bytes,
            errors=counted.errors + held.errors,
            evictions=dict(held.evictions),
        )

    @classmethod
    def of_site(cls, backend: str, counts: Counts, *, processes: int) -> Self:
        """Return the statistics of all processes that share a backend, which can't tell what it holds.

        Args:
            backend: its name.
            counts: what they counted.
            processes: how many they are.
        """
        events = _by_name(counts)
        return cls(
            backend=backend,
            entries=None,
            bytes=None,
            hits=events.get("hit", 0),
            misses=_misses(events),
            stale=events.get("stale", 0),
            puts=events.get("put", 0),
            tokens_saved=events.get("tokens_saved", 0),
            errors=events.get("error", 0),
            bypassed=_group(events, "bypass."),
            not_stored=_group(events, "not_stored."),
            by_model=_by_model(counts),
            processes=processes,
        )

    @classmethod
    def together(cls, parts: Iterable[CacheStats]) -> CacheStats:
        """Return the sum over several processes."""
        parts = list(parts)
        fields: dict[str, Any] = {"backend": ", ".join(sorted({part.backend for part in parts}))}
        for name in ("entries", "bytes"):
            held = [getattr(part, name) for part in parts]
            fields[name] = None if None in held else sum(held)
        for name in ("hits", "misses", "stale", "puts", "tokens_saved", "errors", "processes"):
            fields[name] = sum(getattr(part, name) for part in parts)
        for name in ("bypassed", "not_stored", "evictions"):
            fields[name] = _summed(getattr(part, name) for part in parts)
        models = sorted({model for part in parts for model in part.by_model})
        fields["by_model"] = {model: _summed(part.by_model.get(model, {}) for part in parts) for model in models}
        return cls(**fields)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CacheStats:
        """Return what ``as_dict`` described; a field that is missing or of another type counts as nothing."""
        defaults = cls()._asdict()
        return cls(
            **{
                name: content[name]
                for name, default in defaults.items()
                if isinstance(content.get(name), type(default)) and _is_countable(content[name])
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """Return every figure by name, as JSON can say it; ``hit_rate`` among them."""
        return {**self._asdict(), "hit_rate": self.hit_rate}


def _by_name(counts: Counts) -> dict[str, int]:
    events: Counter[str] = Counter()
    for what, number in counts.items():
        events[what.name] += number
    return events


def _by_model(counts: Counts) -> dict[str, dict[str, int]]:
    models: dict[str, dict[str, int]] = {}
    for (provider, model, name), number in sorted(counts.items()):
        if provider:
            models.setdefault(provider + "/" + model, {})[name] = number  # added up: of an enum the text
    return {
        model: {
            "hits": events.get("hit", 0),
            "misses": _misses(events),
            "stale": events.get("stale", 0),
            "puts": events.get("put", 0),
            "tokens_saved": events.get("tokens_saved", 0),
        }
        for model, events in models.items()
    }


def _misses(events: Mapping[str, int]) -> int:
    return max(0, events.get("miss", 0) - sum(_group(events, "bypass.").values()))


def _group(events: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in sorted(events.items()) if name.startswith(prefix)}


def _summed(groups: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for group in groups:
        total.update(group)
    return dict(sorted(total.items()))


def _is_countable(value: Any) -> bool:
    """Return whether a value is a number, or numbers by name, or such by model."""
    if not isinstance(value, dict):
        return True
    return all(isinstance(one, int) or (isinstance(one, dict) and _is_countable(one)) for one in value.values())
