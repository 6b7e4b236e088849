"""What is kept of the calls that a test made for real, and what is said of the rest."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from contextlib import suppress

import pytest

from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode, Options, Setup
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.taping import Taping

URL = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def recording(tmp_path, warned):
    """Return what makes a session that records."""

    def make(**options) -> Session:
        setup = Setup(FixtureStore(tmp_path), Mode.ONCE, (("api.openai.com", "openai"),), warn=warned.append)
        return Session("tests.some_test", setup, Options(**options))

    return make


def call(session: Session, question: str = "Hi") -> Taping:
    """Return the tape of one call."""
    tape = session.begin(Outgoing("POST", URL, JSON, b'{"model":"m","input":"%s"}' % question.encode()))
    assert isinstance(tape, Taping)
    return tape


def answer(tape: Taping, status: int = 200) -> None:
    tape.began(status, "", JSON)
    tape.chunk(b"{}")
    tape.ended()


def test_what_is_counted_as_recorded_is_what_was_written(recording, warned):
    session = recording()
    for question in ("one", "two"):
        answer(call(session, question))
    answer(call(session, "three"), status=500)

    written = session.end(passed=True)

    assert len(written) == session.counts["recorded"] == 2
    assert session.counts["live"] == 1


def test_of_a_test_that_failed_nothing_is_recorded_and_its_calls_were_live(recording, warned):
    session = recording()
    answer(call(session))

    assert session.end(passed=False) == []
    assert session.counts == {"live": 1, "unkept": 1}
    assert warned == []


def test_a_test_is_told_of_a_call_that_had_no_answer(recording, warned):
    session = recording()
    call(session).broke(TimeoutError())

    assert session.end(passed=True) == []
    assert session.counts == {"live": 1}
    (said,) = warned
    assert said.startswith("tests.some_test asks a provider anew in every run")
    assert said.endswith(f"POST {URL}: no answer came")


def test_a_test_is_told_of_an_error_that_it_did_not_ask_to_keep(recording, warned):
    session = recording()
    answer(call(session), status=503)
    session.end(passed=True)

    (said,) = warned
    assert said.endswith("the answer was an error (503), which record_errors=True keeps")


def test_an_error_that_was_tried_again_with_success_is_no_news(recording, warned):
    session = recording()
    answer(call(session), status=503)
    answer(call(session))

    assert len(session.end(passed=True)) == 1
    assert warned == []


def test_an_error_that_is_kept_is_no_news(recording, warned):
    session = recording(record_errors=True)
    answer(call(session), status=503)

    assert len(session.end(passed=True)) == session.counts["recorded"] == 1
    assert warned == []


def test_so_is_one_of_a_status_that_only_this_provider_knows(recording, warned):
    session = recording(record_errors=True)
    answer(call(session), status=999)

    (path,) = session.end(passed=True)

    assert session.setup.store.read(path).response.status == 999
    assert warned == []


@pytest.mark.parametrize("status", [101, 103])
def test_a_test_is_told_of_a_status_that_is_no_answers(recording, warned, status):
    session = recording(record_errors=True)
    answer(call(session), status=status)
    answer(call(session, "Ho"))

    (path,) = session.end(passed=True)

    assert session.setup.store.read(path).response.status == 200
    (said,) = warned
    assert said.endswith(f"its status was {status}, and those that are kept are from 200 to 999")


def begin(tape: Taping) -> None:
    """Let a stream come as far as its first chunk."""
    tape.began(200, "", (("content-type", "text/event-stream"),))
    tape.chunk(b"data: 1\n\n")


def test_what_comes_after_the_end_of_the_test_is_not_recorded(recording, warned):
    session = recording()
    tape = call(session)
    begin(tape)
    (path,) = session.end(passed=True)
    tape.chunk(b"data: 2\n\n")
    tape.ended()

    (chunk,) = session.setup.store.read(path).response.chunks
    assert chunk.data == b"data: 1\n\n"


def test_a_test_is_told_once_that_its_stream_is_read_on_after_its_end(recording, warned):
    session = recording()
    tape = call(session)
    begin(tape)
    session.end(passed=True)
    for _ in range(2):
        tape.chunk(b"data: 2\n\n")

    (said,) = warned
    assert said.startswith("tests.some_test opened a stream that is read on when its recording is over")
    assert f"POST {URL}" in said


def test_one_that_is_only_closed_after_its_end_is_no_news(recording, warned):
    session = recording()
    tape = call(session)
    begin(tape)
    session.end(passed=True)
    tape.chunk(b"")
    tape.ended(complete=False)

    assert warned == []


@pytest.mark.parametrize("status", [None, 503])
def test_so_is_one_of_which_nothing_was_to_be_recorded(recording, warned, status):
    session = recording()
    tape = call(session)
    if status:
        tape.began(status, "", JSON)
    session.end(passed=True)
    told = len(warned)
    tape.chunk(b"data: 2\n\n")

    assert len(warned) == told == 1


GIVEN_UP = {
    TimeoutError: "the client's time was out before the answer's end",
    CancelledError: "its reader was cancelled before the answer's end",
}


@pytest.mark.parametrize("error", GIVEN_UP)
def test_a_test_is_told_of_an_answer_that_its_client_gave_up(recording, warned, error):
    session = recording()
    tape = call(session)
    begin(tape)
    tape.broke(error())

    assert session.end(passed=True) == []
    assert session.counts == {"live": 1}
    (said,) = warned
    assert f"POST {URL}: {GIVEN_UP[error]}" in said


def test_one_that_was_given_up_and_tried_again_with_success_is_no_news(recording, warned):
    session = recording()
    first = call(session)
    begin(first)
    first.broke(TimeoutError())
    answer(call(session))

    (path,) = session.end(passed=True)

    assert session.setup.store.read(path).response.body == b"{}"
    assert warned == []


def test_where_the_last_one_was_given_up_none_before_it_stands_for_it(recording, warned):
    session = recording()
    answer(call(session))
    last = call(session)
    begin(last)
    last.broke(TimeoutError())
    answer(call(session, "another"))

    (path,) = session.end(passed=True)

    assert b"another" in session.setup.store.read(path).request.body
    assert session.counts == {"recorded": 1, "live": 2}
    assert len(warned) == 1


def test_a_connection_that_broke_is_recorded_as_far_as_it_went(recording, warned):
    session = recording()
    tape = call(session)
    begin(tape)
    tape.broke(ConnectionResetError())

    (path,) = session.end(passed=True)

    assert session.setup.store.read(path).response.truncated
    assert warned == []


def test_a_reader_that_is_closed_when_its_loop_is_over_was_not_cancelled(recording, warned):
    session = recording()
    tape = call(session)

    async def read():
        begin(tape)

    asyncio.run(read())
    with suppress(CancelledError):
        try:
            raise CancelledError
        finally:
            tape.ended(complete=False)

    (path,) = session.end(passed=True)

    assert session.setup.store.read(path).response.unread
    assert warned == []


def test_a_reader_that_is_closed_has_read_enough(recording, warned):
    session = recording()
    tape = call(session)
    begin(tape)
    tape.broke(GeneratorExit())

    (path,) = session.end(passed=True)

    assert session.setup.store.read(path).response.unread
    assert warned == []
