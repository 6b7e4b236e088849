"""What an SDK tells its provider of itself: never recorded, never missed, never counted."""

from __future__ import annotations

import pytest

from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.faults import Fault
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode, Options, Setup
from django_llmcache.recorder.store import FixtureStore
from django_llmcache.recorder.taping import Taping

PLACEHOLDER = "made-up-key"
HOSTS = (("api.openai.com", "openai"), ("api.mistral.ai", "mistral"))

urls = pytest.mark.parametrize(
    "url", ["https://api.openai.com/v1/traces/ingest", "https://api.mistral.ai/telemetry/v1/traces"]
)


@pytest.fixture
def session(tmp_path):
    """Return what makes a session of a mode."""

    def make(mode: Mode, **options) -> Session:
        setup = Setup(FixtureStore(tmp_path), mode, HOSTS, placeholder=PLACEHOLDER)
        return Session("tests.some_test", setup, Options(**options))

    return make


def telling(url: str, key: str = "mine") -> Outgoing:
    return Outgoing("POST", url, (("authorization", f"Bearer {key}"),), b'{"data":[]}')


@urls
def test_a_replay_answers_it(session, url):
    session = session(Mode.REPLAY)
    answer = session.begin(telling(url))

    assert isinstance(answer, Replay)
    assert answer.response.status == 204
    assert session.misses == []
    assert not session.counts


@urls
@pytest.mark.parametrize("mode", [Mode.ONCE, Mode.REFRESH, Mode.LIVE])
def test_elsewhere_it_passes_and_nothing_is_kept(session, url, mode):
    session = session(mode)
    tape = session.begin(telling(url))
    assert isinstance(tape, Taping)
    with tape.calling():
        known = session.calls.knows(telling(url).host)
    tape.began(204, "No Content", ())
    tape.ended()

    assert known  # so that its connection is no leak
    assert session.end(passed=True) == []
    assert not +session.counts


@urls
def test_with_a_made_up_key_it_is_sent_nowhere(session, url):
    assert isinstance(session(Mode.ONCE).begin(telling(url, PLACEHOLDER)), Replay)


@urls
def test_a_fault_is_not_for_it(session, url):
    answer = session(Mode.REPLAY, fault=Fault.parse("429")).begin(telling(url))

    assert isinstance(answer, Replay)
    assert answer.response.status == 204


def test_the_same_path_of_somebody_else_goes_its_way(session):
    assert session(Mode.REPLAY).begin(telling("https://example.com/v1/traces/ingest")) is None
