"""A process that can have no further thread, for a limit or because its interpreter ends: no call fails of that."""

from __future__ import annotations

import asyncio
import threading

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import LLMRequest, backends, cache, conf, sitestats
from django_llmcache.backends import base
from tests import stores

REQUEST = LLMRequest("openai", payload={"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
ANSWER = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}


@pytest.fixture(params=["django_cache.DjangoCacheBackend", "tiered.TieredBackend"], autouse=True)
def _shared(request, tmp_path):
    known = {"default": caches.settings["default"], "llm": stores.alias_for("redis", tmp_path)}
    chosen = {"BACKEND": f"django_llmcache.backends.{request.param}", "OPTIONS": {"ALIAS": "llm", **stores.PATIENT}}
    with override_settings(CACHES=known, LLMCACHE=chosen):
        yield
        backends.current().close()


@pytest.fixture(autouse=True)
def publisher(monkeypatch):
    """Return what hands in the counts of this process, which it does in a thread outside of tests."""
    made = sitestats.Publisher()
    monkeypatch.setattr("django_llmcache.lookup.publisher", made)
    monkeypatch.setattr(conf, "under_test_runner", lambda: False)
    yield made
    made.close()


@pytest.fixture
def no_thread():
    """Let no thread start; return what undoes that."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "_threads", None)  # those of other tests idle there
        patch.setattr(threading.Thread, "start", refuse)
        yield patch


@pytest.mark.usefixtures("no_thread")
def test_a_call_is_answered_and_cached():
    answers = [cache.with_cache(REQUEST, lambda request: ANSWER) for _ in range(2)]

    assert [answer.cache.status for answer in answers] == ["miss", "hit"]


@pytest.mark.usefixtures("no_thread")
def test_so_is_one_on_an_event_loop():
    async def answer(request):
        return ANSWER

    async def work():
        return [await cache.awith_cache(REQUEST, answer) for _ in range(2)]

    assert [answer.cache.status for answer in asyncio.run(work())] == ["miss", "hit"]


@pytest.mark.usefixtures("no_thread")
def test_the_facade_on_an_event_loop_does_without_as_well():
    cache.with_cache(REQUEST, lambda request: ANSWER)

    assert asyncio.run(cache.aclear()) is None
    assert cache.with_cache(REQUEST, lambda request: ANSWER).cache.status == "miss"


def test_the_counts_are_handed_in_as_soon_as_a_thread_can_be_had(no_thread, publisher, monkeypatch):
    monkeypatch.setattr(sitestats, "EVERY", 0.0)
    cache.with_cache(REQUEST, lambda request: ANSWER)
    no_thread.undo()
    publisher.wake()

    assert not publisher.asleep


@pytest.mark.usefixtures("no_thread")
def test_where_none_can_be_had_they_are_handed_in_at_the_end_of_the_process(publisher):
    cache.with_cache(REQUEST, lambda request: ANSWER)
    publisher.close()

    assert sum(n for what, n in backends.current().site_counts().counts.items() if what.name == "miss") == 1
