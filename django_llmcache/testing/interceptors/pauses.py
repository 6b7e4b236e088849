"""The pauses that SDKs make before they try again: none after a recorded error, or a fault that names no time."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from types import FrameType, ModuleType
from typing import Any, Final
from unittest.mock import NonCallableMock

from django_llmcache import arrivals
from django_llmcache.recorder import in_force
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.taping import Taping
from django_llmcache.recorder.tasks import running_task

from .patching import replace

_RETRYING: Final = frozenset({
    "aiobotocore", "anthropic", "backoff", "botocore", "cohere", "django_llmcache.middleware.retry", "google", "groq",
    "langchain_core", "litellm", "mistralai", "openai", "tenacity", "together", "urllib3",
})  # fmt: skip
"""Who tries again: packages, and modules by their whole name. Anybody else sleeps as long as ever."""

_SHORT: Final = 0.001
"""Seconds that are left of a pause, so that who tries again until a time is over does not do so all the time."""

_met = threading.local()
"""``session``: the one whose fault or error was met in this thread, else ``None``; ``due``: how many pauses each task
has due since then, which has the key ``None`` where there is no loop."""


def install() -> None:
    """Shorten what SDKs sleep after an error."""
    places: list[tuple[ModuleType, Callable[..., Any]]] = [(time, _Sleep), (asyncio, _sleeping_on_a_loop)]
    if arrivals.is_here("anyio"):
        places.append((sys.modules["anyio"], _sleeping_on_a_loop))
    for module, make in places:
        if not isinstance(getattr(module, "sleep", None), NonCallableMock):  # a test's own, which it asks afterwards
            replace(module, "sleep", make)


def note(answer: Replay | Taping | None) -> None:
    """Note what a client of this thread, or of this task, gets, as it may pause next."""
    met = getattr(_met, "session", None)
    if isinstance(answer, Replay) and answer.retried_at_once:
        current, task = in_force.current(), running_task()
        if met is not current:
            _met.session, _met.due = current, Counter()
        # What a task has asked for all of its own may be before the first of them pauses.
        _met.due[task] = _met.due[task] + 1 if task else 1
    elif met is not None:
        _met.due.pop(running_task(), None)
        _forget_if_none_is_due()


def _forget_if_none_is_due() -> None:
    if not _met.due:
        _met.session = None


class _Sleep:
    """What stands for ``time.sleep``: no function, as that is none of Python's either, and a class may have it."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self.__wrapped__ = original
        self.__module__ = "time"  # where a process that is handed it finds its own

    def __call__(self, seconds: float, /) -> None:
        self.__wrapped__(_left_of(seconds, sys._getframe(1)))

    def __reduce__(self) -> str:
        return "sleep"


def _sleeping_on_a_loop(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def sleep(delay: float, *args: Any, **kwargs: Any) -> Any:
        return await original(_left_of(delay, sys._getframe(1)), *args, **kwargs)

    return sleep


def _left_of(seconds: float, caller: FrameType) -> float:
    """Return how long a pause is to be. A fault shortens one: who waits for something else afterwards really waits."""
    met = getattr(_met, "session", None)
    if met is None or met is not in_force.current():
        return seconds
    module = str(caller.f_globals.get("__name__", ""))
    if module not in _RETRYING and module.partition(".")[0] not in _RETRYING:
        return seconds
    task = running_task()
    asker = task if task in _met.due else next(iter(_met.due))  # it may have had another task ask
    _met.due[asker] -= 1
    if not _met.due[asker]:
        del _met.due[asker]
    _forget_if_none_is_due()
    return _SHORT
