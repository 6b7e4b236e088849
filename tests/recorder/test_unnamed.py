"""LLM calls to hosts that no setting names as a provider's: refused in a replay, told of where they pass."""

from __future__ import annotations

import pytest

from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode, Setup
from django_llmcache.recorder.store import FixtureStore

URL = "https://gateway.example/v1/chat/completions"
LOOPBACK = [
    "localhost:8912",
    "app.localhost",
    "127.0.0.2:8912",
    "[::1]:8912",
    "0.0.0.0:8912",
    "localhost.:8912",
    "[::ffff:127.0.0.1]:8912",
    "127.1:8912",
]


@pytest.fixture
def session(tmp_path):
    """Return what makes a session of a mode, to which every request is an LLM call, or none."""

    def make(mode: Mode, *, is_call: bool = True) -> Session:
        setup = Setup(FixtureStore(tmp_path), mode, (("api.openai.com", "openai"),), is_call=lambda asked: is_call)
        return Session("tests.some_test", setup)

    return make


def asking(url: str = URL) -> Outgoing:
    return Outgoing("POST", url, (("authorization", "Bearer sk-mine"),), b'{"model":"m"}')


def test_a_replay_refuses_it_with_the_line_that_names_the_host(session):
    session = session(Mode.REPLAY)

    with pytest.raises(FixtureMiss) as raised:
        session.begin(
            asking("https://gateway.example:8443/v1/chat/completions?key=AIzaSyA1234567890123456789012345678901")
        )

    text = str(raised.value)
    assert 'LLMCACHE = {"TEST_CACHE": {"HOSTS": ["gateway.example:8443"]}}' in text
    assert "POST https://gateway.example:8443/v1/chat/completions" in text
    assert "tests.some_test" in text
    assert "AIza" not in text


def test_the_test_fails_where_somebody_catches_that(session):
    session = session(Mode.REPLAY)
    with pytest.raises(FixtureMiss):
        session.begin(asking())

    assert len(session.misses) == session.counts["missed"] == 1
    assert session.unnamed.hosts == set()


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_replay_lets_it_pass_to_this_machine_and_notes_the_host(session, host):
    session = session(Mode.REPLAY)

    assert session.begin(asking(f"http://{host}/v1/chat/completions")) is None
    assert session.unnamed.hosts == {Outgoing("POST", f"http://{host}/", (), b"").host}


@pytest.mark.parametrize("mode", [Mode.ONCE, Mode.REFRESH, Mode.LIVE])
def test_the_other_modes_let_it_pass_and_note_the_host_once(session, mode):
    session = session(mode)

    assert [session.begin(asking()) for _ in range(2)] == [None, None]
    assert session.unnamed.hosts == {"gateway.example"}


@pytest.mark.parametrize("mode", list(Mode))
def test_what_is_no_call_passes_unnoted(session, mode):
    session = session(mode, is_call=False)

    assert session.begin(asking()) is None
    assert session.unnamed.hosts == set()
