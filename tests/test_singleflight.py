"""One call for all who ask the same at the same time, whoever of them is cancelled, fails or dies."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial

import pytest

from django_llmcache import pulse, singleflight
from django_llmcache.flight import Caller, Flight
from django_llmcache.singleflight import SingleFlight

PATIENCE = 20.0


class Upstream:
    """A call that takes as long as it is told to, and counts."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.calls = 0
        self.error = error
        self.asked = threading.Event()
        self.go = threading.Event()
        self.cancelled = 0

    def call(self):
        self.calls += 1
        self.asked.set()
        assert self.go.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return f"answer {self.calls}"

    async def acall(self):
        self.calls += 1
        self.asked.set()
        try:
            while not self.go.is_set():  # noqa: ASYNC110 - what it waits for is set by a thread
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return f"answer {self.calls}"


@pytest.fixture
def flights():
    return SingleFlight()


@pytest.fixture
def upstream():
    made = Upstream()
    yield made
    made.go.set()


def waiting(flights, number):
    """Wait until so many wait for the one call that is under way, its leader among them."""
    deadline = time.monotonic() + PATIENCE
    while sum(flight.wanted for flight in list(flights._flights.values())) < number:
        assert time.monotonic() < deadline, "they don't come"
        threading.Event().wait(0.001)


async def awaiting(flights, number):
    while sum(flight.wanted for flight in list(flights._flights.values())) < number:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)


def test_threads_share_one_call(flights, upstream):
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(flights.do, "key", upstream.call, patience=PATIENCE) for _ in range(8)]
        waiting(flights, 8)
        upstream.go.set()
        outcomes = [each.result() for each in asked]

    assert upstream.calls == 1
    assert {outcome.value for outcome in outcomes} == {"answer 1"}
    assert sorted(outcome.shared for outcome in outcomes) == [False] + [True] * 7


def test_tasks_share_one_call(flights, upstream):
    async def all_of_them():
        asked = [asyncio.create_task(flights.ado("key", upstream.acall, patience=PATIENCE)) for _ in range(8)]
        await awaiting(flights, 8)
        upstream.go.set()
        return await asyncio.gather(*asked)

    outcomes = asyncio.run(all_of_them())

    assert upstream.calls == 1
    assert {outcome.value for outcome in outcomes} == {"answer 1"}


@pytest.mark.parametrize("leader", ["a thread", "a loop"])
def test_threads_and_loops_share_one_call(flights, upstream, leader):
    def thread():
        return flights.do("key", upstream.call, patience=PATIENCE).value

    def loop():
        async def both():
            ask = flights.ado("key", upstream.acall, patience=PATIENCE)
            also = flights.ado("key", upstream.acall, patience=PATIENCE)
            return [outcome.value for outcome in await asyncio.gather(ask, also)]

        return asyncio.run(both())

    first, others = (thread, loop) if leader == "a thread" else (loop, thread)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(first)]
        assert upstream.asked.wait(PATIENCE)
        asked += [pool.submit(others), pool.submit(loop)]
        waiting(flights, 5)  # a loop is two of them
        upstream.go.set()
        answers = [each.result() for each in asked]

    assert upstream.calls == 1
    assert {value for each in answers for value in ([each] if isinstance(each, str) else each)} == {"answer 1"}


def test_calls_of_other_names_do_not_wait(flights, upstream):
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(flights.do, "slow", upstream.call, patience=PATIENCE)
        assert upstream.asked.wait(PATIENCE)

        values = [flights.do(name, lambda name=name: name, patience=PATIENCE).value for name in "abcdefgh"]

        assert not slow.done()
        upstream.go.set()
    assert values == list("abcdefgh")


