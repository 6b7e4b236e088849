"""Fixtures for the command: a folder for the workers, workers, and a project to manage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from django_llmcache import workers
from tests.workers.crew import Crew

from .running import Project


@pytest.fixture
def run_dir(tmp_path, monkeypatch, settings) -> Path:
    """Return the folder that the workers and the command in this process share; it is not there yet.

    This process, a worker itself since the first test that asked something, keeps to another folder meanwhile.
    """
    monkeypatch.setattr(workers.current(), "_find_folder", lambda: tmp_path / "of-this-process")
    settings.BASE_DIR = tmp_path / "project"  # so that no worker of another test is one of this project's
    settings.LLMCACHE = {"RUN_DIR": tmp_path / "run"}
    return tmp_path / "run"


@pytest.fixture
def crew(run_dir) -> Iterator[Crew]:
    """Return what starts worker processes on ``run_dir``."""
    crew = Crew(run_dir)
    yield crew
    crew.dismiss()


@pytest.fixture
def project(tmp_path, run_dir) -> Project:
    """Return a project on disk whose workers share ``run_dir``."""
    project = Project(tmp_path / "project")
    project.configure({"RUN_DIR": str(run_dir)})
    return project
