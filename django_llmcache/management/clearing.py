"""What ``manage.py llmcache clear`` does and says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from django_llmcache import backends, cache, workers
from django_llmcache.conditions import selector_of

CONDITIONS: Final = ("provider", "model", "tag", "scope", "key")
UNTOUCHED: Final = "The test cache's fixtures are untouched."


class Outcome(NamedTuple):
    """What was done, and what is to be done about what was not."""

    text: str
    problem: str | None = None


def question(conditions: Mapping[str, str]) -> str:
    """Return what to ask before."""
    return f"Remove {_named(conditions)} from the response cache?"


def clear(conditions: Mapping[str, str], *, timeout: float = workers.TIMEOUT) -> Outcome:
    """Remove what meets every condition, from every running worker or from the shared backend.

    Args:
        conditions: by name, of CONDITIONS.
        timeout: seconds to wait for workers that do not acknowledge.

    Raises:
        ConfigurationError: a condition that no answer can meet.
        RunDirError: the folder between the workers and this shell can't be used or trusted.
        BackendUnavailableError: the shared backend failed.
    """
    backend = backends.current()
    if not backend.in_process:
        removed = cache.clear(**conditions)
        return Outcome(f"Removed {_answers(removed)} from {backend.name}: {_named(conditions)}. {UNTOUCHED}")
    strangers = workers.unreachable()
    report = workers.announce(selector_of(**conditions), timeout=timeout)
    problems = [f"{stranger.text} {stranger.cure}" for stranger in strangers]
    if report.silent:
        problems.append(_silence(report.silent, timeout))
    return Outcome(_told(report, conditions, alone=not strangers), "\n".join(problems) or None)


def _silence(pids: tuple[int, ...], timeout: float) -> str:
    listed = ", ".join(map(str, pids))
    who = f"worker with process id {listed}" if len(pids) == 1 else f"workers with process ids {listed}"
    return (
        f"No word from the {who} within {timeout:g} s. One that is only stopped or stuck clears before it next "
        f"answers from its cache; restart it if it does not come back."
    )


def _told(report: workers.ClearReport, conditions: Mapping[str, str], *, alone: bool) -> str:
    if not report.acknowledged and not report.silent:
        return (
            f"No worker is running{', so nothing was cached' if alone else ' that this shell can reach'}. {UNTOUCHED}"
        )
    count = len(report.acknowledged)
    workers_named = f"{count} running {'worker' if count == 1 else 'workers'}"
    return f"Removed {_answers(report.cleared)} from {workers_named}: {_named(conditions)}. {UNTOUCHED}"


def _answers(count: int | None) -> str:
    return "answers" if count is None else f"{count:,} {'answer' if count == 1 else 'answers'}"


def _named(conditions: Mapping[str, str]) -> str:
    return "all answers with " + ", ".join(f"{k} {v!r}" for k, v in conditions.items()) if conditions else "all answers"
