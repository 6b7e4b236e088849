"""`llmcache stats`: sums what the running workers publish."""

from __future__ import annotations

import json

import pytest
from django.test import override_settings

from django_llmcache import cache

from .running import run

ASK = "ask openai gpt-4o faq public"


@pytest.fixture
def serve(crew):
    """Return what starts a worker with a real cache that has asked as often as it is told to."""

    def serve(times):
        worker = crew.hire(module="tests.commands.server")
        for _ in range(times):
            worker.say(ASK)
            worker.expect("answered")
        return worker

    return serve


def publish():
    """Make the workers publish now, which they do with what they acknowledge."""
    run("clear", "--noinput", "--tag", "no-answer-has-it")


def figures(text):
    """Return the rows of the table."""
    return {line[:14].strip(): line[14:].strip() for line in text.splitlines()}


def test_the_figures_of_several_workers_are_summed(serve):
    serve(3)
    serve(2)
    publish()

    done = run("stats", "--json")

    told = json.loads(done.out)
    assert (done.err, done.code) == ("", 0)
    assert {name: told[name] for name in ("processes", "entries", "hits", "misses", "puts", "errors")} == {
        "processes": 2, "entries": 2, "hits": 3, "misses": 2, "puts": 2, "errors": 0
    }  # fmt: skip
    assert (told["backend"], told["hit_rate"]) == ("memory", 0.6)
    assert told["tokens_saved"] == 21


def test_the_table_says_of_how_many_workers_it_speaks_and_what_each_has(serve):
    workers = [serve(3), serve(2)]
    publish()

    rows = figures(run("stats").out)

    assert rows["speaks of"] == "2 running workers on this machine"
    assert rows["hits"] == "3 (60.0% of 5 look-ups)"
    assert rows["tokens saved"] == "21"
    assert rows[f"worker {workers[0].pid}"] == "entries 1, hits 2, misses 1"
    assert rows[f"worker {workers[1].pid}"] == "entries 1, hits 1, misses 1"


def test_a_real_shell_sees_the_same(serve, project):
    serve(3)
    publish()

    here = run("stats")
    table, machine = project.manage("llmcache", "stats"), project.manage("llmcache", "stats", "--json")

    assert table == here
    assert json.loads(machine.out)["hits"] == 2


def test_a_worker_that_ended_is_not_counted(serve):
    worker, _ = serve(3), serve(1)
    publish()
    worker.end()

    rows = figures(run("stats").out)

    assert (rows["speaks of"], rows["hits"]) == ("1 running worker on this machine", "0 (0.0% of 1 look-ups)")


def test_without_a_worker_it_says_so_and_is_a_success(project, run_dir):
    done = project.manage("llmcache", "stats")

    rows = figures(done.out)
    assert (done.err, done.code) == ("", 0)
    assert rows["speaks of"] == "no worker: none is running"
    assert rows["entries"] == "0 (0.0 KiB)"
    assert not run_dir.exists()


def test_without_a_worker_json_says_of_no_process(run_dir):
    told = json.loads(run("stats", "--json").out)

    assert (told["processes"], told["hits"], told["hit_rate"]) == (0, 0, 0)


def test_json_has_the_names_of_the_facade(run_dir):
    assert json.loads(run("stats", "--json").out).keys() == cache.stats().as_dict().keys()


def test_a_shared_backend_is_asked_itself():
    with override_settings(LLMCACHE={"BACKEND": "django_llmcache.backends.dummy.DummyBackend"}):
        done = run("stats")

    assert done.code == 0
    assert figures(done.out)["speaks of"] == "dummy; the counters are this process' own"
