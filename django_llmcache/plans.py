"""What becomes of the answer to a request that was looked up in vain, or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, NamedTuple

from .backends.base import BaseBackend
from .decisions import Route
from .exceptions import BackendUnavailableError
from .messages import LLMRequest, LLMResponse

Call = Callable[[LLMRequest], Any]
AsyncCall = Callable[[LLMRequest], Awaitable[Any]]

ITS_OWN: Final = frozenset({"changed", "secret", "streaming"})
"""Reasons against keeping and sharing an answer that whoever asked has seen: what was sent is not what was looked up,
its caller's credential is in it, or its caller reads it as it comes. Other reasons may be those of a call inside this
one, which are not its own."""


class Bypass(NamedTuple):
    """The answer that comes goes nowhere, for this reason (a reason code)."""

    reason: str


class Question(NamedTuple):
    """What is still to be asked of a backend that cannot answer at once.

    Attributes:
        key, route, backend, landed: as in ``Plan``.
    """

    key: str
    route: Route
    backend: BaseBackend
    landed: int


class Plan(NamedTuple):
    """Where the answer that comes goes, if it may be stored.

    Attributes:
        key, route, backend: what it is stored under, by which rules, and where.
        mark: what the backend gave for ``put``; where it failed, stands for what was cleared before the look-up.
        landed: how many shared calls had ended before the look-up.
        reason: why it is not stored though it may be (a reason code): the backend failed.
        spare: the stored answer, to be served where the provider fails.
        in_background: whether nobody waits for it: it refreshes what was served stale.
    """

    key: str
    route: Route
    backend: BaseBackend
    mark: Hashable
    landed: int
    reason: str | None = None
    spare: LLMResponse | None = None
    in_background: bool = False

    @property
    def flight(self) -> tuple[str, Hashable, int]:
        """Return what those have in common who ask the same; not with who asked before a clear."""
        return self.key, self.mark, id(self.backend)


class Late(NamedTuple):
    """A stored answer that has expired, and may be served while it is asked for anew.

    Attributes:
        answer: what is stored.
        plan: where the new one goes.
    """

    answer: LLMResponse
    plan: Plan


def reason_of(error: Exception) -> str:
    """Return why an answer is not stored whose backend raised this: it failed, or spared itself a try."""
    return "unavailable" if isinstance(error, BackendUnavailableError) and not error.asked else "error"
