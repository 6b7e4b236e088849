from __future__ import annotations

import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import environ
import pytest

from example_project import standin

from .browser import KEY

ROOT = Path(__file__).parent.parent.parent
USED = ("INSTALLED_APPS", "LLMCACHE", "MIDDLEWARE", "ROOT_URLCONF", "STANDIN_LATENCY", "STATIC_URL", "TEMPLATES")


class Variables(dict):
    """An environment that notes what is asked of it."""

    def __init__(self, values):
        super().__init__(values)
        self.asked = set()

    def __getitem__(self, name):
        self.asked.add(name)
        return super().__getitem__(name)

    def __contains__(self, name):
        self.asked.add(name)
        return super().__contains__(name)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return a function that runs a copy of the example's settings, with an environment and a .env of its own."""

    def run(*, dotenv="", **variables):
        folder = tmp_path / "example_project"
        folder.mkdir(exist_ok=True)
        shutil.copy(ROOT / "example_project" / "settings.py", folder)
        (folder / ".env").write_text(dotenv, encoding="utf-8")
        monkeypatch.setattr(environ.Env, "ENVIRON", Variables(variables))
        return SimpleNamespace(**runpy.run_path(str(folder / "settings.py")))

    return run


@pytest.fixture
def project(load, settings, monkeypatch):
    """Put the example's settings in force, as they are without a key; the stand-in answers at once."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")  # so that it is as it was when the test ends
        monkeypatch.delenv(name)
    example = load(STANDIN_LATENCY="0")
    for name in USED:
        setattr(settings, name, getattr(example, name))
    yield settings
    standin.STANDIN.stop()
    standin.STANDIN.reset()


@pytest.fixture
def with_key(project, provider):
    """Give OpenAI a key, and let the fixture ``provider`` be OpenAI."""
    words = project.LLMCACHE["PROVIDERS"]
    ours = words["openai"] | {"API_KEY": KEY, "BASE_URL": f"{provider.url}/v1"}
    project.LLMCACHE = project.LLMCACHE | {"PROVIDERS": words | {"openai": ours}}
    return project
