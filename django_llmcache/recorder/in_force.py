"""Which session answers for the providers, as a thread or a task asks one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .calls import is_inside
from .nest import Nest

if TYPE_CHECKING:  # the response cache asks for the current one, and does without what a session is made of
    from .exchange import Outgoing
    from .replay import Replay
    from .session import Session
    from .taping import Taping

_nest: Nest[Session] = Nest("llmcache_session")

current = _nest.innermost
"""Return the session in force: the innermost that the thread or task has begun, else the newest; ``None`` for none."""

holding = _nest.holding
"""Let a session answer for the providers inside the block."""

is_own = _nest.is_own
"""Return whether the thread or task has begun a session itself, or runs in a context from inside of it."""


def sessions() -> Iterator[Session]:
    """Return every session in force, whoever has begun it."""
    return iter(_nest)


def is_calling(host: str) -> bool:
    """Return whether a session in force asks a host for real, so that a connection to it may be made.

    It may be made in a thread that the client has for this, where nothing tells which of several sessions is asking.
    """
    session = current()
    return (session is not None and session.calls.knows(host)) or any(each.calls.is_recorded(host) for each in _nest)


def begin(outgoing: Outgoing, *, timeout: float | None = None) -> Replay | Taping | None:
    """Return how a request is answered, as ``Session.begin`` does; ``None`` where no session is in force."""
    session = current()
    if session is None or is_inside.get():
        return None
    return session.begin(outgoing, timeout=timeout)
