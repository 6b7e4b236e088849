"""What the processes of one machine say to each other, through files in ``RUN_DIR``.

A web worker keeps its cache in its own memory, and ``manage.py llmcache`` runs in a process of its own. So a shell
writes a numbered file for each clear, every worker looks for new ones, applies them and acknowledges them in
``<pid>.json``, where it publishes its counters too.
"""

from __future__ import annotations

import os
import time
from typing import Any

from django.core.signals import setting_changed

from django_llmcache import conf
from django_llmcache.entry import Selector

from . import announcer
from .announcer import TIMEOUT, Acknowledgement, ClearReport
from .channel import Channel
from .folder import run_dir
from .reports import WorkerReport
from .strangers import Stranger, find_strangers

__all__ = [
    "TIMEOUT",
    "Acknowledgement",
    "Channel",
    "ClearReport",
    "Stranger",
    "WorkerReport",
    "announce",
    "connect",
    "current",
    "published",
    "run_dir",
    "tell",
    "unreachable",
]

_channel = Channel()
connect = _channel.connect


def current() -> Channel:
    """Return this process as a worker, one and the same object whatever the settings and after a fork.

    On the hit path: ``if monotonic() >= channel.due: channel.poll()``.
    """
    return _channel


def announce(selector: Selector, *, timeout: float = TIMEOUT) -> ClearReport:
    """Make every worker on this machine clear, and wait until each has acknowledged.

    Args:
        selector: what to clear.
        timeout: seconds to wait for workers that do not acknowledge.

    Raises:
        RunDirError: the folder can't be used or trusted.
    """
    return announcer.announce(selector, timeout=timeout, pause=_pause)


def tell(selector: Selector) -> None:
    """Let the other workers hear of a clear that this process has applied by itself; wait for nobody, raise nothing."""
    _channel.tell(selector)


def published() -> list[WorkerReport]:
    """Return what the workers on this machine last published, by process id; at most some 2 seconds old.

    Raises:
        RunDirError: the folder can't be used or trusted.
    """
    if _channel.listening:
        _channel.look(publish=True)
    return announcer.published()


def unreachable() -> list[Stranger]:
    """Return the workers of this project that this process can't reach, each with the cure."""
    if conf.under_test_runner() and conf.current().run_dir is None:
        return []  # the folder is this process's own on purpose
    return find_strangers(run_dir())


def _pause(seconds: float) -> None:
    if _channel.listening:  # the shell is a worker itself: a test, or a view that clears
        _channel.look()
    time.sleep(seconds)


def _settings_changed(*, setting: str, **_: Any) -> None:
    if setting in ("LLMCACHE", "BASE_DIR"):
        _channel.due = 0.0


setting_changed.connect(_settings_changed, dispatch_uid="django_llmcache.workers")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_channel.forked)
