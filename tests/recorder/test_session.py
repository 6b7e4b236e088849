"""What a session tells of, what a request gets that is made again, and what a miss never shows."""

from __future__ import annotations

import gc
import json
import os
import time
import weakref
from typing import Any

import pytest

from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.faults import Fault
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.redaction import SecretError
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode, Options, Setup
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.taping import Taping
from django_llmcache.recorder.usage import UsageLog

from .made import fixture

URL = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)
SECRET = "sk-proj-" + "4rXqZ8kLw2NvB7yTcJ5mHs9D" * 2


class Run:
    """Sessions over one folder, and what they told."""

    def __init__(self, folder) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.warned: list[str] = []
        self.store = FixtureStore(folder)
        self.usage = UsageLog(folder.parent / "usage.jsonl")
        self.now = time.time

    def session(self, mode: Mode = Mode.ONCE, *, test: str = "tests.some_test", **options) -> Session:
        setup = Setup(
            self.store, mode, (("api.openai.com", "openai"),), command="run {test}",
            tell=lambda event, details: self.told.append((event, dict(details))), usage=self.usage,
            warn=self.warned.append, now=self.now,
        )  # fmt: skip
        return Session(test, setup, Options(**options))

    def record(self, *answers: bytes, question: str = "Hi", test: str = "tests.some_test") -> None:
        session = self.session(test=test, mode=Mode.REFRESH)
        for answer in answers:
            answered(session.begin(asked(question)), answer)
        session.end(passed=True)


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "fixtures")


def asked(question: str = "Hi", *, headers=JSON) -> Outgoing:
    return Outgoing("POST", URL, headers, b'{"input":"%s","model":"gpt-4o-mini"}' % question.encode())


def answered(tape: Replay | Taping | None, body: bytes = b'{"n":1}') -> None:
    assert isinstance(tape, Taping)
    tape.began(200, "OK", JSON)
    tape.chunk(body)
    tape.ended()


def replayed(session: Session, question: str = "Hi") -> bytes:
    replay = session.begin(asked(question))
    assert isinstance(replay, Replay)
    return replay.response.body


def recorded_as(run) -> tuple[str, str]:
    """Return the key and the endpoint that the question is filed under."""
    run.record(b"{}")
    (path,) = run.store.paths()
    one = run.store.read(path)
    run.store.delete([path])
    return one.key, one.endpoint


def test_a_refresh_is_newer_than_what_a_machine_recorded_whose_clock_is_ahead(run, monkeypatch):
    with monkeypatch.context() as ahead:
        ahead.setattr(run, "now", lambda: time.time() + 3600)
        run.record(b'{"n":1}', b'{"n":2}')
    run.record(b'{"n":3}', b'{"n":4}')
    session = run.session(Mode.REPLAY)

    assert [replayed(session), replayed(session)] == [b'{"n":3}', b'{"n":4}']


def test_another_tests_recording_from_such_a_machine_makes_none_newer(run, monkeypatch):
    with monkeypatch.context() as ahead:
        ahead.setattr(run, "now", lambda: time.time() + 3600)
        run.record(b'{"n":1}', test="tests.other_test")
    run.record(b'{"n":2}')
    run.record(b'{"n":3}')

    assert sum(one.recorded_at > time.time() for one in run.store.all()) == 1


def test_in_a_replay_that_begins_meanwhile_what_has_expired_is_used(run):
    run.record(b'{"n":1}')
    session = run.session(ttl=1e-9)
    asked_anew = session.begin(asked())
    session.mode = Mode.REPLAY

    assert isinstance(asked_anew, Taping)
    assert replayed(session) == b'{"n":1}'


@pytest.fixture
def uncollected():
    """Let what is in a cycle of references stay."""
    gc.disable()
    yield
    gc.enable()


def test_a_session_that_is_over_waits_for_no_collector_of_cycles(run, uncollected):
    run.record(b"{}")
    session = run.session(mode=Mode.REPLAY)
    replayed(session)
    session.end(passed=True)
    over = weakref.ref(session)
    del session

    assert over() is None


