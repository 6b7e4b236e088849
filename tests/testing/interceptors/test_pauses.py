"""The pauses that SDKs make before they try again: none after a recorded error, or a fault that names no time."""

from __future__ import annotations

import asyncio
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FunctionType
from unittest import mock

import anyio
import pytest
import requests

from django_llmcache import chat
from django_llmcache.recorder.faults import Fault
from django_llmcache.testing import interceptors, live_api, override_llmcache
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

from .conftest import Lab

HI = [{"role": "user", "content": "Hi"}]
PAUSE = 30.0


@pytest.fixture
def lab(slept, tmp_path):
    """Return a recorder that is armed when sleeping is noted already."""
    with interceptors.armed():
        yield Lab(tmp_path / "fixtures")


def ask(server: Loopback) -> None:
    with suppress(requests.RequestException):
        requests.post(f"{server.url}/v1/chat/completions", json={"model": "m"}, timeout=LONG)


def blocking():
    time.sleep(PAUSE)


def on_a_loop():
    async def pause():
        await asyncio.sleep(PAUSE)

    asyncio.run(pause())


def on_any_loop():
    async def pause():
        await anyio.sleep(PAUSE)

    asyncio.run(pause())


ways = pytest.mark.parametrize(
    "pause", [blocking, on_a_loop, on_any_loop], ids=lambda way: way.__name__.replace("_", " ")
)


def of(module: str, pause) -> FunctionType:
    """Return the same function as if a module of an SDK's had it."""
    scope = {"__name__": module, "time": time, "asyncio": asyncio, "anyio": anyio, "PAUSE": PAUSE}
    return FunctionType(pause.__code__, scope)


@ways
@pytest.mark.parametrize("module", ["openai._base_client", "tenacity.nap", "google.genai._api_client"])
@pytest.mark.parametrize("fault", ["429", "500x2", "timeoutx2", "refused"])
def test_after_a_fault_an_sdk_does_not_wait(lab, server, slept, pause, module, fault):
    with lab.replaying(fault=Fault.parse(fault)):
        ask(server)
        of(module, pause)()

    assert max(slept) < 0.01


def test_after_a_fault_of_an_answer_that_is_just_recorded_an_sdk_does_not_wait(lab, server, slept):
    with lab.recording(fault=Fault.parse("cut@1")):
        ask(server)
        of("openai._base_client", blocking)()

    assert max(slept) < 0.01


@ways
@pytest.mark.parametrize("module", ["shop.views", "openai_helpers", "tests.testing.openai", "django_llmcache.sharing"])
def test_after_a_fault_nobody_elses_sleep_is_shorter(lab, server, slept, pause, module):
    with lab.replaying(fault=Fault.parse("429")):
        ask(server)
        of(module, pause)()

    assert slept == [PAUSE]


def test_after_a_fault_that_names_a_time_an_sdk_waits(lab, server, slept):
    with lab.replaying(fault=Fault.parse("429(retry_after=2)")):
        ask(server)
        of("openai._base_client", blocking)()

    assert slept == [PAUSE]


BUSY = whole(b"{}", status="429 Too Many Requests", headers=("content-type: application/json", "retry-after: 2"))


def broken(connection) -> None:
    connection.sendall(chunked_head("text/event-stream") + chunk(b"data: 1\n\n"))


@ways
@pytest.mark.parametrize("server", [[BUSY], [broken]], ids=["an error", "a stream that broke"], indirect=True)
def test_after_an_error_that_was_recorded_an_sdk_does_not_wait_in_a_replay(lab, server, slept, pause):
    for in_force in (lab.recording, lab.replaying):
        with in_force():
            ask(server)
            of("openai._base_client", pause)()

    live, replayed = slept
    assert live == PAUSE
    assert replayed < 0.01


@pytest.mark.parametrize("server", [[BUSY]], ids=["an error"], indirect=True)
def test_it_waits_where_the_test_asks_for_the_recorded_pace(lab, server, slept):
    with lab.recording():
        ask(server)
    with lab.replaying(pace=1.0):
        ask(server)
        of("openai._base_client", blocking)()

    assert slept[-1] == PAUSE  # the pace is before it


def test_after_an_answer_that_is_no_fault_an_sdk_waits_as_ever(lab, server, slept):
    with lab.recording():
        ask(server)
    with lab.replaying(fault=Fault.parse("429x1")):
        ask(server)
        ask(server)
        of("openai._base_client", blocking)()

    assert slept == [PAUSE]


