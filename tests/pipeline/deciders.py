"""What a project's own CACHEABLE, SCOPE, STRATEGY and BACKEND may be, named by dotted path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from django_llmcache import LLMRequest
from django_llmcache.backends.base import BackendStats
from django_llmcache.backends.dummy import DummyBackend
from django_llmcache.backends.memory import MemoryBackend
from django_llmcache.entry import Entry, Selector
from django_llmcache.exceptions import BackendUnavailableError
from django_llmcache.strategies import ProductionStrategy

NOT_CALLABLE = 42


def by_user(request: LLMRequest) -> str:
    return f"user:{request.payload['user']}"


def nobody(request: LLMRequest) -> None:
    return None


def public(request: LLMRequest) -> str:
    return "public"


def number(request: LLMRequest) -> int:
    return 42


def raises(request: LLMRequest) -> NoReturn:
    raise LookupError("no user here")


def looks_up(request: LLMRequest) -> Any:
    """Fails with the question in its error."""
    return {}[request.payload["messages"][0]["content"]]


def turns(request: LLMRequest) -> Any:
    """Gives the question where it was asked for a verdict, or for a scope."""
    return request.payload["messages"]


def always(request: LLMRequest) -> bool:
    return True


def never(request: LLMRequest) -> bool:
    return False


def only_cold(request: LLMRequest) -> bool | str:
    return request.payload.get("temperature", 1) == 0 or "too hot"


def says(request: LLMRequest) -> str:
    content: str = request.payload["messages"][0]["content"]
    return content


async def awaits(request: LLMRequest) -> bool:
    return False


class OwnStrategy(ProductionStrategy):
    """A project's own."""


class Broken(MemoryBackend):
    """Fails in the methods that ``OPTIONS["FAILS"]`` names."""

    name = "broken"

    def __init__(self, options: dict, **settings) -> None:
        super().__init__({}, **settings)
        self.fails = options.get("FAILS", ())

    def get(self, key: str) -> Entry | None:
        self._fail("get")
        return super().get(key)

    def put(self, entry: Entry, mark: int | None = None) -> bool:
        self._fail("put")
        return super().put(entry, mark)

    def mark(self) -> int:
        self._fail("mark")
        return super().mark()

    def delete(self, key: str) -> bool:
        self._fail("delete")
        return super().delete(key)

    def clear(self, selector: Selector) -> int:
        self._fail("clear")
        return super().clear(selector)

    def entries(self) -> Iterator[Entry]:
        self._fail("entries")
        return super().entries()

    def stats(self) -> BackendStats:
        self._fail("stats")
        return super().stats()

    def _fail(self, method: str) -> None:
        if method in self.fails:
            raise ConnectionError("the store is down")


class Garbled(MemoryBackend):
    """Gives what is no entry."""

    name = "garbled"

    def get(self, key: str) -> Any:
        return "no entry"


class Unmade(MemoryBackend):
    """Can't be made, though its settings are right."""

    def __init__(self, options: dict, **settings) -> None:
        raise ConnectionError("the store is down")


class Elsewhere(MemoryBackend):
    """Says that it is shared between processes, so that a read of it costs something."""

    in_process = False


class OwnClock(MemoryBackend):
    """Its clock stands still until a test moves it on."""

    now = [0.0]

    def __init__(self, options: dict, **settings) -> None:
        super().__init__(options, **settings, clock=lambda: self.now[0])


class UnspeakableError(Exception):
    def __repr__(self) -> str:
        raise ValueError("no words")


class Unspeakable(MemoryBackend):
    def get(self, key: str) -> Entry | None:
        raise UnspeakableError


class AwayBackend(DummyBackend):
    """A shared backend whose store failed a moment ago."""

    immediate = False

    def find(self, key, groups=()):
        raise BackendUnavailableError("made up")
