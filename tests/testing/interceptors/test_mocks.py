"""A mock that is there before the recorder is armed, such as one around a block: its answer, and nobody else's."""

from __future__ import annotations

import asyncio
import functools
from contextlib import ExitStack
from types import FunctionType, SimpleNamespace
from unittest import mock

import aiohttp
import httpx
import httpx2
import pytest
import requests
import responses
import wrapt
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session
from requests.adapters import HTTPAdapter

from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.testing import interceptors
from tests.transports.loopback import LONG, Loopback, whole

from .clients import CLIENTS, Wish
from .conftest import Lab

FINE = b'{"id": "x-1"}'

PLACES = {
    "requests": (HTTPAdapter, "send"),
    "httpx2": (httpx2.HTTPTransport, "handle_request"),
    "httpx2 async": (httpx2.AsyncHTTPTransport, "handle_async_request"),
    "httpx": (httpx.HTTPTransport, "handle_request"),
    "httpx async": (httpx.AsyncHTTPTransport, "handle_async_request"),
    "aiohttp": (aiohttp.BaseConnector, "connect"),
    "botocore": (URLLib3Session, "send"),
}


class ReachedError(Exception):
    """What the mocks here answer with."""


def over_botocore(wish):
    request = AWSRequest(method=wish.method, url=wish.url, data=wish.body, headers=dict(wish.headers)).prepare()
    URLLib3Session().send(request)


ASKING = {**CLIENTS, "botocore": over_botocore}


@pytest.fixture
def lab(tmp_path):
    """Return a recorder that is not armed yet."""
    return Lab(tmp_path / "fixtures")


@pytest.fixture
def url(lab):
    with Loopback(*[whole(FINE)] * 3) as server:
        lab.knows(server.url)
        yield f"{server.url}/v1/chat/completions"


@pytest.fixture(params=PLACES)
def client(request):
    """Return what asks over each library in turn, and what it sends with."""
    owner, name = PLACES[request.param]
    return SimpleNamespace(ask=ASKING[request.param], owner=owner, name=name)


class Server:
    """Answers in the place of a library, as a bound method."""

    def answer(self, *args, **kwargs):
        raise ReachedError


def of_an_object(real):
    return Server().answer


def of_unittest(real):
    return mock.Mock(side_effect=ReachedError)


def of_unittest_with_its_signature(real):
    return mock.create_autospec(real, side_effect=ReachedError)


def of_a_mocking_library(real):
    """Return a function as ``pytest_httpx`` writes it: it holds the real one."""

    def mocked(*args, **kwargs):
        if args:
            raise ReachedError
        return real(*args, **kwargs)

    namespace = {**mocked.__globals__, "__name__": "pytest_httpx"}
    return FunctionType(mocked.__code__, namespace, "mocked", closure=mocked.__closure__)


mocks = pytest.mark.parametrize(
    "make",
    [
        of_an_object, of_unittest, of_unittest_with_its_signature, of_a_mocking_library,
    ],
    ids=lambda make: make.__name__.replace("_", " "),
)  # fmt: skip


@mocks
@pytest.mark.parametrize("mode", ["recording", "replaying"])
def test_it_is_asked(lab, url, client, make, mode, monkeypatch):
    monkeypatch.setattr(client.owner, client.name, make(getattr(client.owner, client.name)))
    with interceptors.armed(), getattr(lab, mode)() as session, pytest.raises(ReachedError):
        client.ask(Wish(url))

    assert (session.misses, session.leaks) == ([], [])


def around_requests(url):
    mocking = responses.RequestsMock()
    mocking.post(url, body=b"the mock")
    return mocking


def around_httpx(library):
    answer = library.Response(200, content=b"the mock")
    return mock.patch.object(library.HTTPTransport, "handle_request", return_value=answer)


around = pytest.mark.parametrize(
    ("library", "mocking"),
    [
        (requests, around_requests),
        (httpx, lambda url: around_httpx(httpx)),
        (httpx2, lambda url: around_httpx(httpx2)),
    ],
    ids=["requests", "httpx", "httpx2"],
)


@around
def test_nothing_of_it_is_recorded(lab, url, library, mocking):
    with mocking(url), interceptors.armed(), lab.recording() as session:
        answer = library.post(url, json={}, timeout=LONG)

    assert answer.content == b"the mock"
    assert session.counts["recorded"] == 0
    assert session.leaks == []


@around
def test_it_comes_before_what_is_recorded(lab, url, library, mocking):
    with interceptors.armed(), lab.recording():
        library.post(url, json={}, timeout=LONG)
    with mocking(url), interceptors.armed(), lab.replaying() as session:
        answer = library.post(url, json={}, timeout=LONG)

    assert answer.content == b"the mock"
    assert session.counts == {}


def test_what_it_passes_on_is_refused_in_a_replay(lab, url):
    with responses.RequestsMock() as mocking, interceptors.armed(), lab.replaying():
        mocking.add_passthru(url)

        with pytest.raises(FixtureMiss, match="urllib3, called by requests, called by responses connects to"):
            requests.post(url, json={}, timeout=LONG)


