"""`llmcache clear` reaches real worker processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from .running import run

needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")

ANSWERS = [
    ("openai", "gpt-4o", "faq", "public"),
    ("openai", "gpt-4o", "faq", "user:1"),
    ("openai", "gpt-5", "faq", "public"),
    ("openai", "gpt-5", "news", "public"),
    ("groq", "gpt-5", "news", "user:1"),
]


def keep(*kept):
    """Return which of ANSWERS are still to be there."""
    return [answer in kept for answer in ANSWERS]


@pytest.fixture
def serve(crew):
    """Return what starts a worker with a real cache that has ANSWERS."""

    def serve():
        worker = crew.hire(module="tests.commands.server")
        ask(worker)
        return worker

    return serve


def ask(worker):
    """Ask for each of ANSWERS; return what was said to each."""
    said = []
    for answer in ANSWERS:
        worker.say(f"ask {' '.join(answer)}")
        said.append(worker.expect("answered"))
    return said


def still_there(worker):
    return [said["from_cache"] for said in ask(worker)]


def test_all_answers_of_every_worker_go_within_two_seconds(crew):
    workers = [crew.hire(), crew.hire()]

    began = time.monotonic()
    done = run("clear", "--noinput")
    took = time.monotonic() - began

    assert done == (
        "Removed 20 answers from 2 running workers: all answers. The test cache's fixtures are untouched.\n", "", 0
    )  # fmt: skip
    assert took < 2
    for worker in workers:
        assert worker.expect("applied")["selector"] == {}


def test_a_real_shell_reaches_them_too(crew, project):
    worker = crew.hire()

    done = project.manage("llmcache", "clear", "--noinput", "--provider", "openai", "--scope", "user:42")

    assert (done.err, done.code) == ("", 0)
    assert done.out.startswith("Removed 10 answers from 1 running worker: ")
    assert "all answers with provider 'openai', scope 'user:42'." in done.out
    selector = worker.expect("applied")["selector"]
    assert (selector["provider"], len(selector["scope"])) == ("openai", 16)


def test_a_real_shell_that_is_answered_yes_clears_them(crew, project):
    crew.hire()

    assert "Removed 10 answers" in project.manage("llmcache", "clear", answer="y\n").out


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("--provider", "groq"), ANSWERS[:4]),
        (("--model", "gpt-4o"), ANSWERS[2:]),
        (("--tag", "news"), ANSWERS[:3]),
        (("--scope", "user:1"), [ANSWERS[0], ANSWERS[2], ANSWERS[3]]),
        (("--scope", "public"), [ANSWERS[1], ANSWERS[4]]),
        (("--provider", "openai", "--tag", "news"), [*ANSWERS[:3], ANSWERS[4]]),
        (("--model", "gpt-5", "--scope", "public", "--tag", "faq"), [*ANSWERS[:2], *ANSWERS[3:]]),
        (("--provider", "groq", "--tag", "faq"), ANSWERS),
        (("--provider", "gro"), ANSWERS),
    ],
    ids=str,
)
def test_an_answer_goes_when_it_meets_every_condition(serve, words, kept):
    worker = serve()

    done = run("clear", "--noinput", *words)

    gone = len(ANSWERS) - len(kept)
    assert done.out.startswith(
        f"Removed {gone} answer{'' if gone == 1 else 's'} from 1 running worker: all answers with "
    )
    assert keep(*kept) == still_there(worker)


def test_one_answer_goes_by_its_key(serve):
    worker = serve()
    key = ask(worker)[2]["key"]

    done = run("clear", "--noinput", "--key", key)

    assert done.out.startswith(f"Removed 1 answer from 1 running worker: all answers with key '{key}'.")
    assert still_there(worker) == [True, True, False, True, True]


def test_every_worker_forgets_its_own(serve):
    workers = [serve(), serve()]

    done = run("clear", "--noinput", "--tag", "faq")

    assert done.out.startswith("Removed 6 answers from 2 running workers")
    assert [still_there(worker) for worker in workers] == [[False, False, False, True, True]] * 2


@needs_signals
@needs_proc
class TestSilence:
    def test_a_stopped_worker_is_named_with_the_cure_and_the_others_are_cleared(self, crew):
        worker, other = crew.hire(), crew.hire()
        with stopped(worker):
            done = run("clear", "--noinput", "--timeout", "1")

        assert done.code == 1
        assert done.out.startswith("Removed 10 answers from 1 running worker: all answers.")
        assert done.err == (
            f"No word from the worker with process id {worker.pid} within 1 s. One that is only stopped or stuck "
            "clears before it next answers from its cache; restart it if it does not come back."
        )
        other.expect("applied")

    def test_what_it_says_of_a_stopped_worker_is_true(self, serve):
        worker = serve()
        with stopped(worker):
            run("clear", "--noinput", "--timeout", "1")

        assert still_there(worker) == [False] * len(ANSWERS)

    def test_several_are_named_together(self, crew):
        workers = sorted([crew.hire(), crew.hire()], key=lambda worker: worker.pid)
        with stopped(workers[0]), stopped(workers[1]):
            done = run("clear", "--noinput", "--timeout", "1")

        assert f"the workers with process ids {workers[0].pid}, {workers[1].pid} within 1 s" in done.err

    def test_a_real_shell_exits_non_zero(self, crew, project):
        worker = crew.hire()
        with stopped(worker):
            done = project.manage("llmcache", "clear", "--noinput", "--timeout=1")

        assert done.code == 1
        assert done.err.startswith(f"CommandError: No word from the worker with process id {worker.pid} within 1 s.")


class stopped:  # noqa: N801 - reads as what it does
    """A worker that does not run meanwhile."""

    def __init__(self, worker):
        self.pid = worker.pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


@needs_proc
class TestStrangers:
    """A worker of this project that keeps its folder elsewhere: nobody must read "no worker is running"."""

    @pytest.fixture
    def stranger(self, crew, tmp_path):
        (tmp_path / "project").mkdir()
        return crew.hire(
            {"BASE_DIR": str(tmp_path / "project")},
            environment={"TMPDIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "x"},
        )

    @pytest.mark.parametrize("words", [("clear", "--noinput"), ("stats",)], ids="_".join)
    def test_it_is_named_with_the_cure_and_it_is_no_success(self, stranger, run_dir, words):
        done = run(*words)

        assert done.code == 1
        assert f"Worker {stranger.pid} of user " in done.err
        assert "Run this with --settings=x." in done.err
        assert "so nothing was cached" not in done.out

    def test_with_the_settings_that_it_names_it_is_reached(self, stranger, project, tmp_path):
        (project.path / "x.py").write_text("from settings_of_the_test import *\nLLMCACHE = {}\n")

        done = project.manage("llmcache", "clear", "--noinput", "--settings=x", TMPDIR=str(tmp_path))

        assert (done.err, done.code) == ("", 0)
        assert "Removed 10 answers from 1 running worker" in done.out
