"""Fixtures that no test of a full run asked for."""

from __future__ import annotations

from pathlib import Path

from django_llmcache.recorder.usage import UsageLog, unused

from .setups import fixture_store, usage_log

full_run = usage_log
"""Return the log that a full run starts and finishes."""


def unused_fixtures(log: UsageLog | None = None) -> list[Path]:
    """Return the fixtures that were neither replayed nor recorded since the last full run began.

    Raises:
        UsageUnknown: no full run came to its end.
    """
    return sorted(unused(fixture_store(), log or usage_log()))
