"""The facade on a store that other processes share: on an event loop nothing waits for it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings

from django_llmcache import LLMRequest, cache
from django_llmcache.backends.django_cache import DjangoCacheBackend

REQUEST = LLMRequest("openai", operation="search", model="m-1", payload={"number": 0})

used_by = set()


class Watched(LocMemCache):
    """Notes which threads use it."""

    def get_many(self, keys, version=None):
        used_by.add(threading.get_ident())
        return super().get_many(keys, version)

    def set(self, *args, **options):
        used_by.add(threading.get_ident())
        return super().set(*args, **options)


KEY = f"llmcache:1.1:-:{'0' * 64}"


@pytest.fixture(autouse=True)
def _watched(configure):
    alias = {"BACKEND": f"{__name__}.Watched", "LOCATION": "watched"}
    with override_settings(CACHES={"default": alias}):
        configure(
            BACKEND=f"{DjangoCacheBackend.__module__}.{DjangoCacheBackend.__name__}", OPTIONS={"ALIAS": "default"}
        )
        yield


@pytest.mark.parametrize(("name", "args"), [("get", [KEY]), ("delete", [KEY]), ("clear", []), ("explain", [REQUEST])])
def test_the_event_loop_does_not_wait_for_the_store(name, args):
    used_by.clear()

    asyncio.run(getattr(cache, f"a{name}")(*args))

    assert threading.get_ident() not in used_by
    assert used_by or name == "explain"  # which asks it for nothing: it can't be listed


def test_a_clear_on_the_event_loop_clears():
    asked = []

    def call(request):
        asked.append(request)
        return {"found": 1}

    cache.with_cache(REQUEST, call)
    assert cache.with_cache(REQUEST, call).from_cache

    asyncio.run(cache.aclear(provider="openai"))

    assert not cache.with_cache(REQUEST, call).from_cache
    assert len(asked) == 2
