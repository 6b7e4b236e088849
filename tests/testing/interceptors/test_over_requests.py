"""What is peculiar to ``requests``: adapters with retries, bodies that are streams, and mocks of the user's own."""

from __future__ import annotations

import gc
import io
import threading
import time
import weakref

import pytest
import requests
import responses
from requests.adapters import HTTPAdapter

from django_llmcache.recorder.faults import Fault
from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

from .uploads import Uploads, uploads

FINE = whole(b'{"id": "x-1"}')
EVENTS = tuple(b'data: {"n": %d}\n\n' % number for number in range(4))
STREAM = chunked_head("text/event-stream") + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n"


def answers(*steps):
    return pytest.mark.parametrize("server", [steps], indirect=True, ids=[""])


def post(session: requests.Session, server: Loopback | Uploads, **options) -> requests.Response:
    options = {"json": {"model": "m"}, "timeout": LONG, **options}
    return session.post(f"{server.url}/v1/chat/completions", **options)


@answers(FINE, FINE, STREAM, b"HTTP/1.1 204 No Content\r\n\r\n", FINE)
def test_recorded_calls_share_a_connection_as_others_do(lab, server):
    with lab.recording() as recorder, requests.Session() as session:
        for stream in (False, True, True, False, False):
            answer = post(session, server, stream=stream)
            assert answer.content or answer.status_code == 204

    assert recorder.counts["recorded"] == 5
    assert server.connections == 1


@pytest.mark.parametrize(
    ("name", "value", "replayed"),
    [
        ("x-ratelimit-remaining(tokens)", "5", "5"), ("x-ratelimit-limit/min", "5", "5"),
        ("x-request-id", "a\0b", "a b"),  # RFC 9110, section 5.5: NUL is dangerous, and may become a space
    ],
)  # fmt: skip
def test_a_header_that_no_server_should_send_keeps_nothing_from_being_recorded(lab, name, value, replayed):
    with Loopback(whole(b"{}", headers=[f"{name}: {value}"])) as server, requests.Session() as session:
        lab.knows(server.url)
        with lab.recording():
            post(session, server)
        with lab.replaying():
            assert post(session, server).headers[name] == replayed


@answers(STREAM)
def test_a_recorded_stream_that_is_closed_early_gives_up_its_connection(lab, server):
    with lab.recording(), requests.Session() as session:
        answer = post(session, server, stream=True)
        next(answer.iter_content(1))
        answer.close()

        assert server.gone.acquire(timeout=LONG)


@answers(STREAM, FINE)
def test_a_recorded_stream_that_is_closed_early_leaves_its_place_in_the_pool(lab, server):
    seen = []

    def ask(session):
        post(session, server, stream=True).close()
        seen.append(post(session, server).json())

    with lab.recording(), requests.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=1, pool_block=True))
        asking = threading.Thread(target=ask, args=(session,), daemon=True)
        asking.start()
        asking.join(LONG)

    assert seen == [{"id": "x-1"}]


@answers(STREAM)
def test_a_recorded_stream_that_is_dropped_gives_up_its_connection(lab, server):
    with lab.recording(), requests.Session() as session:
        next(post(session, server, stream=True).iter_content(1))
        gc.collect()

        assert server.gone.acquire(timeout=LONG)


@answers(STREAM)
@pytest.mark.parametrize(
    "read",
    [
        lambda answer: list(answer.iter_lines()),
        lambda answer: list(answer.iter_content(3)),
        lambda answer: answer.raw.read(),
        lambda answer: [answer.raw.read(7), answer.raw.read()],
        lambda answer: [answer.raw.read1(4096), answer.raw.read1(4096)],
        lambda answer: list(answer.raw),
        lambda answer: answer.text,
    ],
    ids=["lines", "content", "raw", "raw in two", "raw as it comes", "raw lines", "text"],
)
def test_however_a_stream_is_read_it_is_the_same_live_recorded_and_replayed(lab, server, read):
    with requests.Session() as session:
        live = read(post(session, server, stream=True))
        with lab.recording():
            recorded = read(post(session, server, stream=True))
        with lab.replaying():
            replayed = read(post(session, server, stream=True))

    assert live == recorded == replayed


