"""`llmcache clear`: what it asks, what it says, and when it fails. Real workers are in test_clear_workers.py."""

from __future__ import annotations

import os

import pytest
from django.test import override_settings

from django_llmcache import CachePolicy, LLMRequest, cache
from django_llmcache.backends import dummy

from .running import run

NOTHING = "No worker is running, so nothing was cached. The test cache's fixtures are untouched.\n"


class Failing(dummy.DummyBackend):
    """A shared backend that is down."""

    name = "shared"

    def clear(self, selector):
        raise ConnectionError("port 6379 refused")


class Uncounting(dummy.DummyBackend):
    """A shared backend that cannot count."""

    name = "shared"

    def clear(self, selector):
        return None


@pytest.fixture
def typed(monkeypatch):
    """Return what a person types; each answer is asked for with a question that is kept."""

    class Typed(list):
        questions = []

        def __call__(self, question):
            self.questions.append(question)
            answer = self.pop(0)
            if isinstance(answer, type):
                raise answer
            return answer

    typed = Typed()
    monkeypatch.setattr("builtins.input", typed)
    return typed


class TestAsking:
    @pytest.mark.parametrize("answer", ["y", "yes", "Y", " YES "])
    def test_a_yes_lets_it(self, run_dir, typed, answer):
        typed.append(answer)

        assert run("clear") == (NOTHING, "", 0)

    @pytest.mark.parametrize("answer", ["", "n", "no", "yep", KeyboardInterrupt], ids=str)
    def test_anything_else_removes_nothing_and_is_no_success(self, run_dir, typed, answer):
        typed.append(answer)

        assert run("clear") == ("", "Nothing was removed.", 1)
        assert not run_dir.exists()

    def test_nobody_at_the_keyboard_is_told_of_noinput(self, run_dir, typed):
        typed.append(EOFError)

        assert run("clear") == ("", "Nothing was removed: nobody is there to answer. Say --noinput.", 1)

    @pytest.mark.parametrize(
        ("words", "what"),
        [
            ((), "all answers"),
            (("--provider", "openai"), "all answers with provider 'openai'"),
            (("--tag", "faq", "--model", "gpt-4o"), "all answers with model 'gpt-4o', tag 'faq'"),
        ],
        ids=str,
    )
    def test_the_question_says_what_goes(self, run_dir, typed, words, what):
        typed.append("y")

        run("clear", *words)

        assert typed.questions[-1] == f"Remove {what} from the response cache? [y/N] "

    @pytest.mark.parametrize("word", ["--noinput", "--no-input"])
    def test_it_asks_nothing_when_told_so(self, run_dir, typed, word):
        assert run("clear", word).code == 0

    def test_code_may_say_so_too(self, run_dir):
        assert run("clear", interactive=False, provider="openai") == (NOTHING, "", 0)

    @pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("", 1)], ids=repr)
    def test_a_real_shell_is_asked_as_well(self, project, answer, code):
        done = project.manage("llmcache", "clear", answer=answer)

        assert done.code == code
        assert done.out.startswith("Remove all answers from the response cache? [y/N] ")
        assert "Traceback" not in done.err


@pytest.mark.parametrize("option", ["--provider", "--model", "--tag", "--scope", "--key"])
def test_an_empty_condition_does_not_clear_everything(run_dir, option):
    done = run("clear", "--noinput", option, "")

    assert (done.out, done.code) == ("", 1)
    assert done.err.startswith(f"{option} is empty, so nothing was removed.")


@pytest.mark.parametrize("timeout", ["-1", "0", "0.9", "nan", "inf", "soon"])
def test_a_time_out_is_a_number_of_seconds_and_longer_than_a_worker_takes(run_dir, timeout):
    done = run("clear", "--noinput", f"--timeout={timeout}")

    assert done.code == 1
    assert f"argument --timeout: {timeout} is " in done.err


def test_where_no_worker_runs_it_says_so_and_is_a_success(project):
    assert project.manage("llmcache", "clear", "--noinput") == (NOTHING, "", 0)


class TestWorkerThatIsThisProcess:
    """Such as a test or a view that calls the command."""

    def test_its_own_answers_go(self):
        for tag in ("a", "b"):
            self.ask(tag)

        done = run("clear", "--noinput", "--tag", "a")

        assert done.out.startswith("Removed 1 answer from 1 running worker: all answers with tag 'a'.")
        assert [self.ask(tag).from_cache for tag in ("a", "b")] == [False, True]

    def ask(self, tag):
        request = LLMRequest("openai", payload={"model": "m", "messages": [{"role": "user", "content": tag}]})
        body = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'
        return cache.with_cache(request, lambda _request: body, policy=CachePolicy(tags=[tag]))


class TestSharedBackend:
    def test_it_is_cleared_itself(self):
        with override_settings(LLMCACHE={"BACKEND": "django_llmcache.backends.dummy.DummyBackend"}):
            done = run("clear", "--noinput", "--provider", "openai")

        assert (done.err, done.code) == ("", 0)
        assert done.out.startswith("Removed 0 answers from dummy: all answers with provider 'openai'.")

    def test_one_that_cannot_count_is_not_said_to_have_removed_nothing(self):
        with override_settings(LLMCACHE={"BACKEND": f"{__name__}.Uncounting"}):
            done = run("clear", "--noinput")

        assert done.out.startswith("Removed answers from shared: all answers.")

    def test_one_that_fails_is_named(self):
        with override_settings(LLMCACHE={"BACKEND": f"{__name__}.Failing"}):
            done = run("clear", "--noinput")

        assert done == ("", "The backend shared could not clear: ConnectionError: port 6379 refused.", 1)


def foreign(path):
    path.mkdir(mode=0o700)
    os.chown(path, 54321, -1)


def linked(path):
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")


def writable(path):
    path.mkdir()
    path.chmod(0o777)


def file(path):
    path.write_text("")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no user ids")
@pytest.mark.parametrize("words", [("clear", "--noinput"), ("stats",)], ids="_".join)
@pytest.mark.parametrize(
    ("plant", "fault", "cure"),
    [
        pytest.param(
            foreign,
            "it belongs to user 54321",
            "sudo -u 54321",
            marks=pytest.mark.skipif(
                not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give a folder away"
            ),
        ),
        (linked, "it is a symbolic link", "Remove it"),
        (writable, "others may write to it (mode 0777)", "chmod go-w"),
        (file, "it is not a folder", "Remove it"),
    ],
    ids=["foreign", "link", "writable", "file"],
)
class TestUntrusted:
    def test_the_fault_and_the_cure_are_named_and_it_is_no_success(self, run_dir, words, plant, fault, cure):
        plant(run_dir)

        done = run(*words)

        assert (done.out, done.code) == ("", 1)
        assert done.err.startswith(f"{run_dir} is not used by llmcache: {fault}")
        assert cure in done.err
        assert "LLMCACHE['RUN_DIR']" in done.err

    def test_a_real_shell_says_it_in_one_line(self, project, run_dir, words, plant, fault, cure):
        plant(run_dir)

        done = project.manage("llmcache", *words)

        assert (done.out, done.code) == ("", 1)
        assert done.err.splitlines() == [line for line in done.err.splitlines() if line.startswith("CommandError: ")]
        assert fault in done.err
