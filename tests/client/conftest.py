"""Fixtures of the client's tests."""

from __future__ import annotations

import pytest

from .asking import WAYS, Way


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> Way:
    """Return each way to ask in turn: in this thread, and on an event loop over either transport."""
    return Way(request.param, monkeypatch)
