"""A project in a temporary folder, and the switch that turns its test cache on."""

from __future__ import annotations

import pytest

from django_llmcache.recorder.store import FixtureStore
from django_llmcache.testing import override_llmcache

from .project import Project

ON = {"LLMCACHE_TEST_CACHE_ENABLED": "true", "OPENAI_API_KEY": "made-up"}


@pytest.fixture
def project(tmp_path, provider):
    """Return a project whose provider is the stand-in."""
    return Project(tmp_path, provider.url)


@pytest.fixture
def fixtures(tmp_path, provider, monkeypatch):
    """Turn the test cache on, with the stand-in for OpenAI."""
    monkeypatch.setenv("OPENAI_API_KEY", "made-up")
    with override_llmcache(
        PROVIDERS={"openai": {"BASE_URL": f"{provider.url}/v1", "MODEL": "gpt-4o-mini"}},
        TEST_CACHE={"ENABLED": True, "DIR": tmp_path / "fixtures"},
        MIDDLEWARE=["django_llmcache.middleware.cache.CacheMiddleware"],
    ):
        yield FixtureStore(tmp_path / "fixtures")
