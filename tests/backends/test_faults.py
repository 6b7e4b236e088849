"""A store that dies, hangs, never answers or comes back costs no call: at most its deadline, once."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import pytest
from django.core.cache import caches
from django.test import override_settings

from django_llmcache import LLMRequest, backends, cache
from django_llmcache.backends.breaker import LONGEST_PAUSE
from django_llmcache.exceptions import BackendUnavailableError
from django_llmcache.signals import cache_error
from tests import stores

from .clock import Clock

PATIENCE = 20.0
SLACK = 0.25
"""Seconds that a busy machine may add to a deadline."""
TIMEOUTS = {"READ_TIMEOUT": 0.05, "WRITE_TIMEOUT": 0.2}
BACKENDS = {
    "plain": "django_llmcache.backends.django_cache.DjangoCacheBackend",
    "tiered": "django_llmcache.backends.tiered.TieredBackend",
}
CLOCK = Clock()
ANSWER = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}


def question(number=0):
    return LLMRequest("openai", payload={"model": "m", "messages": [{"role": "user", "content": f"Question {number}"}]})


def ask(number=0):
    """Ask one question; return the answer and how long it took."""
    started = CLOCK.now()
    answer = cache.with_cache(question(number), lambda request: ANSWER)
    return answer, CLOCK.now() - started


@pytest.fixture(autouse=True)
def clock():
    """Measure the time of this process."""
    with CLOCK:
        yield


@contextmanager
def keeping_on(alias, backend="plain", **options):
    chosen = {"BACKEND": BACKENDS[backend], "OPTIONS": {"ALIAS": "llm", **TIMEOUTS, **options}}
    with override_settings(CACHES={"default": caches.settings["default"], "llm": alias}, LLMCACHE=chosen):
        yield
        backends.current().close()


@pytest.fixture(params=["redis", "memcached"])
def kind(request):
    return request.param


@pytest.fixture
def server(kind):
    """Return a server of this test's own, which it may treat as it likes."""
    started = {"redis": stores.redis, "memcached": stores.memcached}[kind]().start()
    yield started
    started.stop()


@pytest.fixture
def shared(kind, server, tmp_path):
    with keeping_on(stores.alias_for(kind, tmp_path, server=server)):
        assert not ask()[0].from_cache
        assert ask()[0].from_cache
        yield


def test_a_server_that_was_killed_fails_no_call(server, shared):
    server.kill()

    for number in range(30):
        answer, seconds = ask(number)
        assert answer.text == "Hello"
        assert seconds < TIMEOUTS["READ_TIMEOUT"] + SLACK


def test_a_server_that_hangs_costs_its_deadline_once(server, shared):
    server.freeze()
    took = [ask(number)[1] for number in range(30)]
    server.thaw()

    assert max(took) < TIMEOUTS["READ_TIMEOUT"] + SLACK
    assert sum(seconds > TIMEOUTS["READ_TIMEOUT"] / 2 for seconds in took) == 1


def test_threads_that_ask_while_it_hangs_wait_no_longer_than_the_deadline(server, shared):
    server.freeze()
    took = []

    def work(number):
        took.append(ask(number)[1])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    server.thaw()

    assert len(took) == 40
    assert max(took) < TIMEOUTS["READ_TIMEOUT"] + TIMEOUTS["WRITE_TIMEOUT"] + SLACK * 2


