"""What the processes of a site counted, added up on the store that they share."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache.backends import sitecounts
from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.backends.sitecounts import SLOTS, Slot
from django_llmcache.counts import Batch, Count
from tests import stores

from .contract import Clock

HIT, MISS = Count("openai", "m-1", "hit"), Count("openai", "m-1", "miss")


@pytest.fixture(params=["redis", "django-redis", "memcached"])
def process(request, tmp_path):
    """Return a function that makes what another process of the site has: a backend over the same store."""
    made = []

    def make():
        backend = DjangoCacheBackend({"ALIAS": "llm", "READ_TIMEOUT": 5, "WRITE_TIMEOUT": 5}, clock=make.clock)
        made.append(backend)
        return backend

    make.clock = Clock()
    make.clock.advance(1e9)
    words = stores.alias_for(request.param, tmp_path)
    with override_settings(CACHES={"default": caches.settings["default"], "llm": words}):
        yield make
        for backend in made:
            backend.close()


def slots(backend):
    """Return the slots that are in use, by name."""
    names = [f"llmcache:counts:{number}" for number in range(SLOTS)]
    return {name: Slot.decode(stored) for name, stored in backend._store.read(names).items()}


def test_what_all_processes_counted_is_added_up(process):
    one, other = process(), process()

    assert one.add_counts(Batch("a", {HIT: 2, MISS: 1}))
    assert other.add_counts(Batch("b", {HIT: 3}))
    assert one.add_counts(Batch("c", {HIT: 10}))

    assert process().site_counts() == ({HIT: 15, MISS: 1}, 2)


def test_before_anything_was_counted_there_is_nothing(process):
    assert process().site_counts() == ({}, 0)


def test_a_batch_that_is_handed_in_again_counts_once(process):
    backend = process()
    backend.add_counts(Batch("a", {HIT: 2}))
    backend.add_counts(Batch("a", {HIT: 2}))

    assert backend.site_counts().counts == {HIT: 2}


def test_what_the_store_has_dropped_is_there_again_with_the_next_batch(process):
    backend = process()
    backend.add_counts(Batch("a", {HIT: 2}))
    (name,) = slots(backend)
    backend._store.remove(name)

    backend.add_counts(Batch("b", {MISS: 1}))

    assert backend.site_counts().counts == {HIT: 2, MISS: 1}


def test_a_process_goes_on_from_the_slot_of_one_that_is_gone(process):
    process().add_counts(Batch("a", {HIT: 2}))
    process.clock.advance(181)
    later = process()
    later.add_counts(Batch("b", {HIT: 3}))

    assert later.site_counts() == ({HIT: 5}, 1)
    assert len(slots(later)) == 1


def test_a_process_that_was_away_takes_another_slot_and_nothing_is_lost(process):
    sleeper, other = process(), process()
    sleeper.add_counts(Batch("a", {HIT: 2}))
    process.clock.advance(181)
    other.add_counts(Batch("b", {HIT: 3}))

    sleeper.add_counts(Batch("c", {MISS: 1}))

    assert other.site_counts() == ({HIT: 5, MISS: 1}, 2)


def test_where_no_slot_is_free_the_batch_is_not_taken(process, monkeypatch):
    monkeypatch.setattr(sitecounts, "SLOTS", 1)
    process().add_counts(Batch("a", {HIT: 2}))
    late = process()

    assert not late.add_counts(Batch("b", {HIT: 3}))
    process.clock.advance(181)
    assert late.add_counts(Batch("b", {HIT: 3}))
    assert late.site_counts().counts == {HIT: 5}


@pytest.mark.parametrize("stored", [b"", b"[]", b"\xff", b'["me", 1e12, "a", [["x", "y", "hit", "many"]]]'])
def test_a_slot_that_cannot_be_read_is_as_good_as_none(process, stored):
    backend = process()
    backend._store.write("llmcache:counts:0", stored, None)
    backend.add_counts(Batch("a", {HIT: 2}))

    assert backend.site_counts() == ({HIT: 2}, 1)


def test_a_site_whose_users_name_the_models_does_not_fill_the_store(process):
    backend = process()
    for number in range(20):
        backend.add_counts(Batch(f"{number}", {Count("openai", f"m-{number}-{n}", "hit"): 1 for n in range(300)}))

    counts = backend.site_counts().counts
    assert sum(counts.values()) == 6000
    assert counts[Count("other", "other", "hit")] == 2000
    assert all(len(slot.encode()) < 1_000_000 for slot in slots(backend).values())