def test_a_failure_is_told_to_each_once_and_the_next_call_tries_again(flights):
    upstream = Upstream(OSError(111, "refused"))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(flights.do, "key", upstream.call, patience=PATIENCE) for _ in range(8)]
        waiting(flights, 8)
        upstream.go.set()
        errors = [each.exception() for each in asked]

    assert upstream.calls == 1
    assert [(type(error), error.args, error.errno) for error in errors] == [
        (ConnectionRefusedError, (111, "refused"), 111)
    ] * 8
    assert len({id(error) for error in errors}) == 8
    assert flights.do("key", lambda: "good", patience=PATIENCE).value == "good"


def test_a_failure_is_told_to_tasks(flights):
    upstream = Upstream(ValueError("no"))

    async def all_of_them():
        asked = [asyncio.create_task(flights.ado("key", upstream.acall, patience=PATIENCE)) for _ in range(4)]
        await awaiting(flights, 4)
        upstream.go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    errors = asyncio.run(all_of_them())

    assert upstream.calls == 1
    assert [str(error) for error in errors] == ["no"] * 4
    assert len({id(error) for error in errors}) == 4


@pytest.mark.parametrize("who", [0, 2], ids=["the leader", "a waiter"])
def test_whoever_is_cancelled_takes_the_answer_from_nobody(flights, upstream, who):
    async def all_of_them():
        asked = [asyncio.create_task(flights.ado("key", upstream.acall, patience=PATIENCE)) for _ in range(4)]
        await awaiting(flights, 4)
        asked[who].cancel()
        await asyncio.wait([asked[who]])
        upstream.go.set()
        return asked[who].cancelled(), [await each for each in asked if each is not asked[who]]

    was_cancelled, outcomes = asyncio.run(all_of_them())

    assert was_cancelled
    assert upstream.calls == 1
    assert [outcome.value for outcome in outcomes] == ["answer 1"] * 3


def test_a_call_that_nobody_wants_any_more_is_cancelled(flights, upstream):
    async def both():
        asked = [asyncio.create_task(flights.ado("key", upstream.acall, patience=PATIENCE)) for _ in range(2)]
        await awaiting(flights, 2)
        for each in asked:
            each.cancel()
        await asyncio.wait(asked)

    asyncio.run(both())

    assert upstream.cancelled == 1
    assert len(flights) == 0


def test_a_thread_takes_over_where_the_leaders_loop_ends(flights, upstream):
    begun = threading.Event()

    async def lead():
        asyncio.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))  # noqa: RUF006 - left behind on purpose
        await awaiting(flights, 1)
        begun.set()
        await asyncio.to_thread(waiting, flights, 2)

    with ThreadPoolExecutor(2) as pool:
        led = pool.submit(asyncio.run, lead())
        assert begun.wait(PATIENCE)
        upstream.go.clear()
        other = pool.submit(flights.do, "key", lambda: "mine", patience=PATIENCE)
        led.result()

        assert other.result().value == "mine"


def test_a_thread_takes_over_where_the_loop_is_closed_without_a_word(flights, upstream):
    loop = asyncio.new_event_loop()
    task = loop.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))
    loop.run_until_complete(awaiting(flights, 1))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(flights.do, "key", lambda: "mine", patience=PATIENCE)
        waiting(flights, 2)
        left = list(asyncio.all_tasks(loop))
        loop.close()

        assert other.result().value == "mine"
    for each in (task, *left):  # nothing will ever run them: they are only to say nothing of it
        each._log_destroy_pending = False


@pytest.fixture
def hasty(monkeypatch):
    """Let nobody wait long for an event loop that does not run."""
    monkeypatch.setattr(singleflight, "_GLANCE", 0.05)
    monkeypatch.setattr(pulse, "SILENCE", 0.4)
    monkeypatch.setattr(pulse, "STANDSTILL", 0.4)


def three_elsewhere(flights, way):
    """Return what three get who wait for a call under way, in threads or on loops of their own."""
    second = Upstream()

    def ask():
        if way == "threads":
            return flights.do("key", second.call, patience=PATIENCE)
        return asyncio.run(flights.ado("key", second.acall, patience=PATIENCE))

    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask) for _ in range(3)]
        assert second.asked.wait(PATIENCE)  # one of them leads
        waiting(flights, 3)
        second.go.set()
        outcomes = [each.result(PATIENCE) for each in asked]
    assert second.calls == 1
    return sorted(outcomes)


