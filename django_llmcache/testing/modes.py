"""Whether the test cache is on, and in which mode: the decorator's word, the command line's, the environment's, …."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django_llmcache import conf, variables
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.recorder.setup import Mode

ENABLED_VARIABLE = "LLMCACHE_TEST_CACHE_ENABLED"
MODE_VARIABLE = "LLMCACHE_TEST_CACHE_MODE"
HINT = (
    "Set LLMCACHE_TEST_CACHE_ENABLED=true to replay what is recorded and record what is not, "
    "or LLMCACHE_TEST_CACHE_MODE=live to ask for real and keep nothing"
)

_from_command_line: str | None = None


class Decision(NamedTuple):
    """How a live_api test runs."""

    mode: Mode
    skip: str | None
    """Why it is skipped, or ``None``."""


def choose_on_command_line(mode: str | None) -> None:
    """Take the mode of ``--llmcache-mode``, for this process and for the workers that it starts.

    Raises:
        ConfigurationError: it is no mode.
    """
    global _from_command_line
    if mode is not None:
        parsed(mode, source="--llmcache-mode")
    conf.restore(conf.COMMAND_LINE_MODE, mode)
    _from_command_line = mode


@contextmanager
def chosen_on_command_line(mode: str) -> Iterator[None]:
    """Take the mode of a run that others may follow in this process, as ``choose_on_command_line`` does.

    Raises:
        ConfigurationError: it is no mode.
    """
    global _from_command_line
    before, inherited = _from_command_line, conf.environment(conf.COMMAND_LINE_MODE)
    choose_on_command_line(mode)
    try:
        yield
    finally:
        _from_command_line = before
        conf.restore(conf.COMMAND_LINE_MODE, inherited)


def decide(asked: Mode | None = None) -> Decision:
    """Return how a test runs.

    Args:
        asked: the mode that its decorator names.

    Raises:
        ConfigurationError: a mode or a switch that is none.
    """
    settings = conf.current().test_cache
    said = conf.test_cache_words()
    line = _from_command_line or said.command_line
    in_words = asked or _mode(line, "--llmcache-mode") or _mode(said.mode, MODE_VARIABLE)
    mode = in_words or _mode(settings.mode, "settings.LLMCACHE['TEST_CACHE']['MODE']")
    enabled = said.enabled if said.enabled is not None else settings.enabled
    if asked is None and line is None and enabled is None:
        enabled = in_words is not None or mode is Mode.LIVE
    elif asked is not None or line is not None:
        enabled = True if enabled is None else enabled
    default = Mode.REPLAY if said.ci else Mode.ONCE
    if mode is Mode.LIVE or enabled:
        return Decision(mode or default, None)
    return Decision(mode or default, f"The test cache is off{_switched_off()}. {HINT}.")


def named_by_test(mode: str) -> Mode | None:
    """Return the mode that a test names; ``None`` where the doctor runs it, whose own goes before any but ``replay``.

    Raises:
        ConfigurationError: it is no mode.
    """
    named = parsed(mode, source="mode")
    return None if variables.said(conf.DOCTOR) and named is not Mode.REPLAY else named


def parsed(mode: str, *, source: str) -> Mode:
    """Return the mode of that name.

    Raises:
        ConfigurationError: there is none; the message names ``source``.
    """
    try:
        return Mode(mode)
    except ValueError:
        names = ", ".join(mode.value for mode in Mode)
        raise ConfigurationError(f"{source} is {mode!r}; give one of {names}.") from None


def _switched_off() -> str:
    """Return who says that it is off, which holds whatever mode is asked for; ``""`` where nobody does."""
    if conf.test_cache_words().enabled is False:
        return f": {ENABLED_VARIABLE}={variables.said(ENABLED_VARIABLE)}"
    said = conf.current().test_cache.enabled
    return "" if said is None else f": settings.LLMCACHE['TEST_CACHE']['ENABLED'] is {said}"


def _mode(text: str | None, source: str) -> Mode | None:
    return None if text is None else parsed(text, source=source)
