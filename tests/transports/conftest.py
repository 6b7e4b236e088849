"""Fixtures of what goes over the wire."""

from __future__ import annotations

import pytest

from tests.client.asking import TRANSPORTS, WAYS, Way


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> Way:
    """Return each way to ask in turn: in this thread, and on an event loop over either transport."""
    return Way(request.param, monkeypatch)


@pytest.fixture(params=TRANSPORTS)
def on_loop(request, monkeypatch) -> Way:
    """Return each way to ask on an event loop in turn."""
    return Way(request.param, monkeypatch)