@pytest.mark.parametrize("way", ["threads", "loops"])
def test_whoever_waits_elsewhere_takes_over_where_the_leaders_loop_stands_still(flights, upstream, hasty, way):
    async def view():
        led = asyncio.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))
        await awaiting(flights, 1)
        outcomes = three_elsewhere(flights, way)  # blocks the loop, as LangChain's batch() does
        upstream.go.set()
        return outcomes, await led

    outcomes, led = asyncio.run(view())

    assert outcomes == [("answer 1", False), ("answer 1", True), ("answer 1", True)]
    assert led == ("answer 1", False)
    assert len(flights) == 0


@pytest.mark.parametrize("way", ["threads", "loops"])
def test_so_they_do_where_it_is_kept_and_does_not_run(flights, upstream, hasty, way):
    loop = asyncio.new_event_loop()
    led = loop.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))
    loop.run_until_complete(awaiting(flights, 1))

    outcomes = three_elsewhere(flights, way)

    upstream.go.set()
    assert outcomes == [("answer 1", False), ("answer 1", True), ("answer 1", True)]
    assert loop.run_until_complete(led) == ("answer 1", False)
    assert len(flights) == 0
    loop.close()


def test_who_finds_out_late_has_what_came_in_its_place(flights, upstream, monkeypatch):
    monkeypatch.setattr(pulse, "SILENCE", 0.01)
    loop = asyncio.new_event_loop()
    led = loop.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))
    loop.run_until_complete(awaiting(flights, 1))
    calls = []

    def call():
        calls.append(None)
        raise OSError("away")

    with ThreadPoolExecutor(2) as pool:
        late = pool.submit(flights.do, "key", call, patience=PATIENCE)
        waiting(flights, 2)
        monkeypatch.setattr(singleflight, "_GLANCE", 0.001)
        early = pool.submit(flights.do, "key", call, patience=PATIENCE)
        errors = [early.exception(PATIENCE), late.exception(PATIENCE)]

    upstream.go.set()
    loop.run_until_complete(led)
    loop.close()
    assert list(map(str, errors)) == ["away", "away"]
    assert len(calls) == 1


def test_who_leads_in_the_place_of_a_loop_that_does_not_run_waits_for_nothing_of_its_leaders(flights, upstream, hasty):
    loop = asyncio.new_event_loop()
    led = loop.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))
    loop.run_until_complete(awaiting(flights, 1))

    mine = flights.do("key", lambda: "behind the leader's lock", patience=PATIENCE, again=lambda: "at once")

    upstream.go.set()
    loop.run_until_complete(led)
    loop.close()
    assert mine == ("at once", False)


def test_a_loop_that_is_busy_for_less_is_waited_for(flights, upstream, monkeypatch):
    glanced = threading.Event()
    ask_for_sign = Flight.ask_for_sign
    monkeypatch.setattr(singleflight, "_GLANCE", 0.001)
    monkeypatch.setattr(pulse, "SILENCE", PATIENCE)
    monkeypatch.setattr(pulse, "STANDSTILL", PATIENCE)
    monkeypatch.setattr(Flight, "ask_for_sign", lambda flight: (ask_for_sign(flight), glanced.set()))

    async def view():
        led = asyncio.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))
        await awaiting(flights, 1)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(flights.do, "key", lambda: "mine", patience=PATIENCE)
            assert glanced.wait(PATIENCE)  # blocks the loop
            upstream.go.set()
            await led
            return other.result(PATIENCE)

    assert asyncio.run(view()) == ("answer 1", True)


