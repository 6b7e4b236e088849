"""What a hit through ``chat()`` spends its time on: of ``python -m benchmarks hit``."""

from __future__ import annotations

import cProfile
import pstats
from pathlib import PurePath
from time import monotonic
from timeit import repeat

from .table import table

HITS = 20_000
SHOWN = 8
MOST = 0.05  # of a hit, for any one of these
WAITING = ("logging", "threading", "queue", "acquire", "release", "lock", "Thread")


def report(ask, given, median):
    """Print it, and return whether no thread, lock or logging call takes more than its share.

    Args:
        ask: called with what ``given`` makes; each call is a hit.
        given: makes the arguments of one call.
        median: seconds of a hit without the profiler.
    """
    asked = [given() for _ in range(HITS)]
    profiler = cProfile.Profile()
    profiler.enable()
    for arguments in asked:
        ask(*arguments)
    profiler.disable()
    spent = {_name(function): of[2] for function, of in pstats.Stats(profiler).stats.items()}
    whole = sum(spent.values())
    top = sorted(spent.items(), key=lambda each: -each[1])
    rows = [(name, f"{seconds / whole:.0%}") for name, seconds in top[:SHOWN]]
    print(f"\n{table('What a hit on a small request spends its time on (under cProfile)', ('', 'share'), rows)}")
    waiting = max((seconds / whole for name, seconds in top if any(word in name for word in WAITING)), default=0.0)
    print(f"  {'met' if waiting <= MOST else 'MISSED':8}a thread, a lock or a log: {waiting:.1%} of {MOST:.0%} at most")
    look = _seconds_of_a_look()
    print(f"  the look whether a shell has cleared: {look * 1e9:.0f} ns, {look / median:.1%} of chat()")
    return waiting <= MOST


def _seconds_of_a_look():
    from django_llmcache.workers import current

    channel, times = current(), 200_000
    looks = repeat("monotonic() >= channel.due", globals={"monotonic": monotonic, "channel": channel}, number=times)
    return min(looks) / times


def _name(function):
    file, _, name = function
    return name if file == "~" else f"{PurePath(file).stem}.{name}"
