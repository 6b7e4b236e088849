"""What holds for a run, made from the settings, the environment and the command line."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

import django_llmcache
from django_llmcache import conf, telemetry
from django_llmcache.providers import traffic
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode, Setup
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.usage import UsageLog
from django_llmcache.users import user_token

from . import command_line
from .hosts import provider_hosts
from .likely_calls import looks_like_call

PLACEHOLDER = "llmcache-has-no-key"
"""Stands for the API key of a provider that has none, while its answers are replayed."""

_as_under_pytest = False
_made: tuple[tuple[conf.Settings, Mode, Path], Setup] | None = None


def real_time(
    origin: float = time.time() - time.perf_counter(), count: Callable[[], float] = time.perf_counter
) -> float:
    """Return seconds since the epoch, also where a test has stopped or set the clock: recordings keep their true age.

    freezegun and time-machine leave this counter alone, if it is held from before.
    """
    return origin + count()


class FixtureWarning(UserWarning):
    """A recording that has expired was replayed, none can be made of what a test asks, or its use can't be noted."""


def running_pytest() -> None:
    """Say that this process stands for one in which our pytest plugin is configured, as a benchmark's does."""
    global _as_under_pytest
    _as_under_pytest = True


def under_pytest() -> bool:
    """Return whether our pytest plugin is configured in this process."""
    return _as_under_pytest or _config() is not None


def _config() -> Any:
    """Return the configuration of the run of pytest that is under way, of several the innermost; ``None`` for none."""
    runs = getattr(sys.modules.get(f"{__package__}.plugin"), "configured", ())
    return runs[-1] if runs else None


def phase_of_pytest() -> tuple[str, str] | None:
    """Return the id of the test that pytest has under way, and in which phase it is; ``None`` where none is."""
    config = _config()
    return None if config is None else config.stash.get(sys.modules[f"{__package__}.plugin"].under_way, None)


def under_django() -> bool:
    """Return whether Django's own test runner is at work in this process."""
    return conf.under_test_runner() and not under_pytest()


def refuse_outside_tests() -> None:
    """Make sure that a test runner is at work: nothing recorded may ever be served in production.

    Raises:
        ImproperlyConfigured: neither our pytest plugin nor Django's test environment is there.
    """
    if not (under_pytest() or conf.under_test_runner()):
        raise ImproperlyConfigured(
            "The test cache was asked for outside a test run. It works under pytest and `manage.py test` alone; "
            "unset LLMCACHE_TEST_CACHE_ENABLED and remove live_api here."
        )


def setup_for(mode: Mode) -> Setup:
    """Return what holds for tests in this mode.

    Raises:
        ImproperlyConfigured: outside a test run.
        ConfigurationError: a setting that cannot work.
    """
    global _made
    refuse_outside_tests()
    holds = (conf.current(), mode, conf.fixture_folder())
    if _made is None or _made[0] != holds:
        _made = (holds, _make(holds[0], mode))
    return _made[1]


def fixture_store() -> FixtureStore:
    """Return the store in the folder that the environment or the settings name."""
    return FixtureStore(conf.fixture_folder(), max_bytes=conf.current().test_cache.max_fixture_bytes)


def usage_log() -> UsageLog:
    """Return where it is noted which fixtures were used: outside their folder, one for each folder and settings."""
    module = sha256(conf.project()[1].encode()).hexdigest()[:8]
    return _log_at(Path(tempfile.gettempdir()) / f"{_usage_of_all()}{module}.jsonl")


def usage_logs() -> list[UsageLog]:
    """Return that one, then those of runs with other settings, which may ask something else of the same folder."""
    own = usage_log()
    found = sorted(Path(tempfile.gettempdir()).glob(f"{_usage_of_all()}*.jsonl"))
    return [own, *(_log_at(path) for path in found if path != own.path)]


def _usage_of_all() -> str:
    return f"llmcache-usage-{user_token()}-{sha256(str(conf.fixture_folder()).encode()).hexdigest()[:16]}-"


@cache
def _log_at(path: Path) -> UsageLog:
    """Return the one that this process has of a log: it knows its run, what it has noted, and where it can't."""
    return UsageLog(path)


def _make(settings: conf.Settings, mode: Mode) -> Setup:
    words = settings.test_cache
    return Setup(
        store=fixture_store(),
        mode=mode,
        hosts=provider_hosts(),
        ttl=words.ttl,
        ttls=words.ttls,
        fallback=words.fallback,
        expired=words.expired,
        ignore=words.ignore_paths,
        headers=settings.key_headers,
        usage=usage_log(),
        whose=traffic.name_at,
        is_call=looks_like_call,
        tell=_tell,
        warn=_warn,
        command=command_line.of_pytest(_config()) if under_pytest() else command_line.of_django(sys.argv),
        typed=_typed,
        key_variable=_key_variable,
        version=django_llmcache.__version__,
        placeholder=PLACEHOLDER,
        now=real_time,
    )


def _typed(test: str) -> str:
    config = _config()
    return command_line.seen_from_here(config, test) if config and test else test


def _key_variable(provider: str) -> str:
    from .placeholders import variable_of  # needs what is made here

    return variable_of(provider)


def _tell(event: str, details: Mapping[str, Any]) -> None:
    name = f"test_{event}"
    if "path" in details and telemetry.heard(name):
        details = {**details, "path": Path(details["path"])}
    telemetry.emit(name, Session, **details)


def _warn(text: str) -> None:
    warnings.warn(text, FixtureWarning, stacklevel=2)
