"""The line that records a test, as it has to be typed where this run was: with the settings that it was given."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

VARIABLES: Final = "LLMCACHE_TEST_CACHE_ENABLED=true LLMCACHE_TEST_CACHE_MODE={mode}"

OF_DJANGO: Final = ("--settings", "--configuration", "--pythonpath")
"""Options of ``manage.py`` that say which settings hold, django-configurations' among them."""

OF_PYTEST: Final = {"-c": "inifilename", "--ds": "ds", "--dc": "dc"}
"""Options of pytest, and of pytest-django, that say so, with what pytest calls them."""


def of_django(words: Sequence[str]) -> str:
    """Return what records a test under Django's runner, with ``{mode}`` and ``{test}`` in it.

    Args:
        words: of the command line of this run, which its workers have too.
    """
    said = []
    for word, after in pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if name in OF_DJANGO:
            said += [name, value if equals else after]
    return _line("python manage.py test", said)


def of_pytest(config: Any) -> str:
    """Return what records a test under pytest, with ``{mode}`` and ``{test}`` in it.

    Args:
        config: of the run, ``None`` for one without options. What its ini file says of options needs no repeating.
    """
    said = []
    for flag, name in OF_PYTEST.items():
        value = getattr(config and config.option, name, None)
        if value and not any(word.startswith(flag) for word in config.getini("addopts")):
            said += [flag, str(value)]
    return _line("pytest", said)


def seen_from_here(config: Any, node: str) -> str:
    """Return the id of a test, a class or a module as pytest takes it in the folder that it was started in."""
    path, colons, rest = node.partition("::")
    try:
        relative = os.path.relpath(config.rootpath / path, config.invocation_params.dir)
    except ValueError:  # on another drive of Windows
        return node
    return f"{Path(relative).as_posix()}{colons}{rest}"


def _line(runner: str, said: Sequence[str]) -> str:
    options = shlex.join(said).replace("{", "{{").replace("}", "}}")
    return " ".join(filter(None, [VARIABLES, runner, options, "{test}"]))