class TestPace:
    @pytest.mark.parametrize(
        ("options", "waits"), [({}, [0, 0]), ({"pace": 1.0}, [0.01, 0.01]), ({"pace": 2}, [0.02, 0.02])]
    )
    def test_the_pauses_of_a_stream_are_waited_as_often_as_the_test_says(self, run, options, waits):
        key, endpoint = recorded_as(run)
        run.store.write(fixture(b"data: 1\n\n", b"data: 2\n\n", key=key, endpoint=endpoint, request=asked()))

        replay = run.session(Mode.REPLAY, **options).begin(asked())

        assert [wait for wait, _ in replay.pieces()] == waits


class TestTelling:
    def test_an_answer_that_is_written(self, run):
        run.record(b'{"n":1}')

        ((event, details),) = run.told
        (path,) = run.store.paths()
        assert event == "save"
        assert details.pop("key")[:12] == path.parent.name
        assert details == {"provider": "openai", "model": "gpt-4o-mini", "path": str(path), "test": "tests.some_test"}

    def test_an_answer_that_is_replayed(self, run):
        run.record(b'{"n":1}')
        run.told.clear()
        replayed(run.session(Mode.REPLAY))

        ((event, details),) = run.told
        (path,) = run.store.paths()
        assert event == "hit"
        assert (details["provider"], details["model"], details["path"]) == ("openai", "gpt-4o-mini", str(path))

    def test_a_request_that_has_no_recording(self, run):
        with pytest.raises(FixtureMiss):
            run.session(Mode.REPLAY).begin(asked())

        ((event, details),) = run.told
        assert event == "miss"
        assert len(details.pop("key")) == 64
        assert details == {"provider": "openai", "test": "tests.some_test", "why": "none"}

    def test_a_recording_that_is_refused_for_what_is_in_it(self, run):
        session = run.session()
        answered(session.begin(asked()), b'{"api_key_of_the_account":"q7Gz2LmXw9TfRb4KdVn8"}')
        with pytest.raises(SecretError):
            session.end(passed=True)

        ((event, details),) = run.told
        assert event == "error"
        assert "was not written" in details["error"]
        assert not list(run.store.paths())

    def test_a_recording_that_can_not_be_written(self, run):
        run.store.folder.write_text("a file where the folder should be")
        session = run.session()
        answered(session.begin(asked()))
        with pytest.raises(OSError):
            session.end(passed=True)

        ((event, details),) = run.told
        assert (event, details["test"], details["key"]) == ("error", "tests.some_test", None)


class TestNames:
    """The id of a test may have a credential for a parameter, which gets into no file."""

    @pytest.mark.parametrize(
        ("test", "headers"),
        [
            (f"test_it.py::test_it[{SECRET}]", JSON),
            ("test_it.py::test_it[plainkeyword-4711]", (*JSON, ("authorization", "Bearer plainkeyword-4711"))),
        ],
        ids=["by its shape", "as it was sent"],
    )
    def test_it_is_not_written_and_its_test_has_its_own_recording_all_the_same(self, run, test, headers):
        for name, answer in (("test_it.py::other", b"1"), (test, b"2"), ("test_it.py::another", b"3")):
            session = run.session(Mode.REFRESH, test=name)
            answered(session.begin(asked(headers=headers)), answer)
            (path,) = session.end(passed=True)
            assert test.partition("[")[2].rstrip("]") not in path.read_text()

        session = run.session(Mode.REPLAY, test=test)
        assert session.begin(asked(headers=headers)).response.body == b"2"

    def test_a_credential_for_the_name_of_a_field_is_refused(self, run):
        session = run.session()
        body = b'{"%s": 1, "model": "m"}' % SECRET.encode()
        answered(session.begin(asked()._replace(body=body)))

        with pytest.raises(SecretError, match=r"request\.body, in the name of a field"):
            session.end(passed=True)


class TestSequence:
    def test_answers_come_in_their_order_and_the_last_again(self, run):
        run.record(b"1", b"2")
        session = run.session(Mode.REPLAY)

        assert [replayed(session) for _ in range(4)] == [b"1", b"2", b"2", b"2"]

    def test_a_test_may_say_that_asking_more_often_is_a_failure(self, run):
        run.record(b"1", b"2")
        session = run.session(Mode.REPLAY, repeat="fail")

        assert [replayed(session) for _ in range(2)] == [b"1", b"2"]
        with pytest.raises(FixtureMiss, match="more often than it was recorded"):
            replayed(session)

    def test_a_test_gets_its_own_sequence_though_another_asked_the_same_later(self, run):
        run.record(b"1", b"2", b"3", test="tests.a")
        run.record(b"4", test="tests.b")

        assert [replayed(session) for session in [run.session(Mode.REPLAY, test="tests.a")] * 3] == [b"1", b"2", b"3"]
        assert replayed(run.session(Mode.REPLAY, test="tests.b")) == b"4"

    def test_each_session_begins_anew(self, run):
        run.record(b"1", b"2")

        assert [replayed(run.session(Mode.REPLAY)) for _ in range(2)] == [b"1", b"1"]


