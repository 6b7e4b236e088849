"""docs/commands.md says what the command says."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pytest

from django_llmcache import workers
from django_llmcache.contrib.demo import show
from django_llmcache.management import clearing
from django_llmcache.management.commands.llmcache import Command
from django_llmcache.management.statistics import Report
from django_llmcache.stats import CacheStats

from .running import ROOT, run

PAGE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
SECTIONS = dict(zip(*[iter(re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)[1:])] * 2, strict=True))


def subparsers():
    parser = Command().create_parser("manage.py", "llmcache")
    [action] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return action.choices


def options(parser):
    """Return the first name of each option that --help shows, but for --help."""
    shown = [action for action in parser._actions if action.help != argparse.SUPPRESS and action.dest != "help"]
    return [action.option_strings[0] for action in shown]


def rows(text):
    """Return the first cell of each row of the last table in a text, by what it has in backticks."""
    return dict(re.findall(r"^\| `(.+?)` \| (.+) \|$", text, flags=re.MULTILINE))


def test_each_subcommand_has_a_section():
    assert [name.strip("`") for name in SECTIONS if name.startswith("`")] == list(subparsers())


@pytest.mark.parametrize("name", sorted(subparsers().keys() - {"fixtures"}))
def test_its_options_are_listed_as_they_are(name):
    assert list(rows(SECTIONS[f"`{name}`"])) == options(subparsers()[name])


@pytest.mark.parametrize(
    ("name", "option", "dest"), [("clear", "--timeout", "timeout"), ("demo", "--latency", "latency")]
)
def test_the_default_of_an_option_is_the_one_that_holds(name, option, dest):
    default = subparsers()[name].get_default(dest)

    assert f"Default: {default:g}." in rows(SECTIONS[f"`{name}`"])[option]


def test_what_it_says_without_a_worker_is_on_the_page(run_dir):
    assert run("clear", "--noinput").out in SECTIONS["`clear`"]


def test_what_it_says_of_a_silent_worker_is_on_the_page():
    assert f"CommandError: {clearing._silence((4711,), workers.TIMEOUT)}\n" in SECTIONS["`clear`"]


def test_the_question_and_what_was_done_are_on_the_page():
    conditions = {"provider": "openai", "tag": "faq"}
    report = workers.ClearReport(1, tuple(workers.Acknowledgement(pid, 0) for pid in range(3)), ())
    report = report._replace(acknowledged=(workers.Acknowledgement(1, 214), *report.acknowledged))

    assert f"{clearing.question(conditions)} [y/N] y\n" in SECTIONS["`clear`"]
    assert clearing._told(report, conditions, alone=True) in SECTIONS["`clear`"]


class TestStats:
    @pytest.fixture
    def stats(self):
        blocks = re.findall(r"```console\n(.+?)```", SECTIONS["`stats`"], flags=re.DOTALL)
        return CacheStats.from_dict(json.loads(blocks[1].partition("\n")[2]))

    def test_the_object_is_what_these_figures_give(self, stats):
        assert Report(stats, "").as_json() in PAGE

    def test_the_table_is_what_these_figures_give(self, stats):
        parts = {
            4711: CacheStats(entries=640, hits=4410, misses=802),
            4712: CacheStats(entries=564, hits=3906, misses=770),
        }
        report = Report(stats, "2 running workers on this machine", None, parts)

        assert set(report.as_text().splitlines()) - set(PAGE.splitlines()) == set()


def test_the_demo_says_what_is_on_the_page():
    said = []
    show.run(said.append, latency=0)
    notice, headings = said[0].replace("after 0 s", "after 0.4 s"), show.HEADINGS

    assert notice in PAGE
    assert re.search(" +".join(headings), PAGE)
    assert next(line for line in said if "was asked" in line).strip() in PAGE


def test_each_link_leads_to_a_page_and_a_heading():
    broken = []
    for page in ("commands.md", "settings.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)]+)\)", text):
            file, _, heading = target.partition("#")
            there = Path(ROOT / "docs" / (file or page))
            slugs = [
                re.sub(r"[^\w -]", "", line.strip()).replace(" ", "-").lower()
                for line in re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), flags=re.MULTILINE)
            ]
            if heading and heading not in slugs:
                broken.append(target)

    assert broken == []
