"""A client that never connects reads no certificates; one that does verifies as ever."""

from __future__ import annotations

import socket
import ssl

import certifi
import pytest
import truststore

from django_llmcache.testing import interceptors

TRUSTED = certifi.where()


class Reads:
    """Counts how often certificates are read, by whatever is underneath."""

    def __init__(self, monkeypatch) -> None:
        self.count = 0
        for name in ("load_verify_locations", "set_default_verify_paths"):
            monkeypatch.setattr(ssl.SSLContext, name, self._counting(getattr(ssl.SSLContext, name)))

    def _counting(self, original):
        def counting(context, *args, **kwargs):
            self.count += 1
            return original(context, *args, **kwargs)

        return counting


@pytest.fixture
def reads(monkeypatch) -> Reads:
    """Return the count; asked for before ``lab``, whose recorder is armed above it."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Reads(monkeypatch)


def plain() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=TRUSTED)


def trusted(context: ssl.SSLContext) -> list[bytes]:
    return sorted(context.get_ca_certs(binary_form=True))


def test_a_file_is_read_once_for_contexts_that_never_connect(reads, lab, tmp_path):
    path = tmp_path / "trusted.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(trusted(plain())[0]))
    before = reads.count
    with lab.replaying():
        for _ in range(5):
            ssl.create_default_context(cafile=str(path))

    assert reads.count - before == 1


@pytest.mark.parametrize("make", [plain, ssl.create_default_context], ids=["a file", "the system's"])
def test_what_a_context_trusts_is_what_it_trusts_without_us(reads, lab, make):
    expected = trusted(make())
    with lab.replaying():
        make()
        context = make()
    before = reads.count

    assert trusted(context) == expected
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert type(context) is ssl.SSLContext
    assert reads.count == before


def by_socket(context: ssl.SSLContext) -> None:
    one, other = socket.socketpair()
    with other, context.wrap_socket(one, server_hostname="localhost", do_handshake_on_connect=False):
        pass


def by_bio(context: ssl.SSLContext) -> None:
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")


@pytest.mark.parametrize("connect", [by_socket, by_bio])
def test_before_a_context_connects_it_has_read_what_it_trusts(lab, connect):
    with lab.replaying():
        plain()
        context = plain()
        late = type(context) is not ssl.SSLContext
        connect(context)

    assert late
    assert type(context) is ssl.SSLContext
    assert context.cert_store_stats() == plain().cert_store_stats()


def test_a_context_outlives_the_recorder(lab):
    with lab.replaying():
        plain()
        context = plain()
    interceptors.disarm()
    try:
        by_bio(context)
    finally:
        interceptors.arm()

    assert context.cert_store_stats() == plain().cert_store_stats()


def test_what_one_owner_changes_is_nobody_elses(lab):
    with lab.replaying():
        plain()
        mine, yours = plain(), plain()
        mine.check_hostname = False
        mine.verify_mode = ssl.CERT_NONE

    assert (yours.check_hostname, yours.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_more_certificates_may_be_added_to_what_is_not_read_yet(lab, tmp_path):
    pem = ssl.DER_cert_to_PEM_cert(trusted(plain())[0])
    (tmp_path / "one.pem").write_text(pem)
    with lab.replaying():
        for _ in range(2):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(tmp_path / "one.pem")
            context.load_verify_locations(cadata=pem)
            context.load_verify_locations(TRUSTED)

    assert trusted(context) == trusted(plain())


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_is_not_there_or_is_none_is_told_of_at_once(lab, tmp_path, content):
    path = tmp_path / "trusted.pem"
    if content is not None:
        path.write_text(content)
    with lab.replaying():
        for _ in range(2):
            with pytest.raises(OSError):
                ssl.create_default_context(cafile=str(path))


def test_a_file_that_has_changed_is_read_at_once(reads, lab, tmp_path):
    path = tmp_path / "trusted.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(trusted(plain())[0]))
    with lab.replaying():
        ssl.create_default_context(cafile=str(path))
        path.write_text("no certificate any more")
        with pytest.raises(OSError):
            ssl.create_default_context(cafile=str(path))


class Own(ssl.SSLContext):
    pass


@pytest.mark.parametrize(
    ("kind", "protocol"), [(Own, ssl.PROTOCOL_TLS_CLIENT), (ssl.SSLContext, ssl.PROTOCOL_TLS_SERVER)]
)
def test_a_class_of_its_own_and_a_server_read_at_once(lab, kind, protocol):
    with lab.replaying():
        for _ in range(2):
            context = kind(protocol)
            context.load_verify_locations(TRUSTED)

    assert type(context) is kind
    assert context.cert_store_stats()["x509_ca"] > 0


def test_without_a_session_nothing_waits(lab):
    plain()

    assert type(plain()) is ssl.SSLContext


def test_a_file_that_is_gone_when_it_is_to_be_read_is_told_of_each_time(lab, tmp_path):
    path = tmp_path / "trusted.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(trusted(plain())[0]))
    with lab.replaying():
        for _ in range(2):
            context = ssl.create_default_context(cafile=str(path))
    path.unlink()

    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            by_bio(context)


def test_truststore_may_take_the_place_of_pythons_own(lab):
    truststore.inject_into_ssl()
    try:
        with lab.replaying():
            contexts = [plain() for _ in range(2)]
            by_bio(contexts[-1])
    finally:
        truststore.extract_from_ssl()

    assert all(type(context) is truststore.SSLContext for context in contexts)
