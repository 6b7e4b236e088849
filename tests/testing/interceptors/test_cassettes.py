"""A cassette of VCR.py around what is recorded here: whichever client asks, two recorders don't answer for it."""

from __future__ import annotations

import http.client
from contextlib import suppress

import pytest

from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import whole

from .clients import Wish
from .test_clients import JSON, serving

modes = pytest.mark.parametrize("mode", ["recording", "replaying"])


@pytest.fixture
def standing_in(monkeypatch):
    """Let a connection be of the kind that it is inside a cassette."""
    kind = type("VCRHTTPConnection", (http.client.HTTPConnection,), {"cassette": object()})
    monkeypatch.setattr(http.client, "HTTPConnection", kind)


@modes
@pytest.mark.usefixtures("standing_in")
def test_a_cassette_where_the_recorder_is_at_work_is_an_error_that_says_so(lab, ask, mode):
    with (
        serving(lab, whole(JSON)) as server,
        pytest.raises(FixtureMiss, match=r"(?s)A cassette of VCR\.py is in use.*Two recorders"),
        getattr(lab, mode)(),
    ):
        ask(Wish(f"{server.url}/v1/chat/completions"))

    assert server.connections == 0


@pytest.mark.usefixtures("standing_in")
def test_a_cassette_for_what_is_no_providers_is_in_nobodys_way(lab, ask):
    with serving(lab, whole(JSON)) as server:
        lab.hosts.clear()
        with lab.recording() as session:
            answer = ask(Wish(f"{server.url}/v1/chat/completions"))

    assert answer.body == JSON
    assert session.misses == []


@modes
def test_it_is_told_of_also_where_somebody_catches_it(lab, ask, tmp_path, mode):
    vcr = pytest.importorskip("vcr", reason="vcrpy is not installed: pip install vcrpy")
    with (
        serving(lab, whole(JSON)) as server,
        getattr(lab, mode)() as session,
        vcr.use_cassette(str(tmp_path / "cassette.yaml")),
        suppress(BaseException),
    ):
        ask(Wish(f"{server.url}/v1/chat/completions"))

    assert "A cassette of VCR.py" in str(session.misses[0])
    assert server.connections == 0
