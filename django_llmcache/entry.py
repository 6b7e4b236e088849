"""What a backend stores: one answer with what is known about it, as a value and as bytes."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple, NoReturn

import orjson

from .bodies import Usage
from .exceptions import EntryFormatError

FORMAT: Final = 3
"""Version of the stored bytes; another version reads as a miss."""

NO_USAGE: Final = Usage()
_MAGIC: Final = b"LLMC"


class Origin(NamedTuple):
    """Where an answer is from. Many entries have the same, so that a process' memory keeps it once.

    Attributes:
        provider, operation, model: of the request.
    """

    provider: str
    operation: str
    model: str


class Entry:
    """One stored answer. Immutable: backends hand out the same object to many callers.

    Attributes:
        key: the full key; its last part is the digest of the canonical request.
        body: the provider's bytes.
        status: HTTP status.
        headers: pairs of name and value.
        created: seconds since the epoch.
        ttl: seconds, or ``None`` for ever.
        origin: provider, operation and model of the request.
        scope: the scope's digest as in the key, ``"-"`` when shared.
        tags: what it can be cleared by.
        usage: tokens as the provider counted them.
        latency: seconds that the live call took.
        parts: ``name=digest`` of each part of the request, for ``explain``.
        stale_for: seconds beyond its ``ttl`` for which it is kept.
        has_null: whether the request may have a ``null`` in it, for which NaN in another must not be taken.
    """

    __slots__ = (
        "body", "created", "has_null", "headers", "key", "latency", "origin", "parts", "scope", "stale_for", "status",
        "tags", "ttl", "usage",
    )  # fmt: skip

    def __init__(
        self,
        *,
        key: str,
        body: bytes,
        created: float,
        ttl: float | None,
        status: int = 200,
        headers: tuple[tuple[str, str], ...] = (),
        provider: str = "",
        operation: str = "chat",
        model: str = "",
        scope: str = "-",
        tags: frozenset[str] = frozenset(),
        usage: Usage = NO_USAGE,
        latency: float = 0.0,
        parts: str = "",
        has_null: bool = False,
        stale_for: float = 0.0,
    ) -> None:
        put = object.__setattr__
        put(self, "key", key)
        put(self, "body", body)
        put(self, "created", created)
        put(self, "ttl", ttl)
        put(self, "status", status)
        put(self, "headers", headers)
        put(self, "origin", Origin(provider, operation, model))
        put(self, "scope", scope)
        put(self, "tags", tags)
        put(self, "usage", usage)
        put(self, "latency", latency)
        put(self, "parts", parts)
        put(self, "has_null", has_null)
        put(self, "stale_for", stale_for)

    key: str
    body: bytes
    created: float
    ttl: float | None
    status: int
    headers: tuple[tuple[str, str], ...]
    origin: Origin
    scope: str
    tags: frozenset[str]
    usage: Usage
    latency: float
    parts: str
    has_null: bool
    stale_for: float

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Entry is immutable; make a new one to change {name!r}.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"Entry is immutable; {name!r} cannot be deleted.")

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(Entry.decode, key=self.key), (self.encode(),)

    @property
    def provider(self) -> str:
        """Return the provider of the request."""
        return self.origin.provider

    @property
    def operation(self) -> str:
        """Return the operation of the request."""
        return self.origin.operation

    @property
    def model(self) -> str:
        """Return the model of the request, as it was asked for."""
        return self.origin.model

    @property
    def digest(self) -> str:
        """Return the hex digest of the canonical request."""
        return self.key.rpartition(":")[2]

    @property
    def expires(self) -> float | None:
        """Return when it expires, in seconds since the epoch, or ``None`` for never."""
        return None if self.ttl is None else self.created + self.ttl

    @property
    def size(self) -> int:
        """Return the bytes that it counts for: the body, the texts stored beside it, and what Python adds to them."""
        size = len(self.body) + len(self.key) + len(self.parts) + OVERHEAD
        names = sum(map(len, self.origin))
        if names > _SHORT:
            size += 4 * names
        for name, value in self.headers:
            size += len(name) + len(value) + 2 * TEXT_OVERHEAD
        for tag in self.tags:
            size += (len(tag) if tag.isascii() else 4 * len(tag)) + TEXT_OVERHEAD  # Python takes up to 4 for each
        return size

    def encode(self) -> bytes:
        """Return the entry as bytes: magic, version, length of the JSON head, head, body. Never pickle."""
        head = orjson.dumps([
            self.key, self.created, self.ttl, self.status, self.headers, *self.origin, self.scope,
            sorted(self.tags), tuple(self.usage), self.latency, self.parts, len(self.body),
            self.has_null, self.stale_for,
        ])  # fmt: skip
        return b"".join((_MAGIC, bytes((FORMAT,)), len(head).to_bytes(4, "big"), head, self.body))

    @classmethod
    def decode(cls, stored: bytes, *, key: str) -> Entry:
        """Return the entry that ``encode`` wrote under ``key``.

        Raises:
            EntryFormatError: damaged, of another format version, or written under another key.
        """
        try:
            head, body = _split(stored)
            if head[0] != key:
                raise EntryFormatError("The stored entry belongs to another request.")
            if head[13] != len(body):
                raise EntryFormatError("The stored entry is cut short.")
            return cls(
                key=key, created=head[1], ttl=head[2], status=head[3], headers=tuple(map(_pair, head[4])),
                provider=head[5], operation=head[6], model=head[7], scope=head[8], tags=frozenset(head[9]),
                usage=Usage(*head[10]), latency=head[11], parts=head[12], has_null=head[14],
                stale_for=head[15], body=body,
            )  # fmt: skip
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise EntryFormatError(f"The stored entry cannot be read: {error}") from error

    def __repr__(self) -> str:
        return f"<Entry {self.provider} {self.model} {len(self.body)} bytes>"


OVERHEAD: Final = 600
"""Bytes that Python and the in-process backend add to an entry's own (``python -m benchmarks store`` measures it)."""