def test_a_waiter_takes_over_from_a_thread_that_is_interrupted(flights):
    upstream = Upstream(KeyboardInterrupt())
    with ThreadPoolExecutor(2) as pool:
        led = pool.submit(flights.do, "key", upstream.call, patience=PATIENCE)
        waiting(flights, 1)
        other = pool.submit(flights.do, "key", lambda: "mine", patience=PATIENCE)
        waiting(flights, 2)
        upstream.go.set()

        assert isinstance(led.exception(), KeyboardInterrupt)
        assert other.result() == ("mine", False)


def test_patience_ends(flights, upstream):
    with ThreadPoolExecutor(1) as pool:
        led = pool.submit(flights.do, "key", upstream.call, patience=PATIENCE)
        waiting(flights, 1)

        mine = flights.do("key", lambda: "mine", patience=0.02)
        amine = asyncio.run(flights.ado("key", _mine, patience=0.02))

        upstream.go.set()
        assert led.result().value == "answer 1"
    assert mine == ("mine", False)
    assert amine == ("mine", False)


async def _mine():
    return "mine"


def test_those_whose_patience_ends_together_share_the_next_call(flights, upstream):
    second = Upstream()
    with ThreadPoolExecutor(9) as pool:
        led = pool.submit(flights.do, "key", upstream.call, patience=PATIENCE)
        waiting(flights, 1)
        others = [pool.submit(flights.do, "key", second.call, patience=0.5) for _ in range(8)]
        assert second.asked.wait(PATIENCE)
        waiting(flights, 8)
        second.go.set()
        upstream.go.set()

        assert {each.result().value for each in (*others, led)} == {"answer 1"}
    assert second.calls == 1


def test_what_fails_after_its_leader_has_left_fails_for_nobody_else(flights):
    upstream = Upstream(OSError("the leader's client is closed"))

    async def both():
        led = asyncio.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))
        await awaiting(flights, 1)
        other = asyncio.create_task(flights.ado("key", _mine, patience=PATIENCE))
        await awaiting(flights, 2)
        led.cancel()
        await asyncio.wait([led])
        upstream.go.set()
        return await other

    assert asyncio.run(both()) == ("mine", False)


def test_a_call_that_is_cancelled_before_it_began_is_taken_over(flights):
    async def both():
        led = asyncio.create_task(flights.ado("key", _mine, patience=PATIENCE))
        other = asyncio.create_task(flights.ado("key", _mine, patience=PATIENCE))
        while not flights._flights:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        next(iter(flights._flights.values())).task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await led
        return (await other).value

    assert asyncio.run(both()) == "mine"
    assert len(flights) == 0


def test_a_sync_call_on_the_loop_that_it_would_wait_for_goes_by_itself(flights, upstream):
    async def both():
        led = asyncio.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))
        await awaiting(flights, 1)
        mine = flights.do("key", lambda: "mine", patience=PATIENCE)
        upstream.go.set()
        return mine, (await led).value

    assert asyncio.run(both()) == (("mine", False), "answer 1")


def test_without_an_asyncio_loop_the_call_is_simply_made(flights):
    coroutine = flights.ado("key", _mine, patience=PATIENCE)

    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)

    assert ended.value.value == ("mine", False)


def test_nothing_is_kept_of_calls_that_have_ended(flights):
    class Value:
        pass

    made = []

    def call():
        value = Value()
        made.append(weakref.ref(value))
        return value

    for number in range(1000):
        flights.do(number, call, patience=PATIENCE)
    with pytest.raises(ValueError, match="no"):
        flights.do("failing", lambda: int("no"), patience=PATIENCE)
    gc.collect()

    assert len(flights) == 0
    assert not any(ref() for ref in made)


class Deaf(Caller):
    """One who is told of nobody's error."""

    def told(self, error, led_by):
        return None


