"""A backend that can't be made is stood in for, and tried again."""

from __future__ import annotations

import pytest

from django_llmcache.backends.unavailable import RETRY_AFTER, UnavailableBackend
from django_llmcache.entry import Selector
from django_llmcache.exceptions import LLMCacheError

from .contract import Clock, entry_of

USES = {
    "get": lambda backend: backend.get(entry_of().key),
    "put": lambda backend: backend.put(entry_of()),
    "delete": lambda backend: backend.delete(entry_of().key),
    "clear": lambda backend: backend.clear(Selector()),
    "entries": lambda backend: list(backend.entries()),
    "stats": lambda backend: backend.stats(),
}


@pytest.fixture
def retries():
    return []


@pytest.fixture
def backend(retries):
    return UnavailableBackend("shop.Backend", OSError("no such host"), retry=lambda: retries.append(1))


@pytest.mark.parametrize("use", USES)
def test_whatever_is_asked_it_says_which_backend_failed_and_why(use, backend):
    with pytest.raises(LLMCacheError) as raised:
        USES[use](backend)

    assert "shop.Backend" in str(raised.value)
    assert "no such host" in str(raised.value)
    assert "settings.LLMCACHE['BACKEND']" in str(raised.value)


def test_what_may_quote_an_address_is_not_told():
    backend = UnavailableBackend("shop.Backend", ValueError("'s3cret' is no port"), retry=list)
    with pytest.raises(LLMCacheError, match=r"could not be made: ValueError\.") as raised:
        backend.get("k")

    assert "s3cret" not in str(raised.value)


def test_it_can_be_marked_and_closed_like_any_other(backend):
    assert backend.mark() == 0
    backend.close()


def test_a_new_try_is_asked_for_only_after_a_while(backend, retries):
    clock = Clock()
    backend.clock = clock
    backend._until = clock() + RETRY_AFTER
    clock.advance(RETRY_AFTER - 0.1)
    with pytest.raises(LLMCacheError):
        backend.get("k")
    assert retries == []

    clock.advance(0.1)
    with pytest.raises(LLMCacheError):
        backend.get("k")
    assert retries == [1]
