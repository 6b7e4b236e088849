"""Who asks what another is asking gets that answer: in one process, and in all that share a backend."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import override_settings

from django_llmcache import CachePolicy, LLMRequest, LLMResponse, backends, cache, pulse, sharing
from django_llmcache.backends.memory import MemoryBackend
from django_llmcache.exceptions import RateLimitError
from django_llmcache.signals import cache_error, cache_hit, cache_miss, cache_put
from django_llmcache.singleflight import SingleFlight

PATIENCE = 20.0
GOOD = {
    "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4},
}
CUT = {"choices": [{"message": {"content": "Hel"}, "finish_reason": "length"}]}


def question(number=0, **policy):
    payload = {"model": "m", "messages": [{"role": "user", "content": f"Question {number}"}]}
    return LLMRequest("openai", payload=payload, policy=CachePolicy(**policy))


class Upstream:
    """A provider that answers when it is told to."""

    def __init__(self, answer=GOOD):
        self.answer = answer
        self.calls = 0
        self.answered_at = 0.0
        self.asked = threading.Event()
        self.go = threading.Event()

    def __call__(self, request):
        self.calls += 1
        self.asked.set()
        assert self.go.wait(PATIENCE)
        self.answered_at = time.perf_counter()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def acall(self, request):
        self.calls += 1
        self.asked.set()
        while not self.go.is_set():  # noqa: ASYNC110 - what it waits for is set by a thread
            await asyncio.sleep(0.001)
        self.answered_at = time.perf_counter()
        return self.answer


def wanted(number):
    """Wait until so many wait for a call."""
    deadline = time.monotonic() + PATIENCE
    while sum(flight.wanted for flight in list(sharing.flights._flights.values())) < number:
        assert time.monotonic() < deadline, "they don't come"
        threading.Event().wait(0.001)


def together(upstream, number, **policy):
    """Return what so many threads get that ask the same at once, errors too."""
    with ThreadPoolExecutor(number) as pool:
        asked = [pool.submit(cache.with_cache, question(**policy), upstream) for _ in range(number)]
        wanted(number)
        upstream.go.set()
        return [each.exception() or each.result() for each in asked]


@pytest.fixture
def told():
    """Return the signals that were sent, in their order."""
    events = []

    def receiver(signal, **details):
        events.append(signal)

    for signal in (cache_hit, cache_miss, cache_put, cache_error):
        signal.connect(receiver)
    yield events
    for signal in (cache_hit, cache_miss, cache_put, cache_error):
        signal.disconnect(receiver)


def test_a_thousand_who_ask_at_once_make_one_call_and_have_it_at_once():
    upstream = Upstream()
    late: list[float] = []

    def ask():
        answer = cache.with_cache(question(), upstream)
        late.append(time.perf_counter())
        return answer.text

    async def all_tasks():
        async def aask():
            answer = await cache.awith_cache(question(), upstream.acall)
            late.append(time.perf_counter())
            return answer.text

        return await asyncio.gather(*(aask() for _ in range(500)))

    with ThreadPoolExecutor(502) as pool:
        asked = [pool.submit(ask) for _ in range(500)]
        tasks = pool.submit(asyncio.run, all_tasks())
        wanted(1000)
        upstream.go.set()
        texts = [each.result() for each in asked] + tasks.result()

    assert upstream.calls == 1
    assert texts == ["Hello"] * 1000
    assert max(late) - upstream.answered_at < 1.0  # 50 ms on a quiet machine: python -m benchmarks stampede


def test_only_the_leader_misses_and_the_others_are_spared_the_call(told):
    answers = together(Upstream(), 5)

    assert sorted(answer.cache.status for answer in answers) == ["hit"] * 4 + ["miss"]
    assert sum(answer.from_cache for answer in answers) == 4
    assert {answer.cache.key for answer in answers} == {answers[0].cache.key}
    assert (told.count(cache_miss), told.count(cache_hit), told.count(cache_put)) == (1, 4, 1)
    assert cache.stats().tokens_saved == 4 * 7


def test_each_has_a_value_of_their_own():
    first, second = together(Upstream(), 2)

    first.data["choices"].clear()

    assert second.text == "Hello"


def test_an_answer_that_is_not_stored_is_shared_all_the_same(told):
    answers = together(Upstream(CUT), 3)

    assert [answer.text for answer in answers] == ["Hel"] * 3
    assert told.count(cache_put) == 0
    assert sorted(answer.cache.status for answer in answers) == ["hit", "hit", "miss"]


def test_an_error_is_told_to_each_and_remembered_by_nobody(told):
    upstream = Upstream(RateLimitError("Slow down", provider="openai", status=429))

    errors = together(upstream, 4)

    assert upstream.calls == 1
    assert [type(error) for error in errors] == [RateLimitError] * 4
    assert len({id(error) for error in errors}) == 4
    assert errors[1].status == 429
    upstream.answer = GOOD
    assert cache.with_cache(question(), upstream).text == "Hello"


def test_an_answer_that_is_an_error_is_shared_and_is_no_hit():
    answers = together(Upstream(LLMResponse(b'{"error": "slow"}', status=429, headers={"retry-after": "1"})), 3)

    assert [answer.cache.status for answer in answers] == ["miss"] * 3
    assert [answer.headers["retry-after"] for answer in answers] == ["1"] * 3


@pytest.mark.parametrize("body", [b"<html>", b"", b"data: {}"], ids=["a page", "nothing", "events"])
def test_an_answer_that_is_no_json_is_shared_as_it_came(body):
    answers = together(Upstream(body), 3)

    assert [answer.body for answer in answers] == [body] * 3
    assert [answer.cache.status for answer in answers] == ["miss"] * 3


def test_callers_who_want_other_things_of_the_answer_ask_each():
    upstream = Upstream()
    policies = [{}, {"tags": ["faq"]}, {"store": False}]
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(cache.with_cache, question(**words), upstream) for words in policies]
        wanted(3)
        upstream.go.set()
        for each in asked:
            each.result()

    assert upstream.calls == 3


@pytest.mark.parametrize("words", [{"cache": False}, {"refresh": True}], ids=str)
def test_who_wants_an_own_answer_asks(words):
    upstream = Upstream()
    upstream.go.set()
    together_calls = 3

    with ThreadPoolExecutor(together_calls) as pool:
        list(pool.map(lambda _: cache.with_cache(question(**words), upstream), range(together_calls)))

    assert upstream.calls == together_calls


def test_other_questions_do_not_wait():
    upstream, other = Upstream(), Upstream()
    other.go.set()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(cache.with_cache, question(), upstream)
        assert upstream.asked.wait(PATIENCE)

        for number in range(1, 9):
            cache.with_cache(question(number), other)

        assert not slow.done()
        upstream.go.set()


def test_who_asks_after_a_clear_gets_no_answer_from_before_it():
    before, after = Upstream(), Upstream({**GOOD, "choices": [{"message": {"content": "New"}}]})
    after.go.set()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(cache.with_cache, question(), before)
        assert before.asked.wait(PATIENCE)
        cache.clear()

        assert cache.with_cache(question(), after).text == "New"
        before.go.set()
        assert asked.result().text == "Hello"
    assert cache.with_cache(question(), after).text == "New"


def test_a_call_inside_a_call_does_not_wait_for_itself():
    def call(request):
        return cache.with_cache(question(), lambda request: GOOD)

    assert cache.with_cache(question(), call).text == "Hello"


def test_the_million_leave_nothing_behind():
    for number in range(2000):
        cache.with_cache(question(number), lambda request: GOOD)

    assert len(sharing.flights) == 0


class SharedBackend(MemoryBackend):
    """A store that several processes share, as far as the strategy can tell."""

    name = "shared"
    in_process = False


class LocklessBackend(SharedBackend):
    """One whose lock fails."""

    def acquire(self, key, token, seconds):
        raise OSError("no lock")


class TestAcrossProcesses:
    """Two processes are two sets of flights over one backend here; the real ones are tested with the real backends."""

    @pytest.fixture
    def shared(self):
        with override_settings(LLMCACHE={"BACKEND": f"{__name__}.SharedBackend"}):
            yield backends.current()

    @pytest.fixture(params=["sync", "async"])
    def ask(self, request):
        """Return what asks as another process would."""
        if request.param == "sync":
            return cache.with_cache

        def ask(request, upstream):
            return asyncio.run(cache.awith_cache(request, upstream.acall))

        return ask

    def test_another_process_waits_and_finds_the_answer(self, shared, ask, monkeypatch):
        upstream, other = Upstream(), Upstream()
        other.go.set()
        with ThreadPoolExecutor(2) as pool:
            asked = pool.submit(ask, question(), upstream)
            assert upstream.asked.wait(PATIENCE)
            monkeypatch.setattr(sharing, "flights", SingleFlight())
            waiter = pool.submit(ask, question(), other)
            upstream.go.set()

            assert waiter.result().from_cache
            assert asked.result().cache.status == "miss"
        assert other.calls == 0

    @pytest.mark.parametrize("way", ["on the loop itself", "in a thread"])
    def test_who_asks_while_the_leaders_loop_stands_still_does_not_wait_for_its_lock(self, shared, way, monkeypatch):
        monkeypatch.setattr(pulse, "SILENCE", 0.1)
        monkeypatch.setattr(pulse, "STANDSTILL", 0.1)
        upstream, other = Upstream(), Upstream()
        other.go.set()

        async def view():
            led = asyncio.create_task(cache.awith_cache(question(), upstream.acall))
            while not upstream.asked.is_set():  # noqa: ASYNC110 - set by a thread, too
                await asyncio.sleep(0.001)
            if way == "in a thread":
                with ThreadPoolExecutor(1) as pool:
                    mine = pool.submit(cache.with_cache, question(), other).result(PATIENCE)
            else:
                mine = cache.with_cache(question(), other)
            upstream.go.set()
            return mine, await led

        mine, led = asyncio.run(view())

        assert (mine.text, led.text) == ("Hello", "Hello")
        assert (upstream.calls, other.calls) == (1, 1)

    def test_a_lock_that_its_holder_left_is_taken_over(self, shared, ask, monkeypatch):
        key = cache.explain(question()).key
        shared.acquire(key, "somebody who died", 0.05)
        upstream = Upstream()
        upstream.go.set()

        assert ask(question(), upstream).text == "Hello"
        assert upstream.calls == 1
        assert shared.acquire(key, "me", 1)

    @override_settings(LLMCACHE={"BACKEND": f"{__name__}.LocklessBackend"})
    def test_a_lock_that_fails_costs_nobody_the_answer(self, ask, told):
        upstream = Upstream()
        upstream.go.set()

        assert ask(question(), upstream).text == "Hello"
        assert cache_error in told

    def test_a_failed_call_gives_the_lock_back(self, shared, ask):
        upstream = Upstream(ValueError("no"))
        upstream.go.set()

        with pytest.raises((ValueError, TypeError)):
            ask(question(), upstream)

        assert shared.acquire(cache.explain(question()).key, "me", 1)
