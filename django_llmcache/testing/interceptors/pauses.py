"""The pauses that SDKs make before they try again: after a fault that names no time, they take none."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from types import FrameType, ModuleType
from typing import Any, Final
from unittest.mock import NonCallableMock

from django_llmcache import arrivals
from django_llmcache.recorder import session
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.taping import Taping

from .patching import replace

_RETRYING: Final = frozenset({
    "aiobotocore", "anthropic", "backoff", "botocore", "cohere", "django_llmcache.middleware.retry", "google", "groq",
    "langchain_core", "litellm", "mistralai", "openai", "tenacity", "together", "urllib3",
})  # fmt: skip
"""Who tries again: packages, and modules by their whole name. Anybody else sleeps as long as ever."""

_SHORT: Final = 0.001
"""Seconds that are left of a pause, so that who tries again until a time is over does not do so all the time."""

_met = threading.local()
"""``session``: the one whose fault was the last answer in this thread, else ``None``."""


def install() -> Callable[[], None]:
    """Shorten what SDKs sleep after a fault; return what ends it."""
    ending = ExitStack()
    places: list[tuple[ModuleType, Callable[..., Any]]] = [(time, _Sleep), (asyncio, _sleeping_on_a_loop)]
    if arrivals.is_here("anyio"):
        places.append((sys.modules["anyio"], _sleeping_on_a_loop))
    for module, make in places:
        if not isinstance(module.sleep, NonCallableMock):  # a test's own, which it asks afterwards
            ending.callback(replace(module, "sleep", make))
    return ending.close


def note(answer: Replay | Taping | None) -> None:
    """Note what a client of this thread gets, as it may pause next."""
    _met.session = session.current() if isinstance(answer, Replay) and answer.retried_at_once else None


class _Sleep:
    """What stands for ``time.sleep``: no function, as that is none of Python's either, and a class may have it."""

    def __init__(self, original: Callable[..., Any]) -> None:
        self.__wrapped__ = original

    def __call__(self, seconds: float, /) -> None:
        self.__wrapped__(_SHORT if _is_needless(sys._getframe(1)) else seconds)


def _sleeping_on_a_loop(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    async def sleep(delay: float, *args: Any, **kwargs: Any) -> Any:
        return await original(_SHORT if _is_needless(sys._getframe(1)) else delay, *args, **kwargs)

    return sleep


def _is_needless(caller: FrameType) -> bool:
    met = getattr(_met, "session", None)
    if met is None or met is not session.current():
        return False
    module = str(caller.f_globals.get("__name__", ""))
    return module in _RETRYING or module.partition(".")[0] in _RETRYING
