"""Time calls, and what is common to every benchmark's numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from time import perf_counter
from typing import Any, Final

_ROUNDS: Final = 5


def seconds_each(
    call: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], *, clock: Callable[[], float] = perf_counter
) -> list[float]:
    """Return how long each call took, in seconds, the shortest first.

    ``clock`` may be ``time.thread_time``, which stands still while another process has the processor.
    """
    taken = []
    for args in arguments:
        started = clock()
        call(*args)
        taken.append(clock() - started)
    return sorted(taken)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of all are not above."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def calls_a_second(call: Callable[[Any], Any], arguments: Sequence[Any], *, threads: int, times: int) -> float:
    """Return how many calls a second ``threads`` threads make together, each over all the arguments ``times`` times.

    The best of several rounds, since others use the machine too.
    """
    return max(_rate(call, arguments, threads, times) for _ in range(_ROUNDS))


def _rate(call: Callable[[Any], Any], arguments: Sequence[Any], threads: int, times: int) -> float:
    ready = threading.Barrier(threads)
    begun, ended = [0.0] * threads, [0.0] * threads  # told by the threads: whoever waits for them may wait longer

    def work(index: int) -> None:
        first = index * len(arguments) // threads
        mine = arguments[first:] + arguments[:first]
        ready.wait()
        begun[index] = perf_counter()
        for _ in repeat(None, times):
            for argument in mine:
                call(argument)
        ended[index] = perf_counter()

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return threads * times * len(arguments) / (max(ended) - min(begun))
