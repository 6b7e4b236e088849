"""Misses of blocks that end where the running test does not hear of it: in a thread, or a task that nobody awaits."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from contextvars import ContextVar
from traceback import walk_stack
from types import CodeType
from typing import Any

from django_llmcache.recorder.misses import FixtureMiss

_in_threads: list[tuple[frozenset[CodeType], FixtureMiss]] = []
"""With what is under way in the thread as the block ends."""

_left: list[FixtureMiss] = []
"""Of those in threads the ones of which a test has not heard by its end."""

_in_tasks: list[tuple[asyncio.Task[Any], FixtureMiss]] = []

_hears: ContextVar[bool] = ContextVar("llmcache_test_hears", default=False)
"""Whether what is raised comes to the test: a copy of its context, as of ``to_thread``, has this; a bare thread not."""

_hears.set(True)  # tests are made after this, some with a context of their own: IsolatedAsyncioTestCase


def begin() -> None:
    """Begin a test: the context that it runs in is its own."""
    _hears.set(True)
    forget()


def note(miss: FixtureMiss) -> None:
    """Note what a block raises as it ends, unless the test itself has to see to that."""
    task = _task()
    if task is not None:
        _in_tasks.append((task, miss))
    elif not _hears.get():
        _in_threads.append((frozenset([frame.f_code for frame, _ in walk_stack(sys._getframe())]), miss))


def misses() -> list[FixtureMiss]:
    """Return what the test has not heard of so far."""
    in_threads = [miss for thread, miss in _in_threads if not _came_out(miss, thread)]
    return [*_left, *in_threads, *(miss for task, miss in _in_tasks if _is_left_alone(task))]


def misses_at_end() -> list[FixtureMiss]:
    """Return what the test has not heard of as it ends; it stays so when one of them is raised."""
    _left.extend(miss for thread, miss in _in_threads if not _came_out(miss, thread))
    _in_threads.clear()
    return misses()


def forget() -> None:
    """Forget them: they are told, or their test is over."""
    _in_threads.clear()
    _left.clear()
    _in_tasks.clear()


def _task() -> asyncio.Task[Any] | None:
    with suppress(RuntimeError):  # no event loop runs in this thread
        return asyncio.current_task()
    return None


def _came_out(miss: FixtureMiss, thread: frozenset[CodeType]) -> bool:
    """Return whether somebody caught a miss who is not of its thread, as a test does that asks a pool for the result.

    The place where it was caught last is the first of its traceback, which ``assertRaises`` takes away.
    """
    caught = miss.__traceback__
    return caught is None or caught.tb_frame.f_code not in thread


def _is_left_alone(task: asyncio.Task[Any]) -> bool:
    """Return whether a task has failed, and nobody has asked for its error: asyncio itself knows, to log it."""
    return task.done() and bool(getattr(task, "_log_traceback", False))
