"""What a cache holds and did, of one process or of several together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from .backends.base import BackendStats


class CacheStats(NamedTuple):
    """What the response cache holds and did since its processes began.

    Attributes:
        backend: the backend's name.
        entries, bytes: what it holds.
        hits, misses: calls answered from the cache, and calls looked up in vain.
        puts: answers stored.
        tokens_saved: tokens, in and out, of the answers that hits gave.
        errors: failures of the cache that no caller saw.
        bypassed: calls that were not looked up, by reason code.
        not_stored: answers that were not stored, by reason code.
        evictions: entries removed, by reason.
        processes: how many processes this speaks of.
    """

    backend: str = ""
    entries: int = 0
    bytes: int = 0
    hits: int = 0
    misses: int = 0
    puts: int = 0
    tokens_saved: int = 0
    errors: int = 0
    bypassed: Mapping[str, int] = {}
    not_stored: Mapping[str, int] = {}
    evictions: Mapping[str, int] = {}
    processes: int = 1

    @property
    def hit_rate(self) -> float:
        """Return the share of look-ups that found an answer, from 0 to 1; 0 when there was none."""
        looked_up = self.hits + self.misses
        return self.hits / looked_up if looked_up else 0.0

    @classmethod
    def of(cls, backend: str, held: BackendStats, events: Mapping[str, int], *, tokens_saved: int) -> Self:
        """Return the statistics of this process.

        Args:
            backend: its name.
            held: what it says of itself.
            events: what ``telemetry.counters`` counted.
            tokens_saved: by hits.
        """
        bypassed = _group(events, "bypass.")
        return cls(
            backend=backend,
            entries=held.entries,
            bytes=held.bytes,
            hits=events.get("hit", 0),
            misses=max(0, events.get("miss", 0) - sum(bypassed.values())),
            puts=events.get("put", 0),
            tokens_saved=tokens_saved,
            errors=events.get("error", 0) + held.errors,
            bypassed=bypassed,
            not_stored=_group(events, "not_stored."),
            evictions=dict(held.evictions),
        )

    @classmethod
    def together(cls, parts: Iterable[CacheStats]) -> CacheStats:
        """Return the sum over several processes."""
        parts = list(parts)
        fields: dict[str, Any] = {"backend": ", ".join(sorted({part.backend for part in parts}))}
        for name in ("entries", "bytes", "hits", "misses", "puts", "tokens_saved", "errors", "processes"):
            fields[name] = sum(getattr(part, name) for part in parts)
        for name in ("bypassed", "not_stored", "evictions"):
            fields[name] = _summed(getattr(part, name) for part in parts)
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


def _group(events: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in sorted(events.items()) if name.startswith(prefix)}


def _summed(groups: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for group in groups:
        total.update(group)
    return dict(sorted(total.items()))


def _is_countable(value: Any) -> bool:
    return not isinstance(value, dict) or all(isinstance(number, int) for number in value.values())
