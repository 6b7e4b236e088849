"""Misses of blocks that end where the running test does not hear of it.

That is in a thread, with a loop of its own or not, in a task that nobody awaits, or in what a loop calls back.
"""

from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar
from traceback import walk_stack
from types import CodeType
from typing import Any, Final

from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.tasks import running_task

_caught: list[tuple[frozenset[CodeType], FixtureMiss]] = []
"""With whose catching it last tells the test nothing: what is under way in the thread, or what calls back."""

_left: list[FixtureMiss] = []
"""Of those the ones of which a test has not heard by its end."""

_in_tasks: list[tuple[asyncio.Task[Any], bool, FixtureMiss]] = []
"""With whether the task hands its error on to another thread."""

_CALLS_BACK: Final = frozenset({asyncio.Handle._run.__code__})

_hears: ContextVar[bool] = ContextVar("llmcache_test_hears", default=False)
"""Whether what is raised comes to the test: a copy of its context, as of ``to_thread``, has this; a bare thread not."""

_hears.set(True)  # tests are made after this, some with a context of their own: IsolatedAsyncioTestCase


def begin() -> None:
    """Begin a test: the context that it runs in is its own."""
    _hears.set(True)
    forget()


def note(miss: FixtureMiss) -> None:
    """Note what a block raises as it ends, unless the test itself has to see to that."""
    task = running_task()
    if not _hears.get():
        _caught.append((frozenset([frame.f_code for frame, _ in walk_stack(sys._getframe())]), miss))
    elif task is None:
        _caught.append((_CALLS_BACK, miss))
    else:
        _in_tasks.append((task, _hands_on(task), miss))


def misses() -> list[FixtureMiss]:
    """Return what the test has not heard of so far."""
    stayed = [miss for where, miss in _caught if not _came_out(miss, where)]
    return [*_left, *stayed, *(miss for task, on, miss in _in_tasks if _is_left_alone(task, miss, handed_on=on))]


def misses_at_end() -> list[FixtureMiss]:
    """Return what the test has not heard of as it ends; it stays so when one of them is raised."""
    _left.extend(miss for where, miss in _caught if not _came_out(miss, where))
    _caught.clear()
    return misses()


def forget() -> None:
    """Forget them: they are told, or their test is over."""
    _caught.clear()
    _left.clear()
    _in_tasks.clear()


def _hands_on(task: asyncio.Task[Any]) -> bool:
    """Return whether a task is one of ``run_coroutine_threadsafe``: its loop asks for its error, to hand it on."""
    callbacks = getattr(task, "_callbacks", None) or ()
    return any(getattr(each, "__qualname__", "").startswith("_chain_future.") for each, _ in callbacks)


def _came_out(miss: FixtureMiss, where: frozenset[CodeType | None]) -> bool:
    """Return whether somebody else caught a miss, as a test does that asks a pool for the result.

    The place where it was caught last is the first of its traceback, which ``assertRaises`` takes away.
    """
    caught = miss.__traceback__
    return caught is None or caught.tb_frame.f_code not in where


def _is_left_alone(task: asyncio.Task[Any], miss: FixtureMiss, *, handed_on: bool) -> bool:
    """Return whether a task has failed, and nobody has asked for its error: asyncio itself knows, to log it."""
    if not task.done() or task.cancelled():
        return False
    if handed_on:
        own = frozenset({getattr(task.get_coro(), "cr_code", None)}) - {None}
        return task.exception() is miss and not _came_out(miss, own)
    return bool(getattr(task, "_log_traceback", False))
