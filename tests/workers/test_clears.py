"""The log of clears, as a shell writes it and a worker follows it."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from django_llmcache.entry import Selector
from django_llmcache.workers.clears import BEGINNING, KEPT, KEPT_SECONDS, MOST, Clears
from django_llmcache.workers.folder import Folder

EVERYTHING = Selector()


@pytest.fixture
def clears(run_dir) -> Clears:
    return Clears(Folder.make(run_dir))


def steps(clears, position):
    """Return what is new: numbers and what to clear."""
    return [(after.n, selector) for after, selector in clears.since(position)]


def test_a_clear_is_a_numbered_file(clears, run_dir):
    before = time.time()
    n = clears.append(Selector(tag="faq", provider="openai"))

    content = json.loads((run_dir / "clears" / "000000000001.json").read_bytes())
    assert (n, content["n"], content["selector"]) == (1, 1, {"provider": "openai", "tag": "faq"})
    assert before <= content["time"] <= time.time()


def test_an_empty_log_has_nothing_new(clears):
    assert clears.end() == BEGINNING
    assert steps(clears, BEGINNING) == []


def test_clears_come_in_order_and_once(clears):
    for tag in "abc":
        clears.append(Selector(tag=tag))

    found = list(clears.since(BEGINNING))

    assert [(after.n, selector.tag) for after, selector in found] == [(1, "a"), (2, "b"), (3, "c")]
    assert found[-1][0] == clears.end()
    assert steps(clears, found[0][0]) == [(2, Selector(tag="b")), (3, Selector(tag="c"))]
    assert steps(clears, clears.end()) == []


def test_a_number_is_larger_than_what_any_worker_saw(clears):
    assert clears.append(EVERYTHING, after=7) == 8
    assert clears.append(EVERYTHING, after=3) == 9


def test_shells_at_once_get_a_number_each(clears):
    numbers = []
    shells = [threading.Thread(target=lambda: numbers.append(clears.append(EVERYTHING))) for _ in range(20)]
    for shell in shells:
        shell.start()
    for shell in shells:
        shell.join()

    assert sorted(numbers) == list(range(1, 21))


def test_a_number_taken_in_between_is_left_to_the_other_shell(clears, run_dir, monkeypatch):
    other = Clears(Folder.make(run_dir))
    other.append(Selector(tag="first"))
    monkeypatch.setattr(clears, "_newest", lambda: 0)

    assert clears.append(Selector(tag="second")) == 2


def test_a_gap_clears_everything(clears, run_dir):
    for _ in range(4):
        clears.append(Selector(tag="x"))
    (run_dir / "clears" / "000000000002.json").unlink()

    assert steps(clears, BEGINNING) == [(1, Selector(tag="x")), (4, EVERYTHING)]


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"{}", b'{"selector": 5}', b'{"selector": {"colour": "red"}}', b'{"selector": {"tag": 5}}']
)
def test_a_damaged_clear_clears_everything(clears, run_dir, content):
    clears.append(Selector(tag="x"))
    file = run_dir / "clears" / "000000000001.json"
    file.write_bytes(content)
    os.utime(file, (1, 1))

    assert steps(clears, BEGINNING) == [(1, EVERYTHING)]


def test_a_clear_that_is_still_being_written_is_waited_for(clears, run_dir):
    for tag in "ab":
        clears.append(Selector(tag=tag))
    file = run_dir / "clears" / "000000000001.json"
    whole = file.read_bytes()
    file.write_bytes(whole[:10])
    while_written = steps(clears, BEGINNING)
    file.write_bytes(whole)

    assert while_written == []
    assert steps(clears, BEGINNING) == [(1, Selector(tag="a")), (2, Selector(tag="b"))]


def test_a_log_begun_anew_clears_everything(clears, run_dir):
    for _ in range(3):
        clears.append(Selector(tag="x"))
    position = clears.end()
    for file in (run_dir / "clears").iterdir():
        file.unlink()
    clears.append(Selector(tag="y"))

    assert steps(clears, position) == [(1, EVERYTHING)]


def test_a_log_begun_anew_with_as_many_clears_clears_everything(clears, run_dir):
    clears.append(Selector(tag="x"))
    position = clears.end()
    file = run_dir / "clears" / "000000000001.json"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    os.utime(file, (1, 1))

    assert steps(clears, position) == [(1, EVERYTHING)]


def test_a_log_that_was_emptied_clears_nothing(clears, run_dir):
    clears.append(Selector(tag="x"))
    position = clears.end()
    (run_dir / "clears" / "000000000001.json").unlink()

    assert steps(clears, position) == [(0, None)]


def test_what_was_seen_may_be_pruned(clears, run_dir):
    clears.append(Selector(tag="x"))
    position = clears.end()
    clears.append(Selector(tag="y"))
    (run_dir / "clears" / "000000000001.json").unlink()

    assert steps(clears, position) == [(2, Selector(tag="y"))]


def test_old_clears_beyond_the_last_are_pruned(clears, run_dir):
    folder = run_dir / "clears"
    for n in range(1, KEPT + 4):
        (folder / f"{n:012}.json").write_text("{}")
    past = time.time() - KEPT_SECONDS - 60
    for n in (1, 2, KEPT):
        os.utime(folder / f"{n:012}.json", (past, past))

    clears.prune()

    kept = sorted(int(file.stem) for file in folder.iterdir())
    assert kept == list(range(3, KEPT + 4))


def test_a_log_is_pruned_as_it_grows(clears, run_dir):
    folder = run_dir / "clears"
    for n in range(1, 2 * KEPT):
        (folder / f"{n:012}.json").write_text("{}")
        os.utime(folder / f"{n:012}.json", (1, 1))

    clears.append(EVERYTHING)

    assert len(list(folder.iterdir())) == KEPT


def test_a_flood_of_clears_is_pruned_however_new_they_are(clears, run_dir):
    """Such as a clear by tag for each of ten thousand objects saved: each of them lists the log."""
    folder = run_dir / "clears"
    missed = clears.end()
    for n in range(1, 3 * MOST):
        (folder / f"{n:012}.json").write_text("{}")

    clears.append(Selector(tag="x"))

    assert len(list(folder.iterdir())) == MOST
    assert steps(clears, missed) == [(3 * MOST, EVERYTHING)]


def test_other_files_are_no_clears(clears, run_dir):
    for name in ("readme.txt", "1.json", ".abc.tmp"):
        (run_dir / "clears" / name).write_text("")

    assert clears.end() == BEGINNING
