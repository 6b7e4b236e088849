"""What is refused to files for a name that only tells of a credential is shown to nobody either."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from django_llmcache.recorder.leaks import leaks, masked
from django_llmcache.recorder.matcher import Matcher
from django_llmcache.recorder.misses import FixtureMiss, explain_miss
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode, Setup
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.taping import Taping

from .made import JSON, URL, asked, fixture

COUNTING = Matcher(headers=frozenset({"x-gateway-token"}))
WORD = "Zx81Qm47Kp92Lw36Bv58"
OTHER = WORD[::-1]
FORM = (("content-type", "application/x-www-form-urlencoded"),)
PARTS = (("content-type", "multipart/form-data; boundary=b"),)
PART = b'--b\r\nContent-Disposition: form-data; name="gateway_token"\r\n\r\n%s\r\n--b--\r\n'


def with_json(value: str):
    return asked(json.dumps({"model": "m", "tools": [{"type": "mcp", "gateway_token": value}]}).encode())


def with_form(value: str):
    return asked(b"model=m&gateway_token=" + value.encode(), headers=FORM)


def with_parts(value: str):
    return asked(PART % value.encode(), headers=PARTS)


def with_query(value: str):
    return asked(url=f"{URL}?api-version=1&gateway_token={value}")


def with_escapes(value: str):
    return asked(url=f"{URL}?gateway_token={value}%2B%2F{value}")


def with_header(value: str):
    return asked(headers=(*JSON, ("x-gateway-token", value)))


def with_name(value: str):
    return asked(json.dumps({"model": "m", f"sk-{value * 2}": 1}).encode())


def with_path(value: str):
    return asked(url=f"https://api.openai.com/v1/sk-{value * 2}/chat")


ANYWHERE = pytest.mark.parametrize(
    "made", [with_json, with_form, with_parts, with_query, with_escapes, with_header, with_name, with_path]
)


def explained(request, *recorded) -> str:
    candidates = [fixture(request=one, file="one.json") for one in recorded]
    return explain_miss(
        request, candidates, test="tests.some_test", folder=Path("fixtures"), command="Record it", matcher=COUNTING
    )


@ANYWHERE
def test_what_leaks_would_name_is_masked_and_nothing_else(made):
    shown = masked(made(WORD))

    assert leaks(made(WORD))
    assert leaks(shown) == []
    assert WORD not in str(tuple(shown))
    assert masked(made(OTHER)) == shown
    assert masked(asked()) == asked()


@pytest.mark.parametrize("body", [b'{"a long name \xff\xfe":1}', b'{"a-long-name-\xff\xfe":"\\u00ff"}', b"\xff\xfe"])
def test_a_body_without_one_is_left_byte_by_byte(body):
    assert masked(asked(body)) == asked(body)


@ANYWHERE
def test_a_miss_shows_no_credential_of_the_request(made):
    assert WORD not in explained(made(WORD), made("made-up"))


@ANYWHERE
def test_a_miss_shows_no_credential_of_the_recording(made):
    assert OTHER not in explained(made("made-up"), made(OTHER))


@ANYWHERE
def test_where_a_credential_alone_differs_a_miss_says_so(made):
    said = explained(made(WORD), made(OTHER))

    assert WORD not in said
    assert OTHER not in said
    assert "ANOTHER_REDACTED" in said


def test_a_credential_that_is_the_same_in_both_is_no_difference():
    now, then = (asked(json.dumps({"input": word, "gateway_token": WORD}).encode()) for word in ("Paris", "Rome"))
    said = explained(now, then)

    assert "[-Rome-] {+Paris+}" in said
    assert "gateway_token" not in said


@pytest.fixture
def session(tmp_path):
    """Return what makes a session of one test in a mode, and what it warned of."""
    warned: list[str] = []

    def make(mode: Mode) -> tuple[Session, list[str]]:
        setup = Setup(FixtureStore(tmp_path), mode, (("api.openai.com", "openai"),), warn=warned.append)
        return Session("tests.some_test", setup), warned

    return make


def test_what_is_told_of_a_request_that_is_asked_anew_shows_no_credential(session):
    recording, warned = session(Mode.ONCE)
    tape = recording.begin(with_query(WORD))
    assert isinstance(tape, Taping)
    tape.broke(TimeoutError())
    recording.end(passed=True)

    (said,) = warned
    assert f"POST {URL}?api-version=1&gateway_token=REDACTED: no answer came" in said


def test_what_the_doctor_is_told_of_a_miss_has_no_credential_in_it(session):
    replaying, _ = session(Mode.REPLAY)
    with pytest.raises(FixtureMiss):
        replaying.begin(with_json(WORD))

    assert WORD not in str([tuple(request) for _, request in replaying.unanswered])
