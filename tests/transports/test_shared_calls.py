"""Clients that ask the same at once: one call, and to each its own answer or its own error."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import httpx2
import pytest
import requests
from django.test import override_settings
from urllib3 import Timeout

from django_llmcache.transports import cached_async_client, cached_client, cached_session
from tests.pipeline.test_sharing import wanted

from .loopback import LONG, Loopback, whole

BODY = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}).encode()
GOOD = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}'
KEYS = ("sk-one", "sk-two")
FAILURES = {"requests": requests.ConnectionError, "httpx": httpx.TransportError, "httpx2": httpx2.TransportError}


@contextmanager
def client(library):
    with cached_session() if library == "requests" else cached_client(library=library) as made:
        yield made


def ask(library, url, key):
    """Return the error that a caller with this API key gets."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with client(library) as made, pytest.raises(FAILURES[library]) as caught:
        if library == "requests":
            made.post(url, data=BODY, headers=headers, timeout=LONG)
        else:
            made.post(url, content=BODY, headers=headers, timeout=LONG)
    return caught.value


@pytest.fixture(params=FAILURES)
def hung_up(request):
    """Return the error of each caller by its API key, and the requests: both ask at once, and the server hangs up."""
    with Loopback(lambda connection: wanted(2)) as server, ThreadPoolExecutor(2) as pool:
        url = f"{server.url}/v1/chat/completions"
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{server.url}/v1"}}}):
            errors = dict(zip(KEYS, pool.map(lambda key: ask(request.param, url, key), KEYS), strict=True))
    return errors, server.requests


def test_the_error_of_a_shared_call_has_the_request_of_its_own_caller(hung_up):
    errors, requests_sent = hung_up

    assert len(requests_sent) == 1
    one, two = errors.values()
    assert one is not two
    assert [error.request.headers["authorization"] for error in (one, two)] == ["Bearer sk-one", "Bearer sk-two"]


def everything_of(error):
    """Return the request, the answer and the variables of each frame that an error, or its cause, leads to."""
    found = []
    while error is not None:
        found += [getattr(error, "request", None), getattr(getattr(error, "response", None), "request", None)]
        trace = error.__traceback__
        while trace is not None:
            found += trace.tb_frame.f_locals.values() if "/tests/" not in trace.tb_frame.f_code.co_filename else ()
            trace = trace.tb_next
        error = error.__cause__
    return found


def test_a_waiters_error_leads_to_no_credential_of_the_leaders(hung_up):
    errors, requests_sent = hung_up
    leader = next(key for key in KEYS if f"Bearer {key}".encode() in requests_sent[0])

    (waiter,) = set(KEYS) - {leader}
    found = [each for each in everything_of(errors[waiter]) if isinstance(getattr(each, "headers", None), Mapping)]
    headers = [str(dict(each.headers)) for each in found]

    assert headers
    assert not any(leader in each for each in headers)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_answer_in_an_error_of_a_hook_has_the_request_of_its_own_caller(library):
    def refuse(connection):
        wanted(2)
        connection.sendall(whole(b'{"error": {"message": "busy"}}', status="503 Service Unavailable"))

    def asks(key):
        hooks = {"response": [lambda response: response.raise_for_status()]}
        with cached_client(library=library, event_hooks=hooks) as made, pytest.raises(Exception, match="503") as caught:
            made.post(url, content=BODY, headers={"authorization": f"Bearer {key}"}, timeout=LONG)
        return caught.value.response.request.headers["authorization"]

    with Loopback(refuse) as server, ThreadPoolExecutor(2) as pool:
        url = f"{server.url}/v1/chat/completions"
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{server.url}/v1"}}}):
            assert list(pool.map(asks, KEYS)) == [f"Bearer {key}" for key in KEYS]


def test_what_the_provider_said_in_an_error_is_whole_for_everybody_who_shares_it():
    said, askers = b'{"error": {"message": "%s"}}' % (b"busy " * 20_000), 8

    def refuse(connection):
        wanted(askers)
        connection.sendall(whole(said, status="429 Too Many Requests"))

    with Loopback(refuse) as server, ThreadPoolExecutor(askers) as pool, cached_session() as session:
        session.hooks["response"] = [lambda response, *args, **options: response.raise_for_status()]

        def asks(number):
            with pytest.raises(requests.HTTPError) as caught:
                session.post(f"{server.url}/v1/chat/completions", data=BODY, timeout=LONG)
            return caught.value.response.content

        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{server.url}/v1"}}}):
            assert list(pool.map(asks, range(askers))) == [said] * askers
        assert len(server.requests) == 1


