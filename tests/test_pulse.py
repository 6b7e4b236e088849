"""Whether an event loop still runs, as those can tell who wait elsewhere."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref

import pytest

from django_llmcache.pulse import SILENCE, STANDSTILL, Pulse
from tests.backends.contract import Clock


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture
def clock():
    return Clock()


def run(loop):
    """Let a loop do what it has to do now."""
    loop.run_until_complete(asyncio.sleep(0))


def test_a_loop_that_nobody_asked_is_not_lost(loop, clock):
    pulse = Pulse(loop, clock)

    clock.advance(10 * SILENCE)

    assert not pulse.is_lost


def test_one_that_is_asked_in_vain_is_lost_after_a_while(loop, clock):
    pulse = Pulse(loop, clock)

    pulse.ask()
    clock.advance(SILENCE - 0.1)
    assert not pulse.is_lost

    pulse.ask()  # does not begin to wait anew
    clock.advance(0.2)
    assert pulse.is_lost


def test_one_that_answers_is_not(loop, clock):
    pulse = Pulse(loop, clock)

    for _ in range(3):
        pulse.ask()
        clock.advance(SILENCE - 0.1)
        run(loop)

    assert not pulse.is_lost


def test_one_that_runs_may_be_busy_for_longer(loop, clock):
    pulse = Pulse(loop, clock)

    async def busy():
        pulse.ask()
        clock.advance(STANDSTILL - 0.1)
        before = pulse.is_lost
        clock.advance(0.2)
        return before, pulse.is_lost

    assert loop.run_until_complete(busy()) == (False, True)


def test_one_that_answers_late_is_not_lost_any_more(loop, clock):
    pulse = Pulse(loop, clock)
    pulse.ask()
    clock.advance(2 * SILENCE)

    run(loop)

    assert not pulse.is_lost


def test_one_that_is_closed_is_lost_at_once(loop, clock):
    pulse = Pulse(loop, clock)

    loop.close()
    pulse.ask()

    assert pulse.is_lost


def test_a_loop_that_does_not_run_keeps_nothing_of_who_asks(loop, clock):
    class Prompt:
        pass

    def ask():
        prompt = Prompt()
        contextvars.ContextVar("asked").set(prompt)
        Pulse(loop, clock).ask()
        return weakref.ref(prompt)

    prompt = contextvars.copy_context().run(ask)
    gc.collect()

    assert prompt() is None
