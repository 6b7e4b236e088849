"""What every client sees: the same live, while it is recorded, and replayed with the server gone."""

from __future__ import annotations

import gzip
import importlib.util
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

from .clients import CLIENTS, Seen, Wish

JSON = b'{"id": "x-1", "choices": [{"message": {"content": "Paris \\u2014 p\xc3\xa2t\xc3\xa9"}}]}'
EVENTS = tuple(b'data: {"n": %d}\n\n' % number for number in range(14))
STREAM = chunked_head("text/event-stream") + b"".join(map(chunk, EVENTS)) + b"0\r\n\r\n"
FRAMING = {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding", "x-llmcache"}

PACKED = {name: importlib.import_module(module).compress for name, module in
          (("br", "brotli"), ("zstd", "zstandard")) if importlib.util.find_spec(module)}  # fmt: skip
"""What the SDKs accept as well, where something is installed that reads it."""

ANSWERS = {
    "json": whole(JSON),
    "json in chunks": chunked_head("application/json") + chunk(JSON[:20]) + chunk(JSON[20:]) + b"0\r\n\r\n",
    "json until the end": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n" + JSON,
    "server-sent events": STREAM,
    "gzip": whole(gzip.compress(JSON), headers=("content-type: application/json", "content-encoding: gzip")),
    **{
        name: whole(PACKED[name](JSON), headers=("content-type: application/json", f"content-encoding: {name}"))
        for name in PACKED
    },
    "binary": whole(bytes(range(256)) * 40, headers=("content-type: audio/mpeg",)),
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an empty body": whole(b"", headers=("content-type: text/plain",)),
    "an error": whole(
        b'{"error": {"message": "slow down"}}', status="429 Too Many Requests",
        headers=("content-type: application/json", "retry-after: 0"),
    ),
    "headers of one name": whole(JSON, headers=("content-type: text/plain", "x-request-id: a", "x-request-id: b")),
    "words of its own": whole(b"{}", status="200 Very Well"),
}  # fmt: skip


def close(connection) -> None:
    """End a connection where a server's own function is asked for."""


@contextmanager
def serving(lab, *answers):
    server = Loopback(*answers)
    lab.knows(server.url)
    with server:
        yield server


def ended_after(data: bytes):
    """Return what sends some bytes and then drops the connection."""
    return lambda connection: connection.sendall(data)


def untouched(seen: Seen) -> Seen:
    """Return it without what speaks of the bytes on the wire."""
    return seen._replace(headers=tuple(sorted(pair for pair in seen.headers if pair[0] not in FRAMING)))


@pytest.mark.parametrize("answer", [pytest.param(ended_after(wire), id=name) for name, wire in ANSWERS.items()])
@pytest.mark.parametrize("streamed", [True, False], ids=["in pieces", "at once"])
def test_an_answer_is_the_same_live_recorded_and_replayed(lab, ask, answer, streamed):
    with serving(lab, answer) as server:
        wish = Wish(f"{server.url}/v1/chat/completions", streamed=streamed)
        live = ask(wish)
        with lab.recording():
            recorded = ask(wish)

    with lab.replaying():
        replayed = ask(wish)

    assert recorded == live
    assert untouched(replayed)._replace(pieces=()) == untouched(live)._replace(pieces=())
    assert replayed.body == live.body
    assert replayed.header("x-llmcache") == ["replay"]


def test_a_stream_comes_in_the_chunks_in_which_it_was_recorded(lab, ask):
    with serving(lab, STREAM) as server, lab.recording():
        wish = Wish(f"{server.url}/v1/chat/completions")
        recorded = ask(wish)

    with lab.replaying():
        replayed = ask(wish)

    assert replayed.pieces == recorded.pieces
    assert recorded.body == b"".join(EVENTS)


def test_each_chunk_reaches_its_reader_before_the_next_one_is_sent(lab, ask):
    came = threading.Semaphore(0)

    def one_at_a_time(connection):
        connection.sendall(chunked_head("text/event-stream"))
        for event in EVENTS:
            connection.sendall(chunk(event))
            assert came.acquire(timeout=LONG)
        connection.sendall(b"0\r\n\r\n")

    with serving(lab, one_at_a_time) as server, lab.recording():
        wish = Wish(f"{server.url}/v1/chat/completions", told=lambda piece: came.release())
        recorded = ask(wish)
    with lab.replaying():
        replayed = ask(wish)

    assert recorded.pieces == EVENTS
    assert replayed.pieces == EVENTS


@pytest.mark.parametrize("ask", [ask for name, ask in CLIENTS.items() if name != "requests"])
def test_a_stream_without_chunks_reaches_its_reader_as_it_comes_too(lab, ask):
    came = threading.Semaphore(0)

    def one_at_a_time(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for event in EVENTS:
            connection.sendall(event)
            assert came.acquire(timeout=LONG)

    with serving(lab, one_at_a_time) as server, lab.recording():
        recorded = ask(Wish(f"{server.url}/v1/chat/completions", told=lambda piece: came.release()))

    assert recorded.pieces == EVENTS


@pytest.mark.parametrize("streamed", [True, False], ids=["in pieces", "at once"])
def test_a_stream_that_broke_breaks_again_in_the_same_place(lab, ask, streamed):
    with serving(lab, ended_after(chunked_head("text/event-stream") + b"".join(map(chunk, EVENTS[:3])))) as server:
        wish = Wish(f"{server.url}/v1/chat/completions", streamed=streamed)
        live = ask(wish)
        with lab.recording():
            recorded = ask(wish)

    with lab.replaying():
        replayed = ask(wish)

    assert recorded == live
    assert (replayed.status, replayed.body, replayed.error) == (live.status, live.body, "dropped")


def test_an_answer_shorter_than_it_said_breaks_again(lab, ask):
    with serving(lab, ended_after(whole(JSON)[:-7])) as server:
        wish = Wish(f"{server.url}/v1/chat/completions", streamed=False)
        with lab.recording():
            recorded = ask(wish)

    with lab.replaying():
        replayed = ask(wish)

    assert recorded.error == replayed.error == "dropped"


def test_a_stream_closed_early_replays_as_far_as_it_was_read(lab, ask):
    with serving(lab, ended_after(chunked_head("text/event-stream") + chunk(EVENTS[0]))) as server, lab.recording():
        wish = Wish(f"{server.url}/v1/chat/completions", upto=1)
        recorded = ask(wish)

    with lab.replaying():
        replayed = ask(wish)

    assert replayed.pieces == recorded.pieces == EVENTS[:1]


def test_reading_on_where_the_recording_test_stopped_is_a_miss(lab, ask):
    with serving(lab, ended_after(chunked_head("text/event-stream") + chunk(EVENTS[0]))) as server, lab.recording():
        wish = Wish(f"{server.url}/v1/chat/completions", upto=1)
        ask(wish)

    with pytest.raises(FixtureMiss, match="reads on"), lab.replaying():
        ask(wish._replace(upto=None))


def test_the_same_request_gets_its_answers_in_their_order(lab, ask):
    bodies = [b'{"n": %d}' % number for number in range(3)]
    with serving(lab, *map(whole, bodies)) as server, lab.recording():
        wish = Wish(f"{server.url}/v1/chat/completions")
        recorded = [ask(wish).body for _ in bodies]

    with lab.replaying():
        replayed = [ask(wish).body for _ in bodies]

    assert replayed == recorded == bodies


def test_eight_threads_get_each_their_own_answer_and_nobody_goes_live(lab, ask):
    def echo(connection):
        connection.sendall(whole(b'{"to": "whoever asked"}'))

    bodies = [json.dumps({"model": "m", "messages": [{"role": "user", "content": str(n)}]}).encode() for n in range(8)]
    with serving(lab, echo) as server:
        wishes = [Wish(f"{server.url}/v1/chat/completions", body=body) for body in bodies]
        with ThreadPoolExecutor(8) as threads:
            with lab.recording() as first:
                recorded = list(threads.map(ask, wishes))
            asked = len(server.requests)
            with lab.replaying() as second:
                replayed = list(threads.map(ask, wishes))

    assert asked == len(server.requests) == 8
    assert first.counts["recorded"] == second.counts["replayed"] == 8
    assert [seen.body for seen in replayed] == [seen.body for seen in recorded]


def test_a_redirect_is_followed_through_the_recording(lab, ask):
    moved = whole(b"", status="307 Temporary Redirect", headers=("location: /v1/elsewhere",))
    with serving(lab, moved, whole(JSON)) as server, lab.recording() as first:
        wish = Wish(f"{server.url}/v1/chat/completions")
        recorded = ask(wish)

    with lab.replaying() as second:
        replayed = ask(wish)

    assert (replayed.status, replayed.body) == (recorded.status, recorded.body) == (200, JSON)
    assert first.counts["recorded"] == second.counts["replayed"] == 2


def test_a_head_request_has_no_body(lab, ask):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 120\r\n\r\n"
    with serving(lab, head) as server, lab.recording():
        wish = Wish(f"{server.url}/v1/models", method="HEAD", body=b"")
        recorded = ask(wish)

    with lab.replaying():
        replayed = ask(wish)

    assert (replayed.status, replayed.body, replayed.error) == (recorded.status, recorded.body, recorded.error)


def test_a_time_out_is_the_clients_own_and_is_not_recorded(lab, ask):
    let_go = threading.Event()
    with serving(lab, lambda connection: let_go.wait(LONG)) as server, lab.recording():
        seen = ask(Wish(f"{server.url}/v1/chat/completions", timeout=0.05))
        let_go.set()

    assert seen.error == "timeout"
    assert not list(lab.folder.rglob("*.json"))


def test_a_provider_that_is_not_there_is_the_clients_own_error_too(lab, ask):
    with serving(lab, close) as server:
        wish = Wish(f"{server.url}/v1/chat/completions")
    with lab.recording():
        seen = ask(wish)

    assert seen.error == "refused"
    assert not list(lab.folder.rglob("*.json"))


def test_a_header_that_was_written_by_hand_is_given_as_utf8(lab, ask):
    with serving(lab, whole(JSON, headers=("content-type: application/json", "x-request-id: mine"))) as server:
        wish = Wish(f"{server.url}/v1/chat/completions")
        with lab.recording():
            ask(wish)
    (fixture,) = lab.folder.rglob("*.json")
    fixture.write_text(fixture.read_text(encoding="utf-8").replace("mine", "m→"), encoding="utf-8")

    with lab.replaying():
        (seen,) = ask(wish).header("x-request-id")

    assert "m→" in (seen, seen.encode("latin-1", "replace").decode(errors="replace"))


def test_a_host_that_is_no_providers_is_asked_as_ever(lab, ask):
    with Loopback(whole(JSON)) as server, lab.replaying() as session:
        seen = ask(Wish(f"{server.url}/v1/charges"))

    assert seen.body == JSON
    assert not session.counts


def test_a_live_test_asks_the_provider_and_records_nothing(lab, ask):
    with serving(lab, whole(JSON)) as server, lab.live() as session:
        ask(Wish(f"{server.url}/v1/chat/completions"))

    assert session.counts["live"] == 1
    assert not list(lab.folder.rglob("*.json"))
    assert session.leaks == []


def test_without_a_session_everything_is_as_ever(lab, ask):
    with serving(lab, whole(JSON)) as server:
        seen = ask(Wish(f"{server.url}/v1/chat/completions"))

    assert seen.body == JSON
    assert len(server.requests) == 1
