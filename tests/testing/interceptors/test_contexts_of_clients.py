"""A client of httpx that is made in a replay has its TLS context when somebody looks at it; it is its own, as ever."""

from __future__ import annotations

import asyncio
import ssl

import certifi
import httpx
import httpx2
import pytest
import truststore

from tests.transports.loopback import Loopback, self_signed, whole


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


@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_none_is_made_for_one_that_never_connects(lab, library, kind, monkeypatch):
    read = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *args, **kwargs: read.append(args))
    with lab.replaying():
        getattr(library, kind)()

    assert read == []


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
