"""What becomes of the answer to a request that was looked up in vain, or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from .backends.base import BaseBackend
from .decisions import Route
from .messages import LLMRequest

Call = Callable[[LLMRequest], Any]
AsyncCall = Callable[[LLMRequest], Awaitable[Any]]


class Bypass(NamedTuple):
    """The answer that comes goes nowhere, for this reason (a reason code)."""

    reason: str


class Plan(NamedTuple):
    """Where the answer that comes goes, if it may be stored.

    Attributes:
        key, route, backend: what it is stored under, by which rules, and where.
        mark: what the backend gave for ``put``.
        landed: how many shared calls had ended before the look-up.
    """

    key: str
    route: Route
    backend: BaseBackend
    mark: int
    landed: int

    @property
    def flight(self) -> tuple[str, int, int]:
        """Return what those have in common who ask the same; not with who asked before a clear."""
        return self.key, self.mark, id(self.backend)
