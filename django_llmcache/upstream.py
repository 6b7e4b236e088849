"""Whether what runs here is already inside a call that has passed the pipeline: what it sends passes through."""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType


class Upstream:
    """One call that leaves, as a ``with`` block around it; true while it lasts, or a call around it does.

    A task or a thread that was started inside has a copy of the context for as long as it lives: to it, too, the call
    is over when it is over, and what it asks for afterwards is looked up like any other call.
    """

    __slots__ = ("_open", "_outer", "_token")

    def __enter__(self) -> None:
        self._outer = under_way.get()
        self._open = True
        self._token: Token[Upstream | None] = under_way.set(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        under_way.reset(self._token)

    def __bool__(self) -> bool:
        return self._open or bool(self._outer)


under_way: ContextVar[Upstream | None] = ContextVar("llmcache_upstream", default=None)
"""Set around every call that leaves, and to be asked whether it is true. So ``chat()`` over an instrumented library is
looked up once, and nobody who asks for others waits for himself."""