_SHORT: Final = 200
"""Characters of provider, operation and model together that OVERHEAD covers: entries share them."""

TEXT_OVERHEAD: Final = 90
"""Bytes that Python adds to each tag, name and value of a header."""


def _pair(read: list[str]) -> tuple[str, str]:
    name, value = read
    return name, value


def _split(stored: bytes) -> tuple[list[Any], bytes]:
    if stored[:4] != _MAGIC:
        raise EntryFormatError("The stored bytes are not an llmcache entry.")
    if stored[4] != FORMAT:
        raise EntryFormatError(f"The stored entry has format {stored[4]}; this version reads {FORMAT}.")
    end = 9 + int.from_bytes(stored[5:9], "big")
    return orjson.loads(stored[9:end]), bytes(stored[end:])


class Selector(NamedTuple):
    """Which entries to clear: every named condition must hold; none named means all.

    Attributes:
        provider, model: as in the request.
        scope: the scope's digest as in the key (``keys.scope_digest``).
        tag: one tag.
        key: one key.
    """

    provider: str | None = None
    model: str | None = None
    scope: str | None = None
    tag: str | None = None
    key: str | None = None

    @property
    def everything(self) -> bool:
        """Return whether no condition is named."""
        return not self.as_dict()

    def matches(self, entry: Entry) -> bool:
        """Return whether the entry meets every condition."""
        return (
            (self.provider is None or self.provider == entry.provider)
            and (self.model is None or self.model == entry.model)
            and (self.scope is None or self.scope == entry.scope)
            and (self.tag is None or self.tag in entry.tags)
            and (self.key is None or self.key == entry.key)
        )

    def as_dict(self) -> dict[str, str]:
        """Return the conditions named."""
        return {name: value for name, value in zip(self._fields, self, strict=True) if value is not None}

    @classmethod
    def from_dict(cls, conditions: Any) -> Selector:
        """Return the selector that ``as_dict`` described.

        Raises:
            ValueError: an unknown condition, or one that is not a text.
        """
        if not isinstance(conditions, dict) or set(conditions) - set(cls._fields):
            raise ValueError(f"Not a selector: {conditions!r}")
        if not all(isinstance(value, str) for value in conditions.values()):
            raise ValueError(f"Not a selector: {conditions!r}")
        return cls(**conditions)

    def __repr__(self) -> str:
        return f"Selector({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"
