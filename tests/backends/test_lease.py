"""Who has the lock on a key, and for whom the others wait."""

from __future__ import annotations

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.backends.lease import DEAD_AFTER, Lease, _heart
from tests import stores

from .contract import Clock

KEY = "a key"
SECONDS = 60.0


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["redis", "memcached"])
def backend(request, tmp_path):
    words = stores.alias_for(request.param, tmp_path)
    with override_settings(CACHES={"default": caches.settings["default"], "llm": words}):
        made = DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT})
        yield made
        made.close()


@pytest.fixture
def lease(backend, clock, monkeypatch):
    """Return what makes a claim, as another process would."""
    made = []

    def make():
        monkeypatch.setattr(_heart, "name", f"{len(made)}-")
        made.append(Lease(backend, KEY, seconds=SECONDS, tell=pytest.fail, clock=clock))
        return made[-1]

    yield make
    for each in made:
        each.give_back()


def give_up(lease):
    """Do what a process does whose call brought nothing to share."""
    lease.in_vain = True
    lease.give_back()


def test_one_has_it_and_the_others_wait(lease):
    assert [lease().is_mine() for _ in range(3)] == [True, False, False]


def test_who_is_given_nothing_by_the_one_it_waited_for_waits_for_no_other(lease):
    first, second, third = lease(), lease(), lease()
    assert [each.is_mine() for each in (first, second, third)] == [True, False, False]
    give_up(first)

    assert [second.is_mine(), third.is_mine()] == [True, True]
    assert [first.came_second, second.came_second, third.came_second] == [False, True, True]


def test_who_comes_then_waits_for_the_one_who_asks(lease):
    first, second = lease(), lease()
    assert [first.is_mine(), second.is_mine()] == [True, False]
    give_up(first)

    assert [second.is_mine(), lease().is_mine()] == [True, False]


def test_who_follows_a_killed_process_leads_all_who_waited_for_that(backend, lease, clock):
    assert backend.acquire(KEY, "killed", SECONDS)
    second, third = lease(), lease()
    assert [second.is_mine(), third.is_mine()] == [False, False]
    clock.advance(DEAD_AFTER)

    assert [second.is_mine(), third.is_mine()] == [True, False]
    assert not second.came_second


def test_but_no_longer_than_for_that_one(backend, lease, clock):
    assert backend.acquire(KEY, "killed", SECONDS)
    second, third, fourth = lease(), lease(), lease()
    assert [each.is_mine() for each in (second, third, fourth)] == [False, False, False]
    clock.advance(DEAD_AFTER)
    assert [second.is_mine(), third.is_mine(), fourth.is_mine()] == [True, False, False]
    give_up(second)

    assert [third.is_mine(), fourth.is_mine()] == [True, True]


def test_who_follows_a_process_that_lost_the_lock_leads_all_who_waited_for_that(backend, lease):
    """As where the store evicts or culls it. Who lost it still asks, and has not come back with nothing."""
    first, second, third = lease(), lease(), lease()
    assert [each.is_mine() for each in (first, second, third)] == [True, False, False]
    backend.release(KEY, first._token)

    assert [second.is_mine(), third.is_mine(), third.is_mine()] == [True, False, False]
    assert not second.came_second


def test_one_who_lost_the_lock_gives_nobody_elses_up(backend, lease):
    first, second = lease(), lease()
    assert [first.is_mine(), second.is_mine()] == [True, False]
    backend.release(KEY, first._token)
    assert second.is_mine()
    give_up(first)

    assert not lease().is_mine()


def test_who_follows_one_that_was_called_off_leads_all_who_waited_for_that(lease):
    first, second, third = lease(), lease(), lease()
    assert [each.is_mine() for each in (first, second, third)] == [True, False, False]
    first.give_back()

    assert [second.is_mine(), third.is_mine()] == [True, False]
    assert not second.came_second


def test_nobody_waits_where_the_store_keeps_no_lock_and_says_nothing(backend, clock, monkeypatch):
    monkeypatch.setattr(backend._store, "add", lambda *args: False)
    told = []

    assert Lease(backend, KEY, seconds=SECONDS, tell=told.append, clock=clock).is_mine()
    assert "did not keep a lock" in str(*told)


def test_who_is_overtaken_while_the_lock_is_free_waits(backend, lease, monkeypatch):
    first, second, third = lease(), lease(), lease()
    assert first.is_mine()
    read = backend._store.read

    def read_while_it_is_free(keys):
        monkeypatch.setattr(backend._store, "read", read)
        first.give_back()
        found = read(keys)
        assert third.is_mine()
        return found

    monkeypatch.setattr(backend._store, "read", read_while_it_is_free)

    assert not second.is_mine()


def test_calls_that_bring_nothing_to_share_leave_few_values_behind(backend, monkeypatch):
    """A folder or a table has room for so many, and drops answers for others."""
    written, write = set(), backend._store.write

    def note(key, *args):
        written.add(key)
        write(key, *args)

    monkeypatch.setattr(backend._store, "write", note)
    for number in range(100):
        token = f"token-{number}"
        assert backend.acquire(f"key-{number}", token, SECONDS)
        backend.give_up(f"key-{number}", token)

    assert len(written) <= 16
    assert backend.has_given_up("key-99", "token-99")
    assert not backend.has_given_up("key-99", "token-1000")


def test_what_was_given_up_is_known_though_much_else_is_as_well(backend):
    for number in range(100):
        backend.give_up(f"key-{number}", f"token-{number}")

    assert all(backend.has_given_up(f"key-{number}", f"token-{number}") for number in range(100))
