"""``--llmcache-doctor``: a run of tests that names what in their requests is another each time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from django_llmcache import conf

MODE: Final = "--llmcache-mode"
OPTION: Final = "--llmcache-doctor"
HELP: Final = "Record these tests, replay them at once, and name what in their requests is another each time."


def is_asked(option: bool) -> bool:  # noqa: FBT001 - as the runners give it
    """Return whether a run is to be the doctor's: not one that the doctor itself has started."""
    return option and conf.environment(conf.DOCTOR) is None


def examine(words: Sequence[str], tests: Sequence[str], tell: Callable[[str], None]) -> int:
    """Run tests twice, as ``manage.py llmcache fixtures doctor`` does; return 0 where each request was found again.

    Args:
        words: of the command line, after Python's own.
        tests: those of them that name tests.
        tell: shown what was found.

    Raises:
        LLMCacheError: it can't be done.
    """
    from django_llmcache.management.fixtures.doctor import diagnosis

    outcome = diagnosis([sys.executable, *_without_options(words)], tests)
    for text in filter(None, (outcome.shown(), outcome.problem)):
        tell(text)
    return 1 if outcome.problems else 0


def _without_options(words: Sequence[str]) -> Iterator[str]:
    """Yield a command line less the doctor's own option and a mode: it has one for each of its runs."""
    left = iter(words)
    for word in left:
        if word == MODE:
            next(left, None)
        elif word != OPTION and not word.startswith(f"{MODE}="):
            yield word