def test_what_it_passes_on_is_reported_while_recording(lab, url):
    with responses.RequestsMock() as mocking, interceptors.armed(), lab.recording() as session:
        mocking.add_passthru(url)
        requests.post(url, json={}, timeout=LONG)

    assert session.counts["recorded"] == 0
    assert len(session.leaks) == 1


def test_one_that_ends_inside_is_gone_and_the_next_test_is_recorded(lab, url, client, monkeypatch):
    before = vars(client.owner)[client.name]
    with monkeypatch.context() as patch, ExitStack() as arming:
        patch.setattr(client.owner, client.name, mock.Mock(side_effect=ReachedError))
        arming.enter_context(interceptors.armed())
        patch.undo()
    after = vars(client.owner)[client.name]
    with interceptors.armed():
        armed = vars(client.owner)[client.name]

    assert after is before
    assert armed is not before
    assert vars(client.owner)[client.name] is before


def test_a_wrapper_that_ends_inside_leaves_the_next_test_recorded(client, monkeypatch):
    before = vars(client.owner)[client.name]
    with monkeypatch.context() as patch, ExitStack() as arming:
        patch.setattr(client.owner, client.name, in_a_closure(before))
        arming.enter_context(interceptors.armed())
        patch.undo()
    with interceptors.armed():
        armed = vars(client.owner)[client.name]

    assert armed is not before
    assert vars(client.owner)[client.name] is before


real_send = HTTPAdapter.send
originals = {"send": HTTPAdapter.send}


class Instrument:
    """Keeps the original to itself."""

    def __init__(self, real):
        self.real = real

    def send(self, *args, **kwargs):
        return self.real(*args, **kwargs)


def in_a_closure(real):
    def send(*args, **kwargs):
        return real(*args, **kwargs)

    return send


def in_another_one(real):
    return in_a_closure(in_a_closure(real))


def as_a_default(real):
    return lambda *args, real=real, **kwargs: real(*args, **kwargs)


def as_a_global(real):
    def send(*args, **kwargs):
        return real_send(*args, **kwargs)

    return send


def in_a_dictionary(real):
    def send(*args, **kwargs):
        return originals["send"](*args, **kwargs)

    return send


def in_an_object(real):
    instrument = Instrument(real)

    def send(*args, **kwargs):
        return instrument.real(*args, **kwargs)

    return send


def by_a_method(real):
    return in_a_closure(Instrument(real).send)


def in_a_partial(real):
    sending = functools.partial(in_a_closure(real))

    def send(*args, **kwargs):
        return sending(*args, **kwargs)

    return send


def in_a_nested_dictionary(real):
    kept = {"requests": {"send": real}}

    def send(*args, **kwargs):
        return kept["requests"]["send"](*args, **kwargs)

    return send


def beside_what_wraps_a_class(real):
    @functools.wraps(Instrument)
    def made(*args):
        return Instrument(*args)

    return lambda *args, **kwargs: made(real).send(*args, **kwargs)


def by_wrapt(real):
    return wrapt.FunctionWrapper(real, lambda wrapped, instance, args, kwargs: wrapped(*args, **kwargs))


@pytest.mark.parametrize(
    "wrap",
    [
        by_wrapt,
        in_a_closure,
        in_another_one,
        as_a_default,
        as_a_global,
        in_a_dictionary,
        in_an_object,
        by_a_method,
        in_a_partial,
        in_a_nested_dictionary,
        beside_what_wraps_a_class,
    ],
    ids=lambda wrap: wrap.__name__.replace("_", " "),
)
def test_what_holds_the_real_function_is_no_mock_and_is_recorded_as_ever(lab, url, wrap, monkeypatch):
    monkeypatch.setattr(HTTPAdapter, "send", wrap(HTTPAdapter.send))
    with interceptors.armed(), lab.recording() as session:
        requests.post(url, json={}, timeout=LONG)

    assert session.counts["recorded"] == 1


def test_a_stand_in_for_a_pool_may_have_the_signature_of_what_it_stands_for(lab, url):
    answer = SimpleNamespace(status=200, headers=[], stream=httpx.ByteStream(b"the mock"), extensions={})
    with (
        mock.patch("httpcore.ConnectionPool.handle_request", autospec=True, return_value=answer),
        mock.patch("httpx._transports.default.ResponseStream", lambda stream: stream),
        interceptors.armed(),
        lab.recording() as session,
    ):
        httpx.post(url, json={})

    assert session.counts["recorded"] == 0


def test_a_wrapper_on_a_loop_is_no_mock(lab, url, monkeypatch):
    real = httpx.AsyncHTTPTransport.handle_async_request

    async def wrapper(transport, request):
        return await real(transport, request)

    async def ask():
        async with httpx.AsyncClient(verify=False) as client:
            await client.post(url, json={})

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", wrapper)
    with interceptors.armed(), lab.recording() as session:
        asyncio.run(ask())

    assert session.counts["recorded"] == 1