class TestMiss:
    def test_it_shows_no_secret_of_the_request_nor_of_the_recording(self, run):
        run.record(b"1", question="The weather in Oslo please")
        headers = (*JSON, ("authorization", f"Bearer {SECRET}"))
        with pytest.raises(FixtureMiss) as caught:
            run.session(Mode.REPLAY).begin(asked(f"The weather in Oslo with {SECRET} please", headers=headers))

        shown = str(caught.value)
        assert SECRET not in shown
        assert "The weather in Oslo" in shown
        assert "nearest" in shown
        assert shown.endswith("Record it:  run tests.some_test")

    def test_it_shows_nothing_that_the_test_ignores(self, run):
        run.record(b"1", question="The weather in Oslo")
        with pytest.raises(FixtureMiss, match="it says ignore="):
            run.session(Mode.REPLAY, ignore=("input",)).begin(asked("The weather in Rome"))

    def test_nor_one_that_only_the_headers_tell_of(self, run):
        own = "a-key-of-no-known-shape"
        with pytest.raises(FixtureMiss) as caught:
            run.session(Mode.REPLAY).begin(asked(f"My key is {own}", headers=(*JSON, ("x-api-key", own))))

        assert own not in str(caught.value)
        assert own.encode() not in run.session().begin(asked(own, headers=(*JSON, ("x-api-key", own)))).request.body

    @pytest.mark.parametrize(
        ("options", "status", "told"),
        [
            ({"ttl": 0.0}, 200, "The recording of this request has expired, and there is no API key"),
            (
                {"fallback": "error"},
                500,
                "The newest recording of this request is an error, which FALLBACK=.error. refuses, and there is no",
            ),
        ],
        ids=["expired", "failing"],
    )
    def test_without_a_key_it_says_why_what_is_recorded_is_not_used(self, run, options, status, told):
        session = run.session(mode=Mode.REFRESH, record_errors=True)
        tape = session.begin(asked())
        tape.began(status, "", JSON)
        tape.ended()
        session.end(passed=True)
        session = run.session(**options)
        session.setup = session.setup._replace(placeholder="no-key")

        with pytest.raises(FixtureMiss, match=told):
            session.begin(asked(headers=(*JSON, ("authorization", "Bearer no-key"))))

    @pytest.mark.parametrize("options", [{"fallback": "error"}, {"expired": "error"}])
    def test_in_replay_an_expired_recording_that_may_not_be_used_is_told_as_one(self, run, options):
        run.record(b"{}")

        with pytest.raises(FixtureMiss, match="The recording of this request has expired"):
            run.session(Mode.REPLAY, ttl=0.0, **options).begin(asked())

    def test_what_another_process_asks_can_not_be_recorded_and_is_not_asked(self, run):
        session = run.session()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                session.begin(asked())
            except FixtureMiss as miss:
                os.write(writing, str(miss).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)

        with os.fdopen(reading, "rb") as pipe:
            assert b"from another process than the test's" in pipe.read()


class TestLive:
    def test_after_its_fault_a_live_test_asks_for_real_and_records_nothing(self, run):
        run.record(b"1")
        session = run.session(Mode.LIVE, fault=Fault.parse("429x1"))

        assert isinstance(session.begin(asked()), Replay)
        assert session.begin(asked()) is None
        assert session.counts == {"replayed": 1, "live": 1}