@ways
@pytest.mark.parametrize("faults", [1, 3])
def test_after_the_last_fault_one_pause_is_shorter_and_no_other(lab, server, slept, pause, faults):
    with lab.replaying(fault=Fault.parse("429")):
        for _ in range(faults):
            ask(server)
        of("tenacity.nap", pause)()
        of("tenacity.nap", pause)()

    assert slept[0] < 0.01
    assert slept[1:] == [PAUSE]


def test_on_a_loop_each_that_met_a_fault_has_a_shorter_pause(lab, server, slept):
    async def pause():
        await asyncio.sleep(PAUSE)

    async def ask_and_pause():
        for _ in range(3):
            ask(server)
        await asyncio.gather(*(of("openai._base_client", pause)() for _ in range(4)))

    with lab.replaying(fault=Fault.parse("429")):
        asyncio.run(ask_and_pause())

    assert max(slept[:3]) < 0.01
    assert slept[3:] == [PAUSE]


def test_on_a_loop_what_others_are_answered_takes_nothing_from_it(lab, server, slept):
    async def pause():
        await asyncio.sleep(PAUSE)

    async def meet_a_fault(met, answered):
        ask(server)
        met.set()
        await answered.wait()
        await of("openai._base_client", pause)()

    async def be_answered(met, answered):
        await met.wait()
        ask(server)
        answered.set()

    async def both():
        met, answered = asyncio.Event(), asyncio.Event()
        await asyncio.gather(meet_a_fault(met, answered), be_answered(met, answered))

    with lab.recording():
        ask(server)
    with lab.replaying(fault=Fault.parse("429x1")):
        asyncio.run(both())

    assert len(slept) == 1
    assert slept[0] < 0.01


def test_a_thread_that_met_no_fault_waits_as_ever(lab, server, slept):
    with lab.replaying(fault=Fault.parse("429")):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(ask, server).result()
        of("openai._base_client", blocking)()

    assert slept == [PAUSE]


def test_the_next_test_waits_as_ever(lab, server, slept):
    with lab.replaying(fault=Fault.parse("429")):
        ask(server)
    of("openai._base_client", blocking)()
    with lab.replaying():
        of("openai._base_client", blocking)()

    assert slept == [PAUSE, PAUSE]


@pytest.mark.parametrize("fault", ["503x2", "timeoutx2"])
def test_chat_tries_again_at_once(slept, tmp_path, provider, fault):
    folder, host = tmp_path / "fixtures", provider.url.removeprefix("http://")
    with override_llmcache(
        TEST_CACHE={"ENABLED": True, "DIR": folder, "HOSTS": [host]},
        PROVIDERS={"openai": {"BASE_URL": f"{provider.url}/v1", "API_KEY": "made-up"}},
        MIDDLEWARE=["django_llmcache.middleware.retry.RetryMiddleware"],
    ):
        with live_api(mode="once"):
            live = chat("openai", HI, model="gpt-4o-mini").text
        with live_api(mode="replay", fault=fault):
            assert chat("openai", HI, model="gpt-4o-mini").text == live

    assert len(slept) == 2
    assert max(slept) < 0.01


def test_what_sleeps_is_put_back_as_it_was(slept):
    def now():
        return time.sleep, asyncio.sleep, anyio.sleep

    before = now()
    with interceptors.armed():
        armed = now()

    assert not set(armed) & set(before)
    assert now() == before


def test_a_class_may_have_the_function(lab):
    class Poll:
        sleep = time.sleep

    assert Poll().sleep(0) is None


def test_what_sleeps_is_pickled_as_pythons_own_for_a_process_that_has_nothing_of_ours():
    real = pickle.dumps(time.sleep)
    with interceptors.armed():
        armed = pickle.dumps(time.sleep)

    assert armed == real


def test_a_mock_of_it_that_was_there_before_is_the_tests_own():
    with mock.patch("time.sleep"), interceptors.armed():
        time.sleep(PAUSE)

        time.sleep.assert_called_once_with(PAUSE)


def test_one_that_ends_inside_takes_nothing_from_the_next_test():
    real, patch = time.sleep, mock.patch("time.sleep")
    patch.start()
    with interceptors.armed():
        patch.stop()
    with interceptors.armed():
        armed = time.sleep

    assert armed is not real
    assert time.sleep is real
