"""The statistics of a site whose processes share a store."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import backends, cache, sitestats
from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.counts import Batch, Count
from django_llmcache.telemetry import counters
from tests import stores
from tests.pipeline.world import ask

OPTIONS = {"ALIAS": "llm", "READ_TIMEOUT": 5, "WRITE_TIMEOUT": 5}


@pytest.fixture(params=["django_cache.DjangoCacheBackend", "tiered.TieredBackend"], autouse=True)
def _shared(request, configure, tmp_path):
    words = stores.alias_for("redis", tmp_path)
    with override_settings(CACHES={"default": caches.settings["default"], "llm": words}):
        configure(BACKEND=f"django_llmcache.backends.{request.param}", OPTIONS=OPTIONS)
        yield
        backends.current().close()
        backends.empty()


@pytest.fixture
def another():
    """Return what another process of the site has."""
    backend = DjangoCacheBackend(OPTIONS)
    yield backend
    backend.close()


def test_they_are_what_all_processes_counted(another):
    another.add_counts(Batch("a", {Count("openai", "m-1", "hit"): 5, Count("openai", "m-1", "tokens_saved"): 60}))
    ask()
    ask()

    stats = cache.stats()

    assert (stats.hits, stats.misses, stats.puts) == (6, 1, 1)
    assert stats.by_model["openai/m-1"]["hits"] >= 5


def test_what_was_handed_in_is_not_counted_twice(another):
    ask()
    ask()
    assert sitestats.publisher.flush()
    ask()

    assert cache.stats().hits == 2
    assert sum(n for what, n in another.site_counts().counts.items() if what.name == "hit") == 1


def test_what_could_not_be_handed_in_is_forgotten_with_its_counts(another, monkeypatch):
    ask()
    with monkeypatch.context() as patching:
        patching.setattr(type(backends.current()), "add_counts", lambda self, batch: False)
        sitestats.publisher.flush()
    counters.reset()
    ask()

    assert sitestats.publisher.flush()

    counted = another.site_counts().counts
    assert {what.name: n for what, n in counted.items() if what.name in {"hit", "miss"}} == {"hit": 1}


def test_however_much_there_is_new_it_is_one_batch(another):
    for _ in range(50):
        ask()

    assert sitestats.publisher.flush()
    assert not sitestats.publisher.flush()
    assert sum(n for what, n in another.site_counts().counts.items() if what.name == "hit") == 49


def test_what_the_store_did_not_take_is_handed_in_later(another, monkeypatch):
    ask()
    with monkeypatch.context() as broken:
        broken.setattr(backends.current(), "add_counts", lambda batch: 1 / 0)
        sitestats.publisher.flush()
    ask()
    sitestats.publisher.flush()
    sitestats.publisher.flush()

    counts = another.site_counts().counts
    assert {name: sum(n for what, n in counts.items() if what.name == name) for name in ("hit", "miss", "put")} == {
        "hit": 1,
        "miss": 1,
        "put": 1,
    }


def test_a_store_that_cannot_be_read_leaves_this_process_figures(monkeypatch, events):
    ask()
    monkeypatch.setattr(backends.current(), "site_counts", lambda: 1 / 0)

    assert cache.stats().misses == 1
    assert events.of("error")[0]["operation"] == "stats"


def test_models_beyond_those_counted_one_by_one_are_counted_together():
    for number in range(200):
        counters.add("put", "openai", f"m-{number}")

    by_model = cache.stats().by_model
    assert len(by_model) <= 129
    assert sum(figures["puts"] for figures in by_model.values()) == 200
    assert by_model["other/other"]["puts"] >= 72
