"""A miss in a process that the test has forked is told to the test's own, which fails by it."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path

import pytest

from django_llmcache.recorder.misses import WHYS, FixtureMiss, ForkedMiss
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode, Setup
from django_llmcache.recorder.store import FixtureStore

from .made import asked

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """Return a temporary folder that is the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def session(temporary, tmp_path) -> Session:
    return Session("tests.some_test", Setup(FixtureStore(tmp_path / "fixtures"), Mode.REPLAY, (("*", "openai"),)))


def in_a_child(act) -> None:
    """Do something in a process that is forked, whatever it raises."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def asking(session: Session, body: bytes = b'{"model":"m"}'):
    """Return what asks for what is not recorded, and swallows the error."""

    def ask() -> None:
        with pytest.raises(FixtureMiss):
            session.begin(asked(body))

    return ask


def test_it_is_one_of_the_test_s_own_with_all_that_is_shown_of_it(session):
    in_a_child(asking(session))
    asking(session)()

    own, child_s = session.misses[0], session.misses[1]
    assert str(child_s) == str(own).replace(WHYS["none"].text, WHYS["process"].text) != str(own)
    assert session.unanswered[0] == session.unanswered[1]
    assert session.counts["missed"] == 2


def test_each_that_asks_for_something_else_is_told(session):
    for body in (b'{"model":"a"}', b'{"model":"b"}'):
        in_a_child(asking(session, body))

    assert len(session.misses) == session.counts["missed"] == 2


def test_one_that_an_sdk_asks_for_again_and_again_is_told_once(session):
    ask = asking(session)
    in_a_child(lambda: [ask() for _ in range(3)])

    assert len(session.misses) == len(session.misses) == session.counts["missed"] == 1


def test_it_is_told_and_counted_though_nobody_has_looked_before_the_end(session):
    in_a_child(asking(session))
    session.end(passed=False)

    assert len(session.misses) == session.counts["missed"] == 1


def test_nothing_of_it_is_left_behind(session, temporary):
    in_a_child(asking(session))
    modes = [path.stat().st_mode & 0o777 for path in temporary.iterdir()]
    session.end(passed=False)

    assert modes == [0o600]
    assert list(temporary.iterdir()) == []


def test_a_session_without_one_makes_no_file(session, temporary):
    asking(session)()

    assert list(temporary.iterdir()) == []


def test_a_recording_that_can_not_be_read_is_told_too(session):
    folder = session.setup.store.folder
    with pytest.raises(FixtureMiss):
        session.begin(asked())
    session.misses.clear()
    damaged = folder / "openai/chat_completions" / key_of_asked(session)[:12] / "2026-01-01T12-00-00-000000Z-beef.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    in_a_child(asking(session))

    assert "can't be read" in str(session.misses[0])


def key_of_asked(session: Session) -> str:
    return session._matcher.key_of(session._redactor.request(asked(b'{"model":"m"}')))


def test_a_child_that_can_not_tell_of_it_has_the_error_all_the_same(session, temporary):
    temporary.rmdir()
    in_a_child(asking(session))

    assert session.misses == []


def test_in_the_child_it_is_an_ordinary_error_that_a_pool_can_hand_over(session):
    reading, writing = os.pipe()

    def ask() -> None:
        try:
            session.begin(asked())
        except Exception as error:
            os.write(writing, pickle.dumps(error))

    in_a_child(ask)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        error = pickle.load(pipe)

    assert type(error) is ForkedMiss
    assert str(error) == str(session.misses[0])


def test_a_session_that_a_child_begins_is_the_child_s_own(session, temporary):
    def act() -> None:
        own = Session("tests.other", session.setup)
        asking(own)()
        assert len(own.misses) == 1
        (temporary / "passed").touch()

    in_a_child(act)

    assert (temporary / "passed").exists()
    assert session.misses == []