class TestFault:
    """A fault that is cut from a recording makes it first, where there is none and the mode lets it."""

    CUT = Fault.parse("cut@1")

    @pytest.fixture
    def cut(self, run):
        """Return what makes a session whose answers are cut."""
        return lambda mode=Mode.ONCE, **options: run.session(mode, fault=self.CUT, **options)

    def test_the_client_gets_it_of_the_whole_answer(self, cut):
        tape = cut().begin(asked())
        answered(tape, b"0123456789")

        assert tape.is_spoiled
        assert (tape.spoiled().response.body, tape.spoiled().response.truncated) == (b"01234", True)

    def test_the_whole_answer_is_recorded_and_replayed_with_the_fault(self, run, cut):
        session = cut()
        answered(session.begin(asked()), b"0123456789")
        session.end(passed=True)

        (recorded,) = run.store.all()
        assert (recorded.response.body, session.counts) == (b"0123456789", {"recorded": 1})
        assert replayed(cut(Mode.REPLAY)) == b"01234"

    def test_a_repeated_request_is_recorded_and_replayed_in_its_order(self, run, cut):
        session = cut()
        for body in (b"01", b"23"):
            answered(session.begin(asked()), body)
        session.end(passed=True)
        later = cut(Mode.REPLAY)

        assert [replayed(later), replayed(later)] == [b"0", b"2"]

    def test_of_a_test_that_failed_nothing_is_recorded(self, run, cut):
        session = cut()
        answered(session.begin(asked()))

        assert session.end(passed=False) == []

    def test_a_recording_is_not_made_twice(self, run, cut):
        run.record(b"0123456789")

        assert replayed(cut()) == b"01234"

    def test_an_expired_one_is_made_anew(self, run, cut):
        run.record(b"0123456789")

        assert isinstance(cut(ttl=1e-9).begin(asked()), Taping)

    def test_refresh_makes_it_anew(self, run, cut):
        run.record(b"0123456789")

        assert isinstance(cut(Mode.REFRESH).begin(asked()), Taping)

    @pytest.mark.parametrize(("record_errors", "spoiled"), [(False, False), (True, True)])
    def test_an_error_of_the_providers_own_reaches_the_client_unless_it_is_recorded(self, cut, record_errors, spoiled):
        tape = cut(record_errors=record_errors).begin(asked())
        tape.began(401, "Unauthorized", JSON)

        assert tape.is_spoiled is spoiled

    @pytest.mark.parametrize("mode", [Mode.REPLAY, Mode.LIVE])
    def test_where_nothing_is_written_it_is_a_miss_that_shows_what_changed(self, run, cut, mode):
        run.record(b"{}", question="Hello")

        with pytest.raises(FixtureMiss, match="This fault is cut from a recording") as miss:
            cut(mode).begin(asked())
        assert "[-Hello-] {+Hi+}" in str(miss.value)
        assert str(miss.value).endswith("Record it:  run tests.some_test")


class TestWhole:
    """A take is there with all of its answers, or not at all."""

    ANSWERS = (b'{"n":1}', b'{"n":2}', b'{"n":3}')

    def test_what_can_not_be_written_whole_is_not_written_at_all(self, run, monkeypatch):
        write, left = run.store.write, [2]

        def until_full(fixture):
            if not left[0]:
                raise OSError(28, "No space left on device")
            left[0] -= 1
            return write(fixture)

        monkeypatch.setattr(run.store, "write", until_full)

        with pytest.raises(OSError, match="No space"):
            run.record(*self.ANSWERS)
        assert list(run.store.all()) == []
        assert [event for event, _ in run.told] == ["error"]

    def test_of_a_writer_that_was_killed_nothing_is_replayed(self, run, monkeypatch):
        write, written = run.store.write, []

        def killed(fixture):
            if len(written) == 2:
                raise KeyboardInterrupt
            written.append(write(fixture))
            return written[-1]

        monkeypatch.setattr(run.store, "write", killed)
        monkeypatch.setattr(run.store, "delete", lambda paths: 0)  # as one that is killed does not
        with pytest.raises(KeyboardInterrupt):
            run.record(*self.ANSWERS)
        assert len(written) == 2

        with pytest.raises(FixtureMiss, match="has lost some answers"):
            run.session(Mode.REPLAY).begin(asked())
        assert isinstance(run.session(Mode.ONCE).begin(asked()), Taping)


