"""The only reader of ``settings.LLMCACHE``, and of the environment, but for what that says to a test run.

Read through ``current()`` at each use: a snapshot that ``setting_changed`` drops, so ``override_settings`` holds
at once. Changing the dict in place is not supported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from . import variables
from .exceptions import ConfigurationError
from .locks import fork_safe_lock
from .shapes import PROVIDER_KEYS, RULE_KEYS, SETTINGS, TEST_CACHE_KEYS, names_of
from .typedsettings import Settings
from .variables import COMMAND_LINE_MODE, DOCTOR, RUN_LOG

__all__ = [
    "COMMAND_LINE_MODE", "DOCTOR", "PROVIDER_KEYS", "RULE_KEYS", "RUN_LOG", "SETTINGS", "TEST_CACHE_KEYS", "Settings",
    "names_of",
]  # fmt: skip

SETTINGS_MODULE: Final = "DJANGO_SETTINGS_MODULE"
"""The variable that names Django's settings."""

UNREADABLE: Final = (ImproperlyConfigured, ConfigurationError, ImportError)
"""What is raised where the settings are not there, don't import or cannot work."""

_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})


_changing: Final = fork_safe_lock()

snapshot: Settings | None = None
"""The settings in force; ``None`` before they are first read and after they change: then ``current()`` reads them."""


def current() -> Settings:
    """Return the settings in force.

    Raises:
        ConfigurationError: a value cannot work; the message names the setting.
    """
    global snapshot
    if snapshot is None:
        try:
            snapshot = Settings(_with_what_is_forced(raw()))
        except ConfigurationError as error:
            # Anew: a report that shows the variables of each frame would show the providers' API keys.
            raise ConfigurationError(str(error)) from None
    return snapshot


@contextmanager
def instead(raw: Mapping[str, Any]) -> Iterator[None]:
    """Let another dict hold in place of ``settings.LLMCACHE``: for a process that serves nobody, such as the demo's.

    Raises:
        ConfigurationError: a value cannot work.
    """
    global snapshot
    before, snapshot = snapshot, Settings(raw)
    try:
        yield
    finally:
        snapshot = before


_forcing: list[Mapping[str, Any]] = []
"""What each block forces, the newest last; blocks in threads of their own may end in any order."""

_last_forced: tuple[Settings, dict[str, Any], Settings] | None = None
"""The settings in force, what was forced, and what that made of them: hundreds of tests do the same in turn."""


@contextmanager
def forced(**keys: Any) -> Iterator[None]:
    """Let some keys hold whatever the settings say, now and after they change: for a test that is recorded."""
    global snapshot
    with _changing:
        before = snapshot
        _forcing.append(keys)
        snapshot = inside = None if before is None else _made_of(before)
    try:
        yield
    finally:
        with _changing:
            _forcing[:] = [other for other in _forcing if other is not keys]
            # The same object, where nothing has changed and nobody else forces anything.
            snapshot = before if snapshot is inside and not _forcing else None


def _made_of(settings: Settings) -> Settings:
    global _last_forced
    if _last_forced is None or _last_forced[0] is not settings or _last_forced[1] != _forced():
        _last_forced = (settings, _forced(), Settings(_with_what_is_forced(raw())))
    return _last_forced[2]


def _with_what_is_forced(written: Any) -> Any:
    return {**written, **_forced()} if _forcing and isinstance(written, Mapping) else written


def _forced() -> dict[str, Any]:
    return {name: value for keys in _forcing for name, value in keys.items()}


def raw() -> Any:
    """Return ``settings.LLMCACHE`` as it is written, an empty dict when it is not."""
    return getattr(settings, "LLMCACHE", {})


def web_middleware() -> tuple[str, ...]:
    """Return Django's own ``MIDDLEWARE``, which serves web requests."""
    return tuple(settings.MIDDLEWARE or ())  # some projects without web requests say ``None``


def environment(name: str) -> str | None:
    """Return an environment variable, ``None`` when it is unset or empty."""
    return os.environ.get(name) or None


_placed: Final[dict[tuple[str, str], tuple[int, str | None]]] = {}
"""Of each variable with its value, how many blocks hold it, and what was there before the first."""


@contextmanager
def placed(variables: Mapping[str, str]) -> Iterator[None]:
    """Set some environment variables; take them back afterwards, unless somebody has changed them meanwhile.

    Blocks that hold the same at the same time may end in any order: the last of them takes it back.
    """
    with _changing:
        for name, value in variables.items():
            holders, before = _placed.get((name, value), (0, os.environ.get(name)))
            _placed[name, value] = (holders + 1, before)
            os.environ[name] = value
    try:
        yield
    finally:
        with _changing:
            for name, value in variables.items():
                _take_back(name, value)