def test_tasks_that_ask_while_it_hangs_wait_no_longer_than_the_deadline(server, shared):
    server.freeze()

    async def call(request):
        return ANSWER

    async def one(number):
        started = CLOCK.now()
        answer = await cache.awith_cache(question(number), call)
        assert answer.text == "Hello"
        return CLOCK.now() - started

    async def everything():
        return await asyncio.gather(*(one(number) for number in range(40)))

    took = asyncio.run(everything())
    server.thaw()

    assert max(took) < TIMEOUTS["READ_TIMEOUT"] + TIMEOUTS["WRITE_TIMEOUT"] + SLACK * 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_port_that_never_answers_costs_its_deadline_once(kind, backend, tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as hole:  # it takes connections, and says nothing
        port = hole.getsockname()[1]
        alias = stores.alias_for(kind, tmp_path, server=type("Hole", (), {"port": port}))
        with keeping_on(alias, backend):
            took = [ask(number)[1] for number in range(30)]

    assert max(took) < TIMEOUTS["READ_TIMEOUT"] + SLACK
    assert sum(seconds > TIMEOUTS["READ_TIMEOUT"] / 2 for seconds in took) <= 1


def test_a_server_that_comes_back_is_hit_again(server, shared):
    server.kill()
    ask(1)
    server.start()

    assert comes_true(lambda: ask(2)[0].from_cache)


def test_a_server_that_goes_on_is_hit_again(server, shared):
    server.freeze()
    ask(1)
    server.thaw()

    assert comes_true(lambda: ask()[0].from_cache)


@pytest.fixture
def told():
    """Return the operations that ``cache_error`` tells of."""
    heard = []

    def hear(sender, **details):
        heard.append(details["operation"])

    cache_error.connect(hear)
    yield heard
    cache_error.disconnect(hear)


def test_an_outage_is_told_once(server, shared, caplog, told):
    server.kill()
    for number in range(20):
        ask(number)

    lines = [record.getMessage() for record in caplog.records if "Calls go on without the cache" in record.getMessage()]
    assert len(lines) == 1
    assert told == ["get"]
    assert backends.current().breaker.state == "open"


def test_tries_in_vain_are_told_and_add_no_line_to_the_log(server, shared, caplog, told):
    server.kill()

    assert comes_true(lambda: ask(1) and len(told) == 3)
    [line] = [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]
    assert re.search(r"failed \(\w+.*\)\. Calls go on without the cache", line)
    assert backends.current().breaker.openings == 1


def test_answers_during_an_outage_say_that_they_were_not_stored(server, shared):
    server.kill()

    assert ask(1)[0].cache.reason == "error"
    assert ask(2)[0].cache.reason == "unavailable"
    assert cache.stats().not_stored == {"error": 1, "unavailable": 1}


def test_who_asks_the_same_during_an_outage_shares_a_call(server, shared):
    server.kill()
    ask(1)
    calls, go, asked = [], threading.Event(), threading.Event()

    def call(request):
        calls.append(request)
        asked.set()
        assert go.wait(PATIENCE)
        return ANSWER

    threads = [threading.Thread(target=cache.with_cache, args=(question(2), call)) for _ in range(10)]
    threads[0].start()
    assert asked.wait(PATIENCE)
    for thread in threads[1:]:
        thread.start()
    assert comes_true(lambda: flying() == 10)
    go.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert len(calls) == 1


@pytest.mark.parametrize("backend", ["plain", "tiered"])
@pytest.mark.parametrize(
    "clear",
    [
        lambda key: cache.clear(),
        cache.delete,
        lambda key: backends.current().expire({"tests.thing"}),
    ],
    ids=["clear", "delete", "tag"],
)
def test_but_no_answer_from_before_what_could_not_be_cleared(kind, server, tmp_path, backend, clear):
    asked, go = threading.Event(), threading.Event()

    def old(request):
        asked.set()
        go.wait(PATIENCE / 10)
        return ANSWER

    def new(request):
        return {"choices": [{"message": {"content": "New"}, "finish_reason": "stop"}]}

    with keeping_on(stores.alias_for(kind, tmp_path, server=server), backend), ThreadPoolExecutor(1) as pool:
        server.kill()
        before = pool.submit(cache.with_cache, question(), old)
        assert asked.wait(PATIENCE)
        with suppress(Exception):
            clear(cache.explain(question()).key)
        after = cache.with_cache(question(), new)
        go.set()

        assert after.text == "New"
        assert before.result().text == "Hello"


@pytest.mark.parametrize("name", ["clear", "delete", "aclear", "adelete"])
def test_who_clears_during_an_outage_hears_the_same_each_time(server, shared, name):
    words = [cache.explain(question()).key] if "delete" in name else []

    def gone():
        done = getattr(cache, name)(*words)
        return asyncio.run(done) if name.startswith("a") else done

    server.kill()
    for asked in (True, False):
        with pytest.raises(BackendUnavailableError) as raised:
            gone()
        assert raised.value.asked is asked


def test_a_tier_of_its_own_answers_while_the_shared_one_is_away(kind, server, tmp_path):
    with keeping_on(stores.alias_for(kind, tmp_path, server=server), "tiered"):
        ask()
        server.kill()

        assert all(ask()[0].from_cache for _ in range(10))


def flying():
    """Return how many wait for one call that is under way."""
    from django_llmcache import sharing

    return sum(flight.wanted for flight in sharing.flights._flights.values())


def comes_true(condition):
    """Return whether it does, within the longest pause and some patience."""
    deadline = time.monotonic() + LONGEST_PAUSE + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        threading.Event().wait(0.05)
    return False