@pytest.mark.parametrize("way", ["threads", "tasks"])
def test_where_an_error_is_the_leaders_alone_all_the_others_call_at_once(flights, way):
    waiting, begun = 3, []
    together = threading.Barrier(waiting)
    everybody = threading.Event()

    def call(number):
        begun.append(number)
        if len(begun) == 1:
            assert everybody.wait(PATIENCE)
            raise ValueError("the leader's own")
        together.wait(PATIENCE)  # each of them is in its call
        return number

    def do(number):
        with suppress(ValueError):
            if way == "threads":
                return flights.do("a", lambda: call(number), patience=PATIENCE, caller=Deaf()).value
            made = flights.ado("a", partial(asyncio.to_thread, call, number), patience=PATIENCE, caller=Deaf())
            return asyncio.run(made).value
        return None

    with ThreadPoolExecutor(waiting + 1) as pool:
        answers = [pool.submit(do, number) for number in range(waiting + 1)]
        while sum(flight.wanted for flight in flights._flights.values()) <= waiting:
            threading.Event().wait(0.005)
        everybody.set()
        given = [each.result(PATIENCE) for each in answers]

    assert sorted(each for each in given if each is not None) == sorted(begun[1:])
    assert given.count(None) == 1


class Guest(Caller):
    """One who takes what came to their own kind alone."""

    def __init__(self, who):
        self.who = who

    def takes(self, value, led_by):
        return led_by == self.who


@pytest.mark.parametrize("way", ["threads", "tasks"])
def test_those_for_whom_it_was_not_make_one_call_for_each_who(flights, way):
    guests, begun = ["a", "a", "b", "b", "b", "c"], []
    everybody = threading.Event()

    def call(who):
        begun.append(who)
        if len(begun) == 1:
            assert everybody.wait(PATIENCE)
        while len(begun) > 1 and flights._flights["key", who].wanted < guests.count(who):
            threading.Event().wait(0.001)
        return who

    def do(who):
        if way == "threads":
            return flights.do("key", lambda: call(who), patience=PATIENCE, caller=Guest(who)).value
        made = flights.ado("key", partial(asyncio.to_thread, call, who), patience=PATIENCE, caller=Guest(who))
        return asyncio.run(made).value

    with ThreadPoolExecutor(len(guests)) as pool:
        answers = [pool.submit(do, guests[0])]
        waiting(flights, 1)
        answers += [pool.submit(do, who) for who in guests[1:]]
        waiting(flights, len(guests))
        everybody.set()
        given = [each.result(PATIENCE) for each in answers]

    assert given == guests
    assert sorted(begun) == ["a", "b", "c"]


def test_so_do_those_for_whom_what_came_in_the_place_of_a_lost_call_was_not(flights, upstream, hasty):
    loop = asyncio.new_event_loop()
    led = loop.create_task(flights.ado("key", upstream.acall, patience=PATIENCE, caller=Guest("a")))
    loop.run_until_complete(awaiting(flights, 1))
    guests, begun = ["a", "a", "b", "b"], []

    def call(who):
        begun.append(who)
        waiting(flights, len(guests) if len(begun) == 1 else guests.count(who))
        return who

    def do(who):
        return flights.do("key", lambda: call(who), patience=PATIENCE, caller=Guest(who)).value

    with ThreadPoolExecutor(len(guests)) as pool:
        given = list(pool.map(do, guests))

    upstream.go.set()
    loop.run_until_complete(led)
    loop.close()
    assert given == guests
    assert sorted(begun) == ["a", "b"]


def test_of_those_who_have_waited_for_that_in_vain_one_makes_the_next(flights, upstream, hasty):
    loop = asyncio.new_event_loop()
    led = loop.create_task(flights.ado("key", upstream.acall, patience=PATIENCE))
    loop.run_until_complete(awaiting(flights, 1))
    begun = []

    def call():
        begun.append(None)
        if len(begun) == 1:
            assert upstream.go.wait(PATIENCE)
            return "late"
        waiting(flights, 2)
        return "answer"

    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(flights.do, "key", call, patience=1) for _ in range(3)]
        done = as_completed(asked, PATIENCE)
        served = [next(done).result() for _ in range(2)]
        upstream.go.set()

    loop.run_until_complete(led)
    loop.close()
    assert sorted(served) == [("answer", False), ("answer", True)]
    assert len(begun) == 2