def _take_back(name: str, value: str) -> None:
    holders, before = _placed.pop((name, value))
    if holders > 1:
        _placed[name, value] = (holders - 1, before)
    elif os.environ.get(name) == value:
        restore(name, before)


def inherited(name: str) -> bool:
    """Return whether an environment variable was there before this program began, where the system tells (Linux)."""
    try:
        found = Path("/proc/self/environ").read_bytes()
    except OSError:
        return False
    return any(variable.startswith(f"{name}=".encode()) for variable in found.split(b"\0"))


def restore(name: str, value: str | None) -> None:
    """Set an environment variable, or remove it where ``value`` is ``None``."""
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


class TestCacheWords(NamedTuple):
    """What the environment says of the test cache; ``None`` for nothing."""

    enabled: bool | None
    mode: str | None
    command_line: str | None
    ci: bool


def test_cache_words() -> TestCacheWords:
    """Return what the environment says of the test cache.

    Raises:
        ConfigurationError: a switch that is neither true nor false.
    """
    return TestCacheWords(
        enabled=switch("LLMCACHE_TEST_CACHE_ENABLED"),
        mode=variables.said("LLMCACHE_TEST_CACHE_MODE"),
        command_line=variables.said(COMMAND_LINE_MODE),
        # Some services write their name; nobody may be billed because of that.
        ci=(variables.said("CI") or "false").lower() not in _FALSE,
    )


def switch(name: str) -> bool | None:
    """Return whether an environment variable says true (``true``, ``1``, ``yes``, ``on``); ``None`` when it is unset.

    Raises:
        ConfigurationError: it says something else than these and ``false``, ``0``, ``no``, ``off``.
    """
    text = variables.said(name)
    if text is None:
        return None
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ConfigurationError(
        f"The environment variable {name} is {text!r}; give true, 1, yes or on, or false, 0, no or off."
    )


def fixture_folder() -> Path:
    """Return the folder of the fixtures: the environment's, else the settings'."""
    return rooted(variables.said("LLMCACHE_TEST_CACHE_DIR") or current().test_cache.dir)


def imported(source: str, path: str) -> Any:
    """Import what a setting names.

    Args:
        source: which setting has the path, up to the verb: ``settings.LLMCACHE['SCOPE'] is``.
        path: the dotted path.

    Raises:
        ConfigurationError: it does not import, whatever its module raised.
    """
    try:
        return import_string(path)
    except Exception as error:
        said = str(error) if isinstance(error, ImportError) else repr(error)
        raise ConfigurationError(f"{source} {path!r}, which does not import: {said}") from error


def rooted(path: str | Path) -> Path:
    """Return a path made absolute: from ``settings.BASE_DIR`` if there is one, else from the working directory."""
    return _below(os.path.abspath(getattr(settings, "BASE_DIR", None) or "."), path)  # noqa: PTH100 - a text as the key


@lru_cache(maxsize=64)
def _below(folder: str, path: str | Path) -> Path:
    """Return a path in a folder. Made once: each test of a run asks where its fixtures are."""
    return Path(folder) / path


def project() -> tuple[str, str]:
    """Return the folder and the settings module that tell this project from others on the machine."""
    # override_settings hides SETTINGS_MODULE.
    module = getattr(settings, "SETTINGS_MODULE", None) or environment("DJANGO_SETTINGS_MODULE") or ""
    folder = getattr(settings, "BASE_DIR", None)
    if folder is None:
        file = getattr(sys.modules.get(module), "__file__", None)
        folder = Path(file).parent if file else "."
    return str(Path(folder).resolve()), module


_random: Final = token_bytes(32)


def secret() -> bytes:
    """Return the project's secret, a random one of this process where it has none."""
    return next(iter(secrets()), _random)


def secrets() -> tuple[bytes, ...]:
    """Return the project's secrets: the one in use, then those that were before it."""
    try:
        known = (settings.SECRET_KEY, *getattr(settings, "SECRET_KEY_FALLBACKS", ()))
    except ImproperlyConfigured:
        return ()
    return tuple(str(one).encode() for one in known if one)


def under_test_runner() -> bool:
    """Return whether Django's test environment is set up in this process."""
    return hasattr(getattr(sys.modules.get("django.test.utils"), "_TestState", None), "saved_data")


def _forget(*, setting: str, **_: Any) -> None:
    global snapshot
    if setting in ("LLMCACHE", "BASE_DIR"):
        snapshot = None


setting_changed.connect(_forget, dispatch_uid="django_llmcache.conf")