class BudgetError(Exception):
    """What a hook of one client alone raises."""


@pytest.mark.parametrize("library", FAILURES)
def test_what_the_leaders_own_hook_raises_is_told_to_nobody_else(library):
    def over_budget(response, *args, **options):
        response.close()  # requests would leave it open
        raise BudgetError

    def answer(connection):
        wanted(2)
        connection.sendall(whole(GOOD))

    def asks(hooks):
        with client(library) as made:
            if library == "requests":
                made.hooks["response"] = hooks
                return made.post(url, data=BODY, timeout=LONG).status_code
            made.event_hooks = {"response": hooks}
            return made.post(url, content=BODY, timeout=LONG).status_code

    with Loopback(answer, whole(GOOD)) as server, ThreadPoolExecutor(2) as pool:
        url = f"{server.url}/v1/chat/completions"
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{server.url}/v1"}}}):
            leader = pool.submit(asks, [over_budget])
            wanted(1)
            waiter = pool.submit(asks, [])

            assert waiter.result(LONG) == 200
            assert isinstance(leader.exception(LONG), BudgetError)
        assert len(server.requests) == 2


def calls(*asks):
    """Return how many calls are made where so many ask at once."""

    go = threading.Event()

    def answer(connection):
        assert go.wait(LONG)
        connection.sendall(whole(GOOD))

    with Loopback(answer) as server, ThreadPoolExecutor(len(asks)) as pool:
        url = f"{server.url}/v1/chat/completions"
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{server.url}/v1"}}}):
            asked = [pool.submit(ask, url) for ask in asks]
            wanted(len(asks))
            go.set()
            assert [each.result(LONG).status_code for each in asked] == [200] * len(asks)
        return len(server.requests)


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_request_that_says_no_time_out_has_the_clients(library):
    def says_none(url):
        return client.send(library.Request("POST", url, content=BODY))

    with cached_client(library=library.__name__, timeout=LONG) as client:
        assert calls(lambda url: client.post(url, content=BODY), says_none) == 1
        assert calls(lambda url: client.post(url, content=BODY, timeout=None), says_none) == 2


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_request_that_says_no_time_out_has_the_async_clients(library):
    async def says_none(url):
        async with cached_async_client(library=library.__name__, timeout=LONG) as client:
            return await client.send(library.Request("POST", url, content=BODY))

    with cached_client(library=library.__name__, timeout=LONG) as client:
        assert calls(lambda url: client.post(url, content=BODY), lambda url: asyncio.run(says_none(url))) == 1


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        ((1, LONG), LONG),
        (Timeout(LONG), LONG),
        (Timeout(read=LONG), LONG),
        (Timeout(read=LONG, total=2 * LONG), LONG),
        (Timeout(read=2 * LONG, total=LONG), LONG),
        (Timeout(connect=LONG), None),
    ],
    ids=str,
)
def test_a_time_out_of_requests_is_read_in_every_form(timeout, seconds):
    with cached_session() as session:
        asked = [lambda url, said=said: session.post(url, data=BODY, timeout=said) for said in (seconds, timeout)]

        assert calls(*asked) == 1


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_refused_credential_is_refused_to_its_own_caller_alone(status):
    def refuse(connection):
        wanted(2)
        connection.sendall(whole(b'{"error": {"message": "no"}}', status=status))

    def asks(key):
        with cached_client() as made:
            return made.post(url, content=BODY, headers={"authorization": f"Bearer {key}"}, timeout=LONG).status_code

    with Loopback(refuse, whole(GOOD)) as server, ThreadPoolExecutor(2) as pool:
        url = f"{server.url}/v1/chat/completions"
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{server.url}/v1"}}}):
            statuses = sorted(pool.map(asks, KEYS))

        assert statuses == [200, int(status[:3])]
        assert len(server.requests) == 2
