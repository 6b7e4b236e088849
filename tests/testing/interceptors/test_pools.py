"""A client of httpx that is made in a replay has its connections when somebody looks at them; its own, as ever."""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import certifi
import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import truststore

from tests.transports.loopback import Loopback, self_signed, whole

from .interpreter import run


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def library(request):
    return request.param


@pytest.fixture(autouse=True)
def _environment(monkeypatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return self_signed(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(certificate):
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    with Loopback(whole(b"ok"), tls=own) as server:
        yield f"https://{server.address}/"


def context_of(client) -> ssl.SSLContext:
    return client._transport._pool._ssl_context


def has_connections(client) -> bool:
    return "_pool" in vars(client._transport)


def use_and_close(library) -> list[bool]:
    """Return whether clients have connections: one that is closed, one in a block."""
    clients = [library.Client(), library.Client()]
    clients[0].close()
    with clients[1]:
        pass
    return [has_connections(client) for client in clients]


async def use_and_close_on_a_loop(library) -> list[bool]:
    clients = [library.AsyncClient(), library.AsyncClient()]
    await clients[0].aclose()
    async with clients[1]:
        pass
    return [has_connections(client) for client in clients]


def test_one_that_never_connects_has_none(lab, library):
    with lab.replaying():
        sync, asynchronous = use_and_close(library), asyncio.run(use_and_close_on_a_loop(library))

    assert sync == asynchronous == [False, False]


def test_nothing_is_imported_for_one_that_never_connects(library, tmp_path):
    script = f"""
        import pathlib, sys
        import {library.__name__} as library
        from django_llmcache.testing import interceptors
        from tests.testing.interceptors.conftest import Lab

        with interceptors.armed(), Lab(pathlib.Path({str(tmp_path)!r})).replaying(), library.Client():
            print([name for name in ("httpcore", "httpcore2") if name in sys.modules])
    """

    assert run(script) == "[]"


def test_they_are_what_the_client_said(lab, library):
    with lab.replaying():
        client = library.Client(limits=library.Limits(max_connections=3), http2=False)

    assert client._transport._pool._max_connections == 3
    assert type(client._transport) is library.HTTPTransport


def test_threads_that_look_at_once_see_the_same(lab, library):
    with lab.replaying():
        transport = library.Client()._transport
    with ThreadPoolExecutor(8) as threads:
        pools = list(threads.map(lambda _: transport._pool, range(8)))

    assert len(set(map(id, pools))) == 1


def test_what_a_transport_has_not_it_has_not(lab, library):
    with lab.replaying():
        transport = library.Client()._transport

    with pytest.raises(AttributeError, match="'HTTPTransport' object has no attribute 'made_up'"):
        transport.made_up  # noqa: B018 - it is asked for


def test_a_transport_that_is_told_nonsense_says_so_at_once(lab, library):
    with lab.replaying(), pytest.raises(ValueError, match="nonsense"):
        library.HTTPTransport(proxy="nonsense://127.0.0.1")


def test_a_class_of_its_own_has_them_at_once(lab, library):
    class Own(library.HTTPTransport):
        def __init__(self, **options) -> None:
            super().__init__(**options)
            self.pool = vars(self)["_pool"]

    with lab.replaying():
        transport = Own(limits=library.Limits())

    assert transport.pool is transport._pool


@pytest.mark.parametrize("way", ["in its place", "in the place of how it is made"])
def test_a_mock_of_the_pool_is_used(lab, library, way, monkeypatch):
    core = {httpx: httpcore, httpx2: httpcore2}[library]
    pool = Mock(return_value=None)
    if way == "in its place":
        monkeypatch.setattr(core, "ConnectionPool", pool)
    else:
        monkeypatch.setattr(core.ConnectionPool, "__init__", pool)
    with lab.replaying():
        library.Client()

    assert pool.call_args.kwargs["max_connections"] == 100


def test_it_looks_like_any(lab, library):
    with lab.replaying():
        context = context_of(library.Client())

    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats() == context_of(library.Client()).cert_store_stats()


def test_it_verifies(lab, library, server):
    with lab.replaying():
        client = library.Client()

    with client, pytest.raises(library.ConnectError, match=r"(?i)certificate_verify_failed"):
        client.get(server)


def test_what_it_is_told_to_trust_it_trusts(lab, library, server, certificate):
    with lab.replaying():
        client = library.Client()
    context_of(client).load_verify_locations(certificate)

    with client:
        assert client.get(server).text == "ok"


def test_it_connects_on_a_loop(lab, library, server, certificate):
    async def ask() -> str:
        with lab.replaying():
            client = library.AsyncClient()
        context_of(client).load_verify_locations(certificate)
        async with client:
            return (await client.get(server)).text

    assert asyncio.run(ask()) == "ok"


def test_what_one_is_told_is_no_others(lab, library, server):
    with lab.replaying():
        careless, careful = library.Client(), library.Client()
    context_of(careless).check_hostname = False
    context_of(careless).verify_mode = ssl.CERT_NONE

    with careless, careful, pytest.raises(library.ConnectError):
        assert careless.get(server).text == "ok"
        careful.get(server)


def test_what_a_client_says_of_it_holds(lab, library):
    own = ssl.create_default_context()
    with lab.replaying():
        given, unverified = library.Client(verify=own), library.Client(verify=False)

    assert context_of(given) is own
    assert context_of(unverified).verify_mode is ssl.CERT_NONE


def test_a_file_that_the_environment_names_is_trusted(lab, library, server, certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with lab.replaying():
        client = library.Client()
    monkeypatch.delenv("SSL_CERT_FILE")

    with client:
        assert client.get(server).text == "ok"


def test_certificates_that_a_test_puts_in_the_place_of_certifis_are_trusted(lab, server, certificate):
    with lab.replaying(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(certifi, "where", lambda: str(certificate))
        client = httpx.Client()

    with client:
        assert client.get(server).text == "ok"


def test_a_context_that_a_test_makes_another_way_is_that_clients_alone(lab, server):
    with lab.replaying():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ssl, "create_default_context", ssl._create_unverified_context)
            careless = httpx.Client()
        careful = httpx.Client()

    with careless, careful, pytest.raises(httpx.ConnectError):
        assert careless.get(server).text == "ok"
        careful.get(server)


def test_truststore_makes_it_where_it_was_injected(lab, library):
    truststore.inject_into_ssl()
    try:
        with lab.replaying():
            contexts = [context_of(library.Client()) for _ in range(2)]
    finally:
        truststore.extract_from_ssl()

    assert all(type(context) is truststore.SSLContext for context in contexts)


def test_a_mock_in_the_place_of_what_makes_a_transport_gets_what_its_caller_says(lab, library, monkeypatch):
    said = []
    monkeypatch.setattr(library.HTTPTransport, "__init__", lambda transport, **options: said.append(options))
    with lab.replaying():
        library.HTTPTransport(retries=2)

    assert said == [{"retries": 2}]