class TestLeft:
    """A credential that is known is looked for once more before anything is written."""

    KEY = "plainkeywordsecret+abc/def=="

    def recorded(self, run, *bodies, answer=b'{"n":1}', kind="application/json", url=URL):
        session = run.session(Mode.REFRESH)
        bearing = (*JSON, ("authorization", f"Bearer {self.KEY}"))
        for number, body in enumerate(bodies, 1):
            tape = session.begin(Outgoing("POST", url, bearing if number == len(bodies) else JSON, body))
            tape.began(200, "OK", (("content-type", kind),))
            tape.chunk(answer)
            tape.ended()
        session.end(passed=True)

    @pytest.mark.parametrize(
        "words",
        [
            {"bodies": [b'{"a": "plainkeywordsecret+abc/def=="}', b"{}"]},
            {"bodies": [b'{"a": "\\u0070lainkeywordsecret+abc/def=="}']},
            {"bodies": [b"{}"], "answer": b"plainkeywordsecret\\u002Babc/def==", "kind": "text/plain"},
            {"bodies": [b"{}"], "answer": b"\0 plainkeywordsecret+abc/def==", "kind": "application/octet-stream"},
            {"bodies": [b"{}"], "url": f"{URL}?code=plainkeywordsecret%2babc%2fdef%3d%3d"},
            {"bodies": [b"{}"], "answer": b"<a>plainkeywordsecret&#43;abc&#x2F;def==</a>", "kind": "text/html"},
        ],
        ids=["known later", "escaped", "escaped in the answer", "binary", "in the address", "in HTML"],
    )
    def test_wherever_and_however_it_stands(self, run, words):
        with pytest.raises(SecretError, match="looks like a credential"):
            self.recorded(run, *words.pop("bodies"), **words)

        assert list(run.store.all()) == []

    def test_what_only_resembles_it_is_written(self, run):
        self.recorded(run, b'{"a": "plainkeyword secret"}', answer=b'{"a": "100% & more"}')

        assert len(list(run.store.all())) == 1


class TestGoingOn:
    """A test is noted at the recordings of others that it went on from while it recorded."""

    def go_on(self, run, test, *, meanwhile=lambda: None):
        session = run.session(Mode.ONCE, test=test)
        session.begin(asked("Hi"))
        answered(session.begin(asked(f"More, says {test}")))
        meanwhile()
        session.end(passed=True)

    def noted(self, run):
        return [set(one.tests) for one in run.store.all() if b"More" not in one.request.body]

    def test_two_at_once_are_both_noted(self, run):
        run.record(b'{"n":1}', test="first")

        self.go_on(run, "second", meanwhile=lambda: self.go_on(run, "third"))

        assert self.noted(run) == [{"first", "second", "third"}]

    def test_what_somebody_edited_meanwhile_stays(self, run):
        run.record(b'{"n":1}', test="first")
        (path,) = run.store.paths()

        self.go_on(run, "second", meanwhile=lambda: path.write_text(path.read_text().replace('"n": 1', '"n": 2')))

        assert run.store.read(path).response.body == b'{"n":2}'
        assert self.noted(run) == [{"first", "second"}]

    def test_what_somebody_removed_meanwhile_stays_away(self, run):
        run.record(b'{"n":1}', test="first")
        (path,) = run.store.paths()

        self.go_on(run, "second", meanwhile=path.unlink)

        assert self.noted(run) == []


@pytest.mark.parametrize("mode", [Mode.REPLAY, Mode.ONCE])
def test_a_fixture_that_may_not_be_read_fails_the_test_whoever_swallows_it(run, monkeypatch, mode):
    run.record(b'{"n":1}')
    session = run.session(mode)

    def refuse(*args):
        raise PermissionError(13, "Permission denied", "the/file.json")

    monkeypatch.setattr(FixtureStore, "take", refuse)
    with pytest.raises(FixtureMiss, match=r"the/file\.json.*can't be read \(Permission denied\)"):
        session.begin(asked())

    assert len(session.misses) == 1


class TestUse:
    def test_it_is_noted_also_where_the_test_failed(self, run):
        run.record(b"{}")
        run.usage.path.unlink()
        session = run.session(Mode.REPLAY)
        replayed(session)
        session.end(passed=False)

        assert noted(run) == [path.relative_to(run.store.folder).as_posix() for path in run.store.paths()]

    def test_where_it_can_not_be_noted_what_was_recorded_is_written_and_that_is_told_once(self, run):
        run.usage.path.mkdir()
        run.record(b'{"n":1}')
        run.record(b'{"n":2}', question="Ho")

        assert len(list(run.store.paths())) == 2
        [warned] = run.warned
        assert warned.startswith("It can't be noted in ")


def noted(run) -> list[str]:
    return [json.loads(line)["fixture"] for line in run.usage.path.read_text().splitlines() if line]