def test_a_chunk_that_comes_bit_by_bit_is_read_bit_by_bit(lab):
    came = threading.Semaphore(0)

    def bit_by_bit(connection):
        connection.sendall(chunked_head("text/event-stream") + b"6\r\n")
        for letter in b"abcdef":
            connection.sendall(bytes([letter]))
            assert came.acquire(timeout=LONG)
        connection.sendall(b"\r\n0\r\n\r\n")

    pieces = []
    with Loopback(bit_by_bit) as server:
        lab.knows(server.url)
        with lab.recording() as recorder, requests.Session() as session:
            for piece in post(session, server, stream=True).iter_content(1):
                pieces.append(piece)
                came.release()

    assert recorder.counts["recorded"] == 1
    assert pieces == [b"a", b"b", b"c", b"d", b"e", b"f"]


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (lambda: {"data": io.BytesIO(b"a=1")}, b"a=1"),
        (lambda: {"data": io.StringIO("a=1")}, b"a=1"),
        (lambda: {"data": iter([b"a=", b"1"])}, b"a=1"),
        (lambda: {"data": "a=1"}, b"a=1"),
        (lambda: {"data": {"a": "1"}}, b"a=1"),
        (lambda: {"files": {"file": ("a.txt", b"a=1")}, "data": {"purpose": "batch"}}, b"\r\n\r\na=1\r\n"),
    ],
    ids=["file", "text file", "generator", "text", "form", "multipart"],
)
def test_a_body_of_any_kind_reaches_the_provider_and_finds_its_recording(lab, body, sent):
    with uploads() as server:
        lab.knows(server.url)
        with lab.recording(), requests.Session() as session:
            post(session, server, json=None, **body())
    with lab.replaying(), requests.Session() as session:
        replayed = post(session, server, json=None, **body())

    assert replayed.json() == {"id": "x-1"}
    assert len(server.bodies) == 1
    assert sent in server.bodies[0]


@answers(FINE)
def test_headers_that_are_a_plain_dictionary_find_their_recording(lab, server):
    def plain():
        request = requests.Request("POST", f"{server.url}/v1/chat/completions", json={"model": "m"}).prepare()
        request.headers = {"Content-Type": "application/json", "Content-Length": str(len(request.body))}
        return request

    with lab.recording(), requests.Session() as session:
        session.send(plain(), timeout=LONG)
    with lab.replaying(), requests.Session() as session:
        replayed = session.send(plain(), timeout=LONG)

    assert replayed.json() == {"id": "x-1"}


def test_a_stream_to_another_host_is_sent_as_a_stream(lab):
    with uploads() as server, lab.recording(), requests.Session() as session:
        post(session, server, json=None, data=server.slowly())

    assert (server.bodies, server.framings) == ([b"ab"], ["transfer-encoding"])


@answers(FINE)
def test_an_adapter_that_hands_on_its_arguments_by_position_is_seen_too(lab, server):
    class Positional(HTTPAdapter):
        def send(self, request, stream=False, timeout=None, verify=True, cert=None, proxies=None):
            return super().send(request, stream, timeout, verify, cert, proxies)

    with requests.Session() as session:
        session.mount("http://", Positional())
        with lab.recording():
            post(session, server)
        with lab.replaying(fault=Fault.parse("slow(ttft=3)")):
            replayed = post(session, server)
            with pytest.raises(requests.ReadTimeout):
                post(session, server, timeout=2)

    assert replayed.headers["x-llmcache"] == "replay"


@answers(whole(b"{}", headers=("set-cookie: a=1; path=/", "set-cookie: b=2; path=/")))
def test_a_session_gets_its_cookies_while_it_is_recorded(lab, server):
    with lab.recording(), requests.Session() as session:
        post(session, server)

        assert session.cookies.get_dict() == {"a": "1", "b": "2"}


