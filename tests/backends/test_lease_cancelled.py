"""A lock that is taken on an event loop, by somebody who is cancelled, or whose loop does not run, is soon nobody's."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import LLMRequest, backends, cache, pulse, sharing
from django_llmcache.backends import lease
from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.singleflight import SingleFlight
from tests import stores

REQUEST = LLMRequest("openai", payload={"model": "m", "messages": [{"role": "user", "content": "Hi"}]})
ANSWER = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}
PATIENCE = 20.0


class Slow(DjangoCacheBackend):
    """Takes a lock when it is told to."""

    asked, go = threading.Event(), threading.Event()

    def acquire(self, key, token, seconds):
        self.asked.set()
        assert self.go.wait(PATIENCE)
        return super().acquire(key, token, seconds)


@pytest.fixture(autouse=True)
def shared(tmp_path):
    known = {"default": caches.settings["default"], "llm": stores.alias_for("redis", tmp_path)}
    chosen = {"BACKEND": f"{__name__}.Slow", "OPTIONS": {"ALIAS": "llm", "READ_TIMEOUT": 5, "WRITE_TIMEOUT": 5}}
    Slow.asked.clear()
    Slow.go.clear()
    with override_settings(CACHES=known, LLMCACHE=chosen):
        yield
        backends.current().close()


async def answer(request):
    return ANSWER


def no_signs_of_life():
    """See that nobody keeps a lock: the thread that was taking one has a moment to give it back."""
    until = time.monotonic() + PATIENCE
    while lease._heart._leases:
        assert time.monotonic() < until, "a lock is kept"
        threading.Event().wait(0.001)


def test_a_cancelled_caller_leaves_no_lock():
    async def cancelled():
        asking = asyncio.create_task(cache.awith_cache(REQUEST, answer))
        await asyncio.to_thread(Slow.asked.wait, PATIENCE)
        asking.cancel()
        Slow.go.set()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(cancelled())

    no_signs_of_life()
    assert asyncio.run(asyncio.wait_for(cache.awith_cache(REQUEST, answer), PATIENCE)).text == "Hello"


def test_a_loop_that_is_closed_leaves_no_lock():
    Slow.go.set()
    called = threading.Event()

    async def never(request):
        called.set()
        await asyncio.Event().wait()

    loop = asyncio.new_event_loop()
    task = loop.create_task(cache.awith_cache(REQUEST, never))
    while not called.is_set():
        loop.run_until_complete(asyncio.sleep(0.001))
    for each in sorted(asyncio.all_tasks(loop), key=lambda each: each is task):  # the call, then who waits for it
        with suppress(ValueError):  # of a variable of the context, which is not here
            each.get_coro().close()
        each._log_destroy_pending = False
    loop.run_until_complete(loop.shutdown_asyncgens())  # with them, the connections
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()

    no_signs_of_life()


def test_a_loop_that_is_kept_and_does_not_run_gives_no_sign_of_life(monkeypatch):
    for module, name, seconds in ((lease, "BEAT", 0.1), (lease, "DEAD_AFTER", 0.4), (pulse, "SILENCE", 0.1)):
        monkeypatch.setattr(module, name, seconds)
    Slow.go.set()
    called = threading.Event()

    async def until_released(request):
        called.set()
        await asyncio.to_thread(released.wait, PATIENCE)
        return ANSWER

    released, loop = threading.Event(), asyncio.new_event_loop()
    task = loop.create_task(cache.awith_cache(REQUEST, until_released))
    while not called.is_set():
        loop.run_until_complete(asyncio.sleep(0.001))
    monkeypatch.setattr(sharing, "flights", SingleFlight())  # from here on, this is another process

    other = cache.with_cache(REQUEST, lambda request: ANSWER)

    assert other.cache.status == "miss"
    released.set()
    assert loop.run_until_complete(task).text == "Hello"
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    no_signs_of_life()


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("came", "given_up"),
    [
        (ANSWER, False),
        ({"error": {"message": "no"}}, True),
        (ConnectionError("no"), True),
        (KeyboardInterrupt(), False),
    ],
    ids=["stored", "unstorable", "failed", "called-off"],
)
def test_others_are_told_where_there_is_nothing_to_share(monkeypatch, came, given_up, is_async):
    told = []

    def call(request):
        if isinstance(came, BaseException):
            raise came
        return came

    async def acall(request):
        if isinstance(came, KeyboardInterrupt):
            raise asyncio.CancelledError
        return call(request)

    Slow.go.set()
    monkeypatch.setattr(Slow, "give_up", lambda self, key, token: told.append(key) or self.release(key, token))
    with suppress(Exception, KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(cache.awith_cache(REQUEST, acall)) if is_async else cache.with_cache(REQUEST, call)

    assert bool(told) is given_up
    no_signs_of_life()
