"""Which task of asyncio's is at work."""

from __future__ import annotations

import asyncio
from typing import Any


def running_task() -> asyncio.Task[Any] | None:
    """Return the task that runs in this thread, ``None`` where no loop does, or no task of it."""
    return None if asyncio._get_running_loop() is None else asyncio.current_task()
