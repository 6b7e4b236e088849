"""Run the command in this process or as a user does, and tell what came of it."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from django.core.management import CommandError, call_command

ROOT = Path(__file__).parents[2]
PATIENCE = 60
"""Seconds after which a command is given up."""


class Done(NamedTuple):
    """What a command wrote, and how it ended."""

    out: str
    err: str
    code: int


def run(*words: str, **options: Any) -> Done:
    """Run ``llmcache`` in this process."""
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command("llmcache", *words, stdout=out, stderr=err, **options)
    except CommandError as error:
        err.write(str(error))
        code = error.returncode
    return Done(out.getvalue(), err.getvalue(), code)


class Project:
    """A project in a folder of its own, managed by this repository's manage.py."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.configure()

    def configure(self, llmcache: Any = None, **settings: Any) -> None:
        """Write its settings."""
        lines = ["from tests.settings import *", f"BASE_DIR = {str(self.path)!r}", f"LLMCACHE = {llmcache or {}!r}"]
        lines += [f"{name} = {value!r}" for name, value in settings.items()]
        (self.path / "settings_of_the_test.py").write_text("\n".join(lines) + "\n")

    def manage(self, *words: str, answer: str = "", **environment: str) -> Done:
        """Run ``python manage.py`` with these words; ``answer`` is what stdin has."""
        mine = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        mine["DJANGO_SETTINGS_MODULE"] = "settings_of_the_test"
        mine["PYTHONPATH"] = os.pathsep.join([str(self.path), str(ROOT)])
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *words],
            cwd=self.path,
            env=mine | environment,
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return Done(done.stdout, done.stderr, done.returncode)
