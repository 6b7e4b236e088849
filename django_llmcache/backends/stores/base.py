"""What a shared backend needs of a store: to read, write, add and remove bytes, each within a deadline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django_llmcache.backends.base import aside


class Deadlines(NamedTuple):
    """Seconds that one operation may take."""

    read: float
    write: float


class Alias(NamedTuple):
    """One alias of ``CACHES``.

    Attributes:
        name: the alias.
        backend: its class.
        location: ``LOCATION``.
        params: everything else that it says.
    """

    name: str
    backend: type
    location: Any
    params: Mapping[str, Any]

    @property
    def options(self) -> dict[str, Any]:
        """Return its ``OPTIONS``."""
        return dict(self.params.get("OPTIONS") or {})

    def made_with(self, **options: Any) -> Any:
        """Return a cache of our own like this alias', but for these ``OPTIONS``."""
        return self.backend(self.location, {**self.params, "OPTIONS": self.options | options})


class Store(ABC):
    """Bytes by key. Every method may be called from any thread, and raises whatever the store's library does.

    Attributes:
        name: which store it is, for people.
        largest: bytes that a value may have, ``None`` where nobody says.
        in_process: whether every process has one of its own.
        keeps: whether it keeps anything.
        at_once: how many operations of a process may be under way, ``None`` where nobody says.
    """

    name = "store"
    largest: int | None = None
    in_process = False
    keeps = True
    at_once: int | None = None

    @abstractmethod
    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return what is there, in one round trip."""

    @abstractmethod
    def write(self, key: str, value: bytes, seconds: float | None) -> None:
        """Store a value for at least so many seconds, ``None`` for ever."""

    @abstractmethod
    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        """Store a value where there is none, in one step that no other can share; return whether there was none."""

    def begin(self, key: str, value: bytes, seconds: float | None) -> None:
        """Do what ``add`` does, unless the store refuses it."""
        try:
            self.add(key, value, seconds)
        except Exception as error:
            if not self.refuses(error):
                raise

    def swap(self, key: str, old: bytes, new: bytes) -> bool | None:
        """Store a value for ever in the place of another, in one step that no other can share.

        Returns:
            Whether the old one was there; ``None`` where the store can't do that.
        """
        return None

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove a value, if there is one."""

    @abstractmethod
    def touch(self, key: str, seconds: float) -> None:
        """Let a value, if there is one, be kept for so many seconds from now."""

    def refuses(self, error: Exception) -> bool:
        """Return whether an error of a write is the store's own word, as of one that is full: it is not away."""
        return False

    async def aread(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Do what ``read`` does without keeping the event loop waiting."""
        return await aside(self.read, keys)

    async def awrite(self, key: str, value: bytes, seconds: float | None) -> None:
        """Do what ``write`` does without keeping the event loop waiting."""
        await aside(self.write, key, value, seconds)

    async def aadd(self, key: str, value: bytes, seconds: float | None) -> bool:
        """Do what ``add`` does without keeping the event loop waiting."""
        return await aside(self.add, key, value, seconds)

    async def abegin(self, key: str, value: bytes, seconds: float | None) -> None:
        """Do what ``begin`` does without keeping the event loop waiting."""
        try:
            await self.aadd(key, value, seconds)
        except Exception as error:
            if not self.refuses(error):
                raise

    async def aswap(self, key: str, old: bytes, new: bytes) -> bool | None:
        """Do what ``swap`` does without keeping the event loop waiting."""
        return await aside(self.swap, key, old, new)

    async def aremove(self, key: str) -> None:
        """Do what ``remove`` does without keeping the event loop waiting."""
        await aside(self.remove, key)

    async def atouch(self, key: str, seconds: float) -> None:
        """Do what ``touch`` does without keeping the event loop waiting."""
        await aside(self.touch, key, seconds)

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of connections and threads."""
