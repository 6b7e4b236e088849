"""RetryMiddleware: another try after 429, 5xx and broken connections, below the cache."""

from __future__ import annotations

import asyncio

import pytest

from django_llmcache import astream, stream
from django_llmcache.contrib.demo.standin import HangUp, Reply
from django_llmcache.exceptions import (
    BadRequestError,
    InvalidAnswerError,
    ProviderConnectionError,
    ProviderError,
    RateLimitError,
    ServerError,
)
from django_llmcache.middleware.retry import RetryMiddleware
from django_llmcache.transports import cached_session
from tests.pipeline.world import CACHE, MESSAGES, aask, ask

waits: list[float] = []


async def note_wait(seconds):
    waits.append(seconds)


class Retry(RetryMiddleware):
    """Waits for nothing, and notes how long it would have."""

    sleep = staticmethod(waits.append)
    asleep = staticmethod(note_wait)


@pytest.fixture(autouse=True)
def retrying(configure):
    waits.clear()
    configure(MIDDLEWARE=[CACHE, f"{__name__}.Retry"])


both_ways = pytest.mark.parametrize("call", [ask, lambda **words: asyncio.run(aask(**words))], ids=["chat", "achat"])


@both_ways
@pytest.mark.parametrize("step", [Reply(429), Reply(500), Reply(503), Reply(529), HangUp()], ids=repr)
def test_what_may_pass_is_asked_again(provider, call, step):
    provider.script(step, step)

    assert call().status == 200
    assert (provider.calls, len(waits)) == (3, 2)


@both_ways
@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Reply(400), BadRequestError),
        (Reply(401), ProviderError),
        (Reply(429, b'{"error": {"code": "insufficient_quota"}}'), RateLimitError),
        (Reply(200, b"<html>"), InvalidAnswerError),
    ],
    ids=["bad request", "no right", "quota used up", "a web page"],
)
def test_what_waiting_does_not_heal_is_raised_at_once(provider, call, step, error):
    provider.script(step)

    with pytest.raises(error):
        call()

    assert (provider.calls, waits) == (1, [])


@both_ways
@pytest.mark.parametrize(
    ("step", "error"),
    [(Reply(503), ServerError), (HangUp(), ProviderConnectionError)],
    ids=["503", "hang-up"],
)
def test_the_last_failure_is_raised_when_the_attempts_are_used_up(provider, call, step, error):
    provider.script(step, step, step, step)

    with pytest.raises(error):
        call()

    assert (provider.calls, len(waits)) == (3, 2)


@both_ways
@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"retry-after": "7"}, 7.0), ({"retry-after-ms": "250"}, 0.25), ({"retry-after": "0"}, 0.0)],
)
def test_it_waits_as_long_as_the_provider_asks(provider, call, headers, wait):
    provider.script(Reply(429, headers=headers))

    call()

    assert waits == [wait]


@both_ways
def test_a_wait_longer_than_the_longest_is_not_waited(provider, call):
    provider.script(Reply(429, headers={"retry-after": "31"}))

    with pytest.raises(RateLimitError) as caught:
        call()

    assert (caught.value.retry_after, waits, provider.calls) == (31.0, [], 1)


def test_without_a_word_of_the_provider_the_wait_doubles_up_to_the_longest():
    retry = RetryMiddleware(ask)
    error = ServerError("no luck", provider="openai", status=500)

    longest = [max(retry.wait_after(error, attempt) for _ in range(400)) for attempt in (1, 2, 3, 20)]

    assert 0.4 < longest[0] <= 0.5 < longest[1] <= 1.0 < longest[2] <= 2.0 < longest[3] <= 30.0


@both_ways
def test_a_call_that_was_tried_three_times_is_one_look_up_and_one_event(provider, events, call):
    provider.script(Reply(429), Reply(500))

    answer = call()

    assert (answer.cache.status, events.names) == ("miss", ["miss", "put"])


def test_a_call_that_failed_for_good_stores_nothing(provider, events):
    provider.script(*[Reply(500)] * 3)
    with pytest.raises(ServerError):
        ask()

    assert not ask().from_cache
    assert events.names == ["miss", "miss", "put"]


def test_a_stream_that_does_not_begin_is_asked_for_again(provider):
    provider.script(Reply(503))

    with stream("openai", MESSAGES) as answer:
        text = "".join(event.text for event in answer)

    assert text
    assert (provider.calls, len(waits)) == (2, 1)


def test_an_async_stream_that_does_not_begin_is_asked_for_again(provider):
    provider.script(Reply(503))

    async def read():
        return "".join([event.text async for event in astream("openai", MESSAGES)])

    assert asyncio.run(read())
    assert (provider.calls, len(waits)) == (2, 1)


@pytest.mark.parametrize("step", [Reply(429), Reply(503)], ids=["429", "503"])
def test_what_comes_through_an_sdk_is_left_to_it(provider, step):
    provider.script(step)

    with cached_session() as session:
        answer = session.post(
            f"{provider.url}/v1/chat/completions", json={"model": "m", "messages": MESSAGES}, timeout=5
        )

    assert (answer.status_code, provider.calls, waits) == (step.status, 1, [])


def test_the_numbers_are_changed_in_a_subclass(configure, provider):
    configure(MIDDLEWARE=[f"{__name__}.Patient"])
    provider.script(*[Reply(500)] * 4)

    assert ask().status == 200
    assert provider.calls == 5


class Patient(Retry):
    attempts = 5
