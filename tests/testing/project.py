"""A Django project in a temporary folder, whose tests are run by both runners in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import dedent

SETTINGS = """
import os

SECRET_KEY = "made up"
INSTALLED_APPS = ["django_llmcache"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
BASE_DIR = os.path.dirname(os.path.abspath(__file__))
LLMCACHE = {
    "PROVIDERS": {"openai": {"BASE_URL": os.environ["STANDIN_URL"] + "/v1", "MODEL": "gpt-4o-mini"}},
    "RUN_DIR": os.path.join(BASE_DIR, "run"),
}
"""
MANAGE = """
import multiprocessing, os, sys

if __name__ == "__main__" and os.environ.get("START_METHOD"):
    multiprocessing.set_start_method(os.environ["START_METHOD"])
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project_settings")
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""


class Run:
    """What one run of a test runner said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.code = done.returncode
        self.text = done.stdout + done.stderr

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.text}"


class Project:
    """A project with tests in ``test_faq.py``."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.temporary = Path(tempfile.mkdtemp())  # short: the path of a socket in it has some hundred characters
        self.write("project_settings.py", SETTINGS)
        self.write("manage.py", MANAGE)
        self.write("pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = project_settings\npython_files = test_*.py\n")

    @property
    def fixtures(self) -> list[Path]:
        return sorted((self.folder / "tests/llm_fixtures").rglob("*.json"))

    def write(self, name: str, code: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(code).lstrip(), encoding="utf-8")

    def pytest(self, *args: str, **variables: str) -> Run:
        return self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *args, **variables)

    def manage(self, *args: str, **variables: str) -> Run:
        return self.run("manage.py", *args, **variables)

    def run(self, *args: str, within: str = ".", **variables: str) -> Run:
        """Run Python in the project's folder, or in one below it."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LLMCACHE_", "DJANGO_", "PYTEST_"))
        }
        kept.pop("CI", None)
        here = str(Path(__file__).parents[2])
        env = kept | {"STANDIN_URL": self.url, "PYTHONPATH": here, "NO_PROXY": "*", "TMPDIR": str(self.temporary)}
        done = subprocess.run(
            [sys.executable, *args],
            cwd=self.folder / within, env=env | variables, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return Run(done)
