"""Time calls, and what is common to every benchmark's numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from time import perf_counter
from typing import Any


def seconds_each(call: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]) -> list[float]:
    """Return how long each call took, in seconds, the shortest first."""
    taken = []
    for args in arguments:
        started = perf_counter()
        call(*args)
        taken.append(perf_counter() - started)
    return sorted(taken)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of all are not above."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def calls_a_second(call: Callable[[Any], Any], arguments: Sequence[Any], *, threads: int, times: int) -> float:
    """Return how many calls a second ``threads`` threads make together, each over all the arguments ``times`` times.

    The best of three, since others use the machine too.
    """
    return max(_rate(call, arguments, threads, times) for _ in range(3))


def _rate(call: Callable[[Any], Any], arguments: Sequence[Any], threads: int, times: int) -> float:
    ready = threading.Barrier(threads + 1)

    def work(first: int) -> None:
        mine = arguments[first:] + arguments[:first]
        ready.wait()
        for _ in repeat(None, times):
            for argument in mine:
                call(argument)

    step = len(arguments) // threads
    workers = [threading.Thread(target=work, args=(index * step,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    started = perf_counter()
    for worker in workers:
        worker.join()
    return threads * times * len(arguments) / (perf_counter() - started)
