"""What an SDK tells its provider of itself, while a test is recorded and replayed."""

from __future__ import annotations

from tests.transports.loopback import whole

from .clients import Wish
from .test_clients import serving


def test_it_is_answered_in_a_replay(lab, ask):
    with serving(lab, whole(b"")) as server, lab.replaying() as session:
        seen = ask(Wish(f"{server.url}/v1/traces/ingest"))

    assert (seen.status, seen.body, seen.error) == (204, b"", "")
    assert session.misses == []
    assert server.connections == 0


def test_it_passes_unrecorded_elsewhere_and_is_no_leak(lab, ask):
    with serving(lab, whole(b"{}", status="202 Accepted")) as server, lab.recording() as session:
        seen = ask(Wish(f"{server.url}/v1/traces/ingest"))

    assert seen.status == 202
    assert session.leaks == []
    assert not list(lab.folder.rglob("*.json"))
