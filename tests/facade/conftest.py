from __future__ import annotations

import pytest

from tests.pipeline.world import configure, events

__all__ = ["configure", "events"]


@pytest.fixture(autouse=True)
def project(configure):
    """Every test here runs in a project with one provider."""