@answers(FINE)
def test_no_list_of_calls_grows(lab, server):
    class Answer(requests.Response):
        """One that a weak reference can point to."""

    with lab.recording(), requests.Session() as session:
        seen = weakref.ref(post(session, server))
        gc.collect()

        assert seen() is None


@answers(FINE)
def test_a_mock_of_the_tests_own_has_its_way_and_the_recording_goes_on_after_it(lab, server):
    with requests.Session() as session:
        with lab.recording():
            post(session, server)
        with lab.replaying() as recorder:
            with responses.RequestsMock() as mock:
                mock.post(f"{server.url}/v1/chat/completions", json={"from": "the mock"})
                mocked = post(session, server)
            replayed = post(session, server)

    assert mocked.json() == {"from": "the mock"}
    assert replayed.json() == {"id": "x-1"}
    assert recorder.counts == {"replayed": 1}


@answers(FINE)
def test_what_a_mock_of_the_tests_own_lets_through_is_refused_in_a_replay(lab, server):
    with lab.replaying(), requests.Session() as session, responses.RequestsMock() as mock:
        mock.add_passthru(server.url)

        with pytest.raises(FixtureMiss, match="urllib3, called by requests, called by responses connects to"):
            post(session, server)
    assert server.connections == 0


@answers(FINE)
def test_what_a_mock_of_the_tests_own_lets_through_is_reported_while_recording(lab, server):
    with lab.recording() as recorder, requests.Session() as session, responses.RequestsMock() as mock:
        mock.add_passthru(server.url)
        post(session, server)

    assert len(recorder.leaks) == 1
    assert server.address in recorder.leaks[0]


@answers(STREAM)
def test_a_pause_that_a_test_asks_for_is_waited_for(lab, server):
    with requests.Session() as session:
        with lab.recording():
            post(session, server)
        with lab.replaying(fault=Fault.parse("slow(ttft=0.02, wait=true)")):
            began = time.perf_counter()
            replayed = post(session, server)

    assert time.perf_counter() - began >= 0.02
    assert replayed.content == b"".join(EVENTS)


class Noting(requests.Session):
    """A session that notes what it would send with, and sends it."""

    def __init__(self):
        super().__init__()
        self.proxies_seen = []
        self.logins_seen = []

    def send(self, request, **options):
        self.proxies_seen.append(dict(options["proxies"]))
        self.logins_seen.append(request.headers.get("authorization"))
        return super().send(request, **options)


class TestWhatOnlyAConnectionNeeds:
    """Requests looks for proxies and for a login before each call: through the whole environment, and on the disk."""

    @pytest.fixture
    def elsewhere(self):
        with Loopback(FINE) as server:
            yield server

    @pytest.fixture(autouse=True)
    def said(self, elsewhere, tmp_path, monkeypatch):
        """Say both where requests looks for them; the proxy is only for another host than any here."""
        netrc = tmp_path / "netrc"
        netrc.write_text("default login me password made-up\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("NO_PROXY", "nowhere.example")
        monkeypatch.setenv("FTP_PROXY", "http://127.0.0.1:9")

    @answers(FINE)
    def test_is_not_looked_for_where_nobody_connects(self, lab, server):
        with lab.recording(), Noting() as recorded:
            post(recorded, server)
        with lab.replaying(), Noting() as replayed:
            post(replayed, server)

        assert recorded.proxies_seen[0]["ftp"] == "http://127.0.0.1:9"
        assert recorded.logins_seen[0].startswith("Basic ")
        assert replayed.proxies_seen == [{}]
        assert replayed.logins_seen == [None]

    @answers(FINE)
    def test_is_looked_for_in_a_replay_where_another_host_is_asked(self, lab, server, elsewhere):
        with lab.replaying(), Noting() as session:
            post(session, elsewhere)

        assert session.proxies_seen[0]["ftp"] == "http://127.0.0.1:9"
        assert session.logins_seen[0].startswith("Basic ")
