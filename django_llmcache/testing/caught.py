"""Misses that somebody below a test caught: it fails by them all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django_llmcache.recorder.misses import FixtureMiss, ForkedMiss

__unittest = True  # so that a traceback goes on to the test's own line


@contextmanager
def telling_misses(
    untold: Callable[[], Sequence[FixtureMiss]], failures: tuple[type[BaseException], ...] = (Exception,)
) -> Iterator[None]:
    """Let a test fail by a miss that somebody below it caught, also where it goes on to fail by something else.

    Args:
        untold: return what still has to be told.
        failures: what a test fails by.
    """
    try:
        yield
    except failures as error:
        misses = untold()
        if misses and not shows(error, misses):
            raise misses[0] from error
        raise
    for miss in untold():
        raise miss


def shows(error: BaseException | None, misses: Sequence[BaseException]) -> bool:
    """Return whether the traceback of an error has one of the misses in it already, or a child's own error of it."""
    texts = set(map(str, misses))
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if error in misses or (isinstance(error, ForkedMiss) and str(error) in texts):
            return True
        seen.add(id(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False
