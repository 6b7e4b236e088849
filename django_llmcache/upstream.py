"""Whether what runs here is already inside a call that has passed the pipeline: what it sends passes through."""

from __future__ import annotations

from contextvars import ContextVar

under_way: ContextVar[bool] = ContextVar("llmcache_upstream", default=False)
"""Set around every call that leaves. So ``chat()`` over an instrumented library is looked up once, and nobody who
asks for others waits for himself."""
