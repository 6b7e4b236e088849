"""RUN_DIR and BASE_DIR."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import override_settings

from django_llmcache import conf, workers


@pytest.mark.parametrize("base", [str, Path], ids=["str", "Path"])
@pytest.mark.parametrize("given", ["run", Path("run")], ids=repr)
def test_a_relative_path_is_taken_from_base_dir(tmp_path, base, given):
    with override_settings(BASE_DIR=base(tmp_path), LLMCACHE={"RUN_DIR": given}):
        assert tmp_path / "run" == workers.run_dir()


def test_base_dir_may_change_by_itself(tmp_path):
    with override_settings(LLMCACHE={"RUN_DIR": "run"}, BASE_DIR=tmp_path / "a"):
        before = workers.run_dir()
        with override_settings(BASE_DIR=tmp_path / "b"):
            inside = workers.run_dir()
        after = workers.run_dir()

    assert (before, inside, after) == (tmp_path / "a/run", tmp_path / "b/run", tmp_path / "a/run")


@pytest.mark.parametrize("changes", [{}, {"BASE_DIR": None}], ids=["unset", "None"])
def test_without_base_dir_it_is_taken_from_the_working_directory(tmp_path, monkeypatch, changes):
    monkeypatch.chdir(tmp_path)

    with override_settings(LLMCACHE={"RUN_DIR": "run"}, **changes):
        assert tmp_path / "run" == workers.run_dir()


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    with override_settings(BASE_DIR="/srv/site", LLMCACHE={"RUN_DIR": str(tmp_path)}):
        assert tmp_path == workers.run_dir()


def test_an_empty_path_is_none():
    with override_settings(LLMCACHE={"RUN_DIR": ""}):
        assert conf.current().run_dir is None


def test_two_projects_have_two_folders(tmp_path):
    with override_settings(BASE_DIR=tmp_path / "a"):
        first = conf.project()
    with override_settings(BASE_DIR=tmp_path / "b"):
        second = conf.project()

    assert first != second
