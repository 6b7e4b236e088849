"""Where an answer came from."""

from __future__ import annotations

from typing import NamedTuple


class CacheInfo(NamedTuple):
    """Where an answer came from. Immutable."""

    status: str
    """``"hit"``, ``"miss"``, ``"bypass"``, ``"stale"`` or ``"replay"``."""
    key: str | None = None
    """The entry's key, or ``None`` where the request has none."""
    age: float = 0.0
    """Seconds since the entry was stored; ``0.0`` for a fresh answer."""
    ttl: float | None = None
    """Seconds that the entry lives in all; ``None`` for ever, or not stored."""
    stored_at: float | None = None
    """Seconds since the epoch, or ``None`` when the answer was not stored."""
    backend: str | None = None
    """Name of the backend that has it, or ``None``."""
    reason: str | None = None
    """Why the answer was not read or not stored (a reason code), or ``None``."""

    def __repr__(self) -> str:
        """Show all but the key, of which eight characters tell it from others; it stands for what was asked."""
        key = None if self.key is None else f"…{self.key.rpartition(':')[2][:8]}"
        return (
            f"CacheInfo(status={self.status!r}, key={key!r}, age={self.age!r}, ttl={self.ttl!r}, "
            f"stored_at={self.stored_at!r}, backend={self.backend!r}, reason={self.reason!r})"
        )
