"""`llmcache demo` works for anybody: no key, no network, whatever the project has set."""

from __future__ import annotations

import os
import re
import time

import pytest
from django.test import override_settings

from django_llmcache import CachePolicy, LLMRequest, cache
from django_llmcache.contrib.demo import show

from .running import run

NOBODY = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


def rows(text):
    """Return the cells of the table, a list of them for each call."""
    lines = text.splitlines()
    rule = next(n for n, line in enumerate(lines) if line.startswith("---"))
    table = lines[rule + 1 : lines.index("", rule)]
    return [re.split(r" {2,}", line) for line in table]


def test_it_shows_calls_and_statistics_in_under_fifteen_seconds(project):
    began = time.monotonic()
    done = project.manage("llmcache", "demo", **NOBODY)
    took = time.monotonic() - began

    assert (done.err, done.code) == ("", 0)
    assert took < 15
    assert [cells[2] for cells in rows(done.out)] == ["provider", "cache"] * 5 + ["provider", "provider"]
    assert "The provider was asked 7 times for 12 calls." in done.out
    assert re.search(r"^hits +5 \(41\.7% of 12 look-ups\)$", done.out, re.MULTILINE)
    assert re.search(r"^not stored +2 truncated$", done.out, re.MULTILINE)


class TestTable:
    @pytest.fixture
    def table(self):
        return rows(run("demo", "--latency", "0").out)

    def test_each_provider_is_asked_twice_and_answers_once(self, table):
        names = [cells[0].split()[0] for cells in table]

        assert names == [call.provider for call in show.CALLS for _ in range(2)]

    def test_the_provider_takes_its_time_and_the_cache_takes_none(self):
        waited = {"provider": [], "cache": []}
        for _, _, source, latency, *_ in rows(run("demo", "--latency", "0.25").out):
            waited[source].append(float(latency.removesuffix(" ms")))

        assert min(waited["provider"]) >= 250 > max(waited["cache"])

    def test_a_hit_says_how_many_tokens_it_saved(self, table):
        assert all(int(cells[4]) > 0 for cells in table if cells[2] == "cache")
        assert {cells[4] for cells in table if cells[2] == "provider"} == {"-"}

    def test_the_answer_that_was_cut_short_is_not_stored_and_says_why(self, table):
        assert [cells[5] for cells in table[-2:]] == ["not stored: truncated"] * 2
        assert {cells[5] for cells in table[:-2] if cells[2] == "provider"} == {"stored for 900 s"}


@pytest.mark.parametrize(
    "raw",
    [
        {"ENABLED": False},
        {"CACHE_BY_DEFAULT": False, "REQUIRE_SCOPE": True},
        {"BACKEND": "django_llmcache.backends.dummy.DummyBackend"},
        {"BACKEND": "no.such.Backend"},
        {"MIDDLEWARE": []},
        {"DEFAULT_TTL": 0, "MAX_ENTRY_BYTES": 1},
        {"DEFAULT_TTL": "soon"},
        {"PROVIDERS": {"openai": {"BASE_URL": "http://127.0.0.1:9", "TTL": 0, "CACHE": False}}},
        {"STRATEGY": "tests.conf.parts.TestsOnlyStrategy"},
        {"RUN_DIR": 5},
    ],
    ids=str,
)
def test_it_shows_the_same_whatever_the_project_has_set(raw):
    with override_settings(LLMCACHE=raw):
        done = run("demo", "--latency", "0")

    assert (done.err, done.code) == ("", 0)
    assert [cells[2] for cells in rows(done.out)] == ["provider", "cache"] * 5 + ["provider", "provider"]
    assert "The default settings hold; those of this project and its cache are not touched." in done.out


def test_a_real_project_that_is_broken_can_see_it_too(project):
    project.configure({"ENABLED": "yes", "BACKEND": "no.such.Backend"})

    assert project.manage("llmcache", "demo", "--latency=0")[1:] == ("", 0)


def test_what_this_process_has_stored_stays():
    request = LLMRequest("openai", payload={"model": "m", "messages": []}, policy=CachePolicy(scope="mine"))
    body = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'
    cache.with_cache(request, lambda _request: body)

    run("demo", "--latency", "0")

    assert cache.with_cache(request, lambda _request: body).from_cache
    assert cache.stats().entries == 1


def test_it_shares_no_folder_with_workers_and_leaves_none_behind(project, tmp_path):
    project.configure()
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    done = project.manage("llmcache", "demo", "--latency=0", TMPDIR=str(temporary))

    assert done.code == 0
    assert list(temporary.iterdir()) == []


def test_the_environment_is_as_it_was(monkeypatch):
    monkeypatch.setenv("no_proxy", "example.com")
    monkeypatch.delenv("NO_PROXY", raising=False)

    run("demo", "--latency", "0")

    assert os.environ["no_proxy"] == "example.com"
    assert "NO_PROXY" not in os.environ


@pytest.mark.parametrize("latency", ["-1", "inf", "nan", "soon"])
def test_a_latency_is_a_number_of_seconds(latency):
    done = run("demo", f"--latency={latency}")

    assert (done.out, done.code) == ("", 1)
    assert f"{latency} is no number of seconds; give 0 or more." in done.err
