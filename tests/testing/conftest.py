"""A project in a temporary folder, and the switch that turns its test cache on."""

from __future__ import annotations

import pytest

from .project import Project

ON = {"LLMCACHE_TEST_CACHE_ENABLED": "true", "OPENAI_API_KEY": "made-up"}


@pytest.fixture
def project(tmp_path, provider):
    """Return a project whose provider is the stand-in."""
    return Project(tmp_path, provider.url)
