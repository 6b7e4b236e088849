"""Where an answer came from."""

from __future__ import annotations


class CacheInfo:
    """Where an answer came from.

    Attributes:
        status: ``"hit"``, ``"miss"``, ``"bypass"``, ``"stale"`` or ``"replay"``.
        key: the entry's key, or ``None`` where the request has none.
        age: seconds since the entry was stored; ``0.0`` for a fresh answer.
        ttl: seconds that the entry lives in all, ``None`` for ever or not stored.
        stored_at: seconds since the epoch, or ``None`` when the answer was not stored.
        backend: name of the backend that has it, or ``None``.
        reason: why the answer was not read or not stored (a reason code), or ``None``.
    """

    __slots__ = ("age", "backend", "key", "reason", "status", "stored_at", "ttl")

    def __init__(
        self,
        status: str,
        *,
        key: str | None = None,
        age: float = 0.0,
        ttl: float | None = None,
        stored_at: float | None = None,
        backend: str | None = None,
        reason: str | None = None,
    ) -> None:
        put = object.__setattr__
        for name, value in zip(
            ("status", "key", "age", "ttl", "stored_at", "backend", "reason"),
            (status, key, age, ttl, stored_at, backend, reason),
            strict=True,
        ):
            put(self, name, value)

    status: str
    key: str | None
    age: float
    ttl: float | None
    stored_at: float | None
    backend: str | None
    reason: str | None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"CacheInfo is immutable; {name!r} cannot be changed.")

    def __repr__(self) -> str:
        return f"CacheInfo({', '.join(f'{name}={getattr(self, name)!r}' for name in sorted(self.__slots__))})"
