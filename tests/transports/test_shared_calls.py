"""Clients that ask the same at once: one call, and to each its own answer or its own error."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import httpx2
import pytest
import requests
from django.test import override_settings
from requests.adapters import HTTPAdapter
from urllib3 import Timeout

from django_llmcache import chat
from django_llmcache.backends.memory import MemoryBackend
from django_llmcache.exceptions import AuthenticationError, ServerError
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

    def asks(trace):
        hooks = {"response": [raises]}
        with cached_client(library=library, event_hooks=hooks) as made, pytest.raises(Exception, match="503") as caught:
            made.post(url, content=BODY, headers={"authorization": "Bearer sk-one", "x-trace": trace}, timeout=LONG)
        return caught.value.response.request.headers["x-trace"]

    with Loopback(refuse) as server, ThreadPoolExecutor(2) as pool:
        url = f"{server.url}/v1/chat/completions"
        with override_settings(LLMCACHE={"PROVIDERS": {"openai": {"BASE_URL": f"{server.url}/v1"}}}):
            assert list(pool.map(asks, ["one", "two"])) == ["one", "two"]
        assert len(server.requests) == 1


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


def raises(response, *args, **options):
    """Raise for a status that is none of success, as hooks do."""
    response.raise_for_status()


CLOSE = "connection: close"
"""As the server does: who shares a pool of connections with another must not try that one again."""
LAST = whole(GOOD, headers=("content-type: application/json", CLOSE))


class Turns:
    """One caller who leads, and others who wait for its call; each is a function.

    Args:
        ended: the HTTP status with which the leader's call ends, as soon as all wait; ``None`` where it never comes.
        others: how many wait.
        headers: of the answer that ends it.
        then: what further calls are answered.
        settings: of ``LLMCACHE``, besides.
    """

    def __init__(
        self, ended: str | None, others: int = 1, headers: tuple[str, ...] = (), then: bytes = LAST, **settings
    ) -> None:
        self.settings = settings
        self.others = others
        self.server = Loopback(self._end, then) if ended else Loopback(then)
        self.answer = whole(b'{"error": {"message": "no"}}', status=ended or "", headers=(CLOSE, *headers))

    def _end(self, connection):
        wanted(1 + self.others)
        connection.sendall(self.answer)

    def of(self, leader, waiter):
        """Return what the leader and each who waits get, errors too; each is called with the address."""
        with self.server as server, ThreadPoolExecutor(1 + self.others) as pool:
            words = {"BASE_URL": f"{server.url}/v1"}
            with override_settings(LLMCACHE={"PROVIDERS": {"openai": words, "gemini": words}, **self.settings}):
                asked = [pool.submit(leader, f"{server.url}/v1")]
                wanted(1)
                asked += [pool.submit(waiter, f"{server.url}/v1") for _ in range(self.others)]
                return [each.exception(LONG) or each.result() for each in asked]

    @property
    def calls(self):
        return len(self.server.requests)


def asking(key, library="httpx2", hook=None, **options):
    """Return what asks with this API key, and returns the status."""

    def ask(base_url):
        url, headers = f"{base_url}/chat/completions", {"authorization": f"Bearer {key}"}
        if library == "requests":
            with cached_session() as made:
                made.hooks["response"] += [hook] if hook else []
                return made.post(url, data=BODY, headers=headers, timeout=LONG).status_code
        with cached_client(library=library, event_hooks={"response": [hook] if hook else []}, **options) as made:
            return made.post(url, content=BODY, headers=headers, timeout=LONG).status_code

    return ask


def asking_on_a_loop(key, hook=None):
    async def ask(base_url):
        url, headers = f"{base_url}/chat/completions", {"authorization": f"Bearer {key}"}
        async with cached_async_client(event_hooks={"response": [hook] if hook else []}) as made:
            return (await made.post(url, content=BODY, headers=headers, timeout=LONG)).status_code

    return lambda base_url: asyncio.run(ask(base_url))


REFUSED = ["400 Bad Request", "401 Unauthorized", "402 Payment Required", "403 Forbidden", "404 Not Found",
           "429 Too Many Requests"]  # fmt: skip
by_refusal = pytest.mark.parametrize("status", REFUSED)


@by_refusal
def test_what_is_refused_to_one_account_is_refused_to_no_other(status):
    turns = Turns(status)

    assert turns.of(asking("sk-one"), asking("sk-two")) == [int(status[:3]), 200]
    assert turns.calls == 2


@by_refusal
def test_and_to_all_who_ask_with_its_credential_by_one_call(status):
    turns = Turns(status, others=4)

    assert turns.of(asking("sk-one"), asking("sk-one")) == [int(status[:3])] * 5
    assert turns.calls == 1


def test_those_with_another_credential_share_the_next_call():
    turns = Turns("401 Unauthorized", others=4)

    assert turns.of(asking("sk-one"), asking("sk-two")) == [401, 200, 200, 200, 200]
    assert turns.calls == 2


def test_one_key_of_two_organizations_is_two_accounts():
    one, other = (asking("sk-one", headers={"openai-organization": name}) for name in ("org-a", "org-b"))

    assert Turns("429 Too Many Requests").of(one, other) == [429, 200]


class BrokenBackend(MemoryBackend):
    """A store that takes nothing."""

    def put(self, entry, mark):
        raise OSError("full")


def test_an_answer_is_for_all_accounts_where_the_store_fails():
    turns = Turns("200 OK", others=4, BACKEND=f"{__name__}.BrokenBackend")
    turns.answer = whole(GOOD)

    assert turns.of(asking("sk-one"), asking("sk-two")) == [200] * 5
    assert turns.calls == 1


def test_an_error_inside_a_success_may_be_that_of_one_account():
    turns = Turns("200 OK")

    assert turns.of(asking("sk-one"), asking("sk-two")) == [200, 200]
    assert turns.calls == 2


def test_a_provider_that_fails_is_asked_once_by_all_accounts():
    turns = Turns("503 Service Unavailable", others=4)

    assert turns.of(asking("sk-one"), asking("sk-two")) == [503] * 5
    assert turns.calls == 1


@pytest.mark.parametrize("library", FAILURES)
def test_what_the_leaders_hook_makes_of_a_refusal_is_told_to_no_other_account(library):
    turns = Turns("401 Unauthorized")

    error, status = turns.of(asking("sk-one", library, raises), asking("sk-two", library))

    assert error.response.status_code == 401
    assert status == 200


def test_nor_on_an_event_loop():
    error, status = Turns("401 Unauthorized").of(asking_on_a_loop("sk-one", raises), asking_on_a_loop("sk-two"))

    assert error.response.status_code == 401
    assert status == 200


def test_who_has_no_such_hook_gets_the_answer_and_no_error():
    error, status = Turns("404 Not Found").of(asking("sk-one", hook=raises), asking("sk-one"))

    assert error.response.status_code == 404
    assert status == 200


def test_a_certificate_of_a_session_is_a_credential_however_it_sends(tmp_path):
    def asks(name):
        certificate = tmp_path / name
        certificate.touch()

        def ask(base_url):
            with cached_session() as made:
                made.cert = str(certificate)
                request = requests.Request("POST", f"{base_url}/chat/completions", data=BODY)
                return made.send(made.prepare_request(request), timeout=LONG).status_code

        return ask

    assert Turns("401 Unauthorized").of(asks("one.pem"), asks("two.pem")) == [401, 200]


def as_it_is(request):
    """Return a request, as authentication does and a hook may."""
    return request


@pytest.mark.parametrize(
    "options", [{"auth": as_it_is}, {"event_hooks": {"request": [as_it_is]}}], ids=["authentication", "a hook"]
)
def test_where_a_client_may_give_each_request_a_credential_of_its_own_a_refusal_is_its_callers_alone(options):
    with cached_client(**options) as made:

        def asks(base_url):
            return made.post(f"{base_url}/chat/completions", content=BODY).status_code

        assert Turns("401 Unauthorized").of(asks, asks) == [401, 200]


def test_a_header_that_can_not_be_sent_fails_its_own_caller_alone():
    error, status = Turns(None).of(unsendable, asking("sk-two"))

    assert isinstance(error, httpx2.LocalProtocolError)
    assert status == 200


def unsendable(base_url):
    def wait(request):
        wanted(2)

    headers = {"authorization": "Bearer sk-one\n"}
    with cached_client(event_hooks={"request": [wait]}) as made:
        return made.post(f"{base_url}/chat/completions", content=BODY, headers=headers, timeout=LONG)


def test_a_redirect_that_one_client_does_not_follow_is_followed_by_another():
    turns = Turns("307 Temporary Redirect", headers=("location: /v1/moved",))

    assert turns.of(asking("sk-one", follow_redirects=False), asking("sk-one")) == [307, 200]


def asking_by_address(key, library, prepare):
    """Return what asks Gemini with an API key in the address; ``prepare`` is given the client."""

    def ask(base_url):
        url = f"{base_url}/models/gemini-2.0-flash:generateContent?key={key}"
        with client(library) as made:
            prepare(made)
            return made.post(url, json={"contents": []}, timeout=LONG).status_code

    return ask


def that_raises(made):
    if isinstance(made, requests.Session):
        made.hooks["response"].append(raises)
    else:
        made.event_hooks = {"response": [raises]}


class Patient(HTTPAdapter):
    """Sends when two wait."""

    def send(self, *args, **options):
        wanted(2)
        return super().send(*args, **options)


def that_waits(made):
    made.mount("http://", Patient())


@pytest.mark.parametrize("library", FAILURES)
def test_what_a_hook_makes_of_an_answer_names_the_key_in_the_address_of_its_own_caller(library):
    one, other = (asking_by_address(key, library, that_raises) for key in ("key-of-the-leader", "key-of-the-waiter"))
    turns = Turns("500 Internal Server Error", then=whole(b"{}", status="500 Internal Server Error"))

    leader, waiter = turns.of(one, other)

    assert "key-of-the-leader" in str(leader)
    assert "key-of-the-waiter" in str(waiter)


def test_the_error_of_a_connection_has_no_key_of_the_leaders_address_in_it():
    with socket.socket() as closed, ThreadPoolExecutor(2) as pool:
        closed.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with override_settings(LLMCACHE={"PROVIDERS": {"gemini": {"BASE_URL": base_url}}}):
            leader = pool.submit(asking_by_address("key-of-the-leader", "requests", that_waits), base_url)
            wanted(1)
            waiter = pool.submit(asking_by_address("key-of-the-waiter", "requests", that_waits), base_url)
            told = [leader.exception(LONG), waiter.exception(LONG)]

    assert [type(error) for error in told] == [requests.ConnectionError] * 2
    assert "key-of-the-leader" in str(told[0])
    assert told[1].args == (str(told[1]),)
    assert "key-of-the-leader" not in str(told[1])
    assert "key-of-the-waiter" in told[1].request.url
    assert (told[1].__cause__, told[1].__context__) == (None, None)


def test_a_key_that_is_refused_to_one_who_chats_is_not_refused_to_another():
    def chats(key):
        return lambda base_url: chat("openai", [{"role": "user", "content": "Hi"}], model="m", api_key=key).status

    error, status = Turns("401 Unauthorized").of(chats("sk-one-made-up"), chats("sk-two-made-up"))

    assert isinstance(error, AuthenticationError)
    assert status == 200


def test_who_chats_is_told_of_a_failure_as_of_any_though_an_sdk_asked_first():
    def asks(base_url):
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        with cached_client() as made:
            return made.post(f"{base_url}/chat/completions", json=body, timeout=60).status_code

    def chats(base_url):
        return chat("openai", [{"role": "user", "content": "Hi"}], model="m", api_key="made-up").status

    turns = Turns("503 Service Unavailable", then=whole(b"{}", status="503 Service Unavailable"))

    status, error = turns.of(asks, chats)

    assert status == 503
    assert isinstance(error, ServerError)
