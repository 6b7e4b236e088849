"""What holds for every subcommand: how it is called, and what a broken project makes of it."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from .running import run

SUBCOMMANDS = ["clear", "stats", "demo", "fixtures"]
EACH = pytest.mark.parametrize("words", [("clear", "--noinput"), ("stats",), ("stats", "--json")], ids="_".join)


class TestCalling:
    def test_without_a_subcommand_the_usage_is_shown(self, project):
        done = project.manage("llmcache")

        assert (done.out, done.code) == ("", 2)
        assert "clear | stats | demo | doctor | fixtures" in done.err

    def test_an_unknown_subcommand_is_told_with_the_known_ones(self, project):
        done = project.manage("llmcache", "cleer")

        assert (done.out, done.code) == ("", 2)
        assert "'cleer' (choose from" in done.err
        assert all(name in done.err for name in SUBCOMMANDS)

    @pytest.mark.parametrize("words", [(), ("cleer",), ("clear", "--tga", "x")], ids=str)
    def test_in_code_the_same_is_a_command_error(self, words):
        with pytest.raises(CommandError):
            call_command("llmcache", *words)

    @pytest.mark.parametrize("subcommand", ["", *SUBCOMMANDS])
    def test_help_needs_nothing(self, project, subcommand):
        done = project.manage("llmcache", *filter(None, [subcommand]), "--help")

        assert (done.err, done.code) == ("", 0)
        assert "usage: manage.py llmcache" in done.out

    def test_djangos_options_may_stand_on_either_side(self, project):
        before = project.manage("llmcache", "-v", "0", "--settings=settings_of_the_test", "--no-color", "stats")
        after = project.manage("llmcache", "stats", "-v", "0", "--settings=settings_of_the_test", "--no-color")

        assert (before.code, after.code) == (0, 0)
        assert before.out == after.out

    @pytest.mark.parametrize("words", [("--traceback", "stats"), ("stats", "--traceback")], ids=str)
    def test_a_traceback_is_shown_to_who_asks_for_it_on_either_side(self, project, words):
        project.configure({"DEFAULT_TTL": "soon"})

        done = project.manage("llmcache", *words)

        assert done.err.startswith("Traceback (most recent call last):")

    def test_the_settings_may_be_named_behind_the_subcommand(self, project):
        done = project.manage("llmcache", "stats", "--settings=settings_of_the_test", DJANGO_SETTINGS_MODULE="nowhere")

        assert (done.err, done.code) == ("", 0)


class TestBroken:
    @EACH
    def test_a_wrong_setting_is_one_line_and_no_traceback(self, project, words):
        project.configure({"DEFAULT_TTL": "soon"})

        done = project.manage("llmcache", *words)

        assert (done.out, done.code) == ("", 1)
        [line] = done.err.splitlines()
        assert line.startswith("CommandError: settings.LLMCACHE['DEFAULT_TTL'] is 'soon'; it must be")

    @EACH
    @pytest.mark.parametrize(
        "raw",
        [
            {"BACKEND": "no.such.Backend"},
            {"BACKEND": "tests.conf.broken_module.Backend"},
            {"OPTIONS": {"MAX_ENTRIES": 0}},
            {"RUN_DIR": 5},
            {"PROVIDERS": {"openai": "sk"}},
        ],
        ids=str,
    )
    def test_the_setting_is_named(self, words, raw):
        with override_settings(LLMCACHE=raw):
            done = run(*words)

        assert (done.out, done.code) == ("", 1)
        assert f"LLMCACHE['{next(iter(raw))}']" in done.err
        assert "\n" not in done.err

    @EACH
    def test_what_is_wrong_elsewhere_in_the_project_keeps_nobody_from_it(self, project, words, run_dir):
        project.configure({"RUN_DIR": str(run_dir), "ENABLE": True}, MIDDLEWARE=[])  # two checks fail on it
        assert project.manage("check").code == 1

        done = project.manage("llmcache", *words)

        assert (done.err, done.code) == ("", 0)


class TestCheck:
    def test_the_check_command_tells_of_a_broken_setting_without_a_traceback(self, project):
        project.configure({"ENABLE": True, "DEFAULT_TTL": "soon", "PROVIDERS": {"openai": {"APIKEY": "sk-canary"}}})

        done = project.manage("check")

        assert done.code == 1
        assert "Traceback" not in done.err
        assert "sk-canary" not in done.err
        for said in (
            "(llmcache.E001) LLMCACHE has the unknown key 'ENABLE'.",
            "HINT: Did you mean 'ENABLED'?",
            "(llmcache.E001) LLMCACHE['PROVIDERS']['openai'] has the unknown key 'APIKEY'.",
            "(llmcache.E002) settings.LLMCACHE['DEFAULT_TTL'] is 'soon'",
        ):
            assert said in done.err

    @pytest.mark.parametrize(
        ("raw", "number"),
        [
            ([], "E002"),
            ({"MIDDLEWARE": ["no.such.Middleware"]}, "E003"),
            ({"SCOPE": "tests.conf.broken_module.scope"}, "E003"),
            ({"OPTIONS": {"MAX_BYTES": -1}}, "E004"),
        ],
        ids=str,
    )
    def test_whatever_is_wrong_it_is_told(self, project, raw, number):
        project.configure()
        with (project.path / "settings_of_the_test.py").open("a") as file:
            file.write(f"LLMCACHE = {raw!r}\n")

        done = project.manage("check")

        assert done.code == 1
        assert f"(llmcache.{number})" in done.err
        assert "Traceback" not in done.err

    def test_a_right_project_passes_and_a_deployment_hears_of_its_workers(self, project):
        plain = project.manage("check", "--tag", "llmcache")
        deployed = project.manage("check", "--tag", "llmcache", "--deploy")

        assert (plain.err, plain.code, deployed.code) == ("", 0, 0)
        assert "(llmcache.W001)" in deployed.err

    def test_the_test_strategy_outside_tests_is_told(self, project):
        project.configure({"STRATEGY": "tests.conf.parts.TestsOnlyStrategy"})

        done = project.manage("check")

        assert done.code == 0
        assert "(llmcache.W002)" in done.err
