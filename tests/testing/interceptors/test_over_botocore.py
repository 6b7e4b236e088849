"""Bedrock through ``botocore``: answers at once and event streams, whose bytes are signed frames."""

from __future__ import annotations

import struct
import threading
import zlib
from contextlib import closing

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as StreamTimeoutError

from django_llmcache.recorder.faults import Fault
from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import LONG, Loopback, chunk, chunked_head, whole

ANSWER = whole(
    b'{"output": {"message": {"role": "assistant", "content": [{"text": "Paris"}]}}, "stopReason": "end_turn",'
    b' "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}, "metrics": {"latencyMs": 9}}'
)
BUSY = whole(
    b'{"message": "slow down"}', status="429 Too Many Requests",
    headers=("content-type: application/json", "x-amzn-errortype: ThrottlingException"),
)  # fmt: skip
ASKED = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "Capital of France?"}]}]}


def frame(event: str, payload: bytes) -> bytes:
    """Return one message of an event stream, as AWS frames it."""
    named = {":event-type": event, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()
        for name, value in named.items()
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


FRAMES = (
    frame("messageStart", b'{"role": "assistant"}'),
    frame("contentBlockDelta", b'{"contentBlockIndex": 0, "delta": {"text": "Par"}}'),
    frame("contentBlockDelta", b'{"contentBlockIndex": 0, "delta": {"text": "is"}}'),
    frame("messageStop", b'{"stopReason": "end_turn"}'),
)
HEAD = chunked_head("application/vnd.amazon.eventstream")
STREAM = HEAD + b"".join(map(chunk, FRAMES)) + b"0\r\n\r\n"


@pytest.fixture
def bedrock(server):
    """Return a client that doesn't try again."""
    with client(server, retries={"total_max_attempts": 1}) as bedrock:
        yield bedrock


def client(server, **config):
    session = botocore.session.Session()
    made = session.create_client(
        "bedrock-runtime", region_name="eu-west-1", endpoint_url=server.url, aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="made-up", config=Config(**{"read_timeout": 2, **config}),
    )  # fmt: skip
    return closing(made)


def answers(*steps):
    return pytest.mark.parametrize("server", [steps], indirect=True, ids=[""])


def text(bedrock) -> str:
    return bedrock.converse(**ASKED)["output"]["message"]["content"][0]["text"]


def events(bedrock) -> list[dict]:
    return list(bedrock.converse_stream(**ASKED)["stream"])


@answers(ANSWER)
def test_an_answer_is_the_same_recorded_and_replayed(lab, server, bedrock):
    with lab.recording():
        recorded = text(bedrock)
    with lab.replaying() as session:
        replayed = text(bedrock)

    assert recorded == replayed == "Paris"
    assert session.counts["replayed"] == len(server.requests) == 1


@answers(STREAM)
def test_a_stream_of_events_is_the_same_live_recorded_and_replayed(lab, server, bedrock):
    live = events(bedrock)
    with lab.recording():
        recorded = events(bedrock)
    with lab.replaying():
        replayed = events(bedrock)

    assert live == recorded == replayed
    assert len(live) == 4


@answers(BUSY)
def test_an_error_is_the_same_recorded_and_replayed(lab, server, bedrock):
    with lab.recording(), pytest.raises(bedrock.exceptions.ThrottlingException):
        text(bedrock)
    with lab.replaying(), pytest.raises(bedrock.exceptions.ThrottlingException):
        text(bedrock)

    assert len(server.requests) == 1


@pytest.mark.parametrize("ask", [events, text])
def test_an_answer_whose_client_has_no_more_time_is_not_recorded(lab, ask):
    over = threading.Event()

    def serve(connection):
        connection.sendall(HEAD + chunk(FRAMES[0]) if ask is events else ANSWER[:-10])
        over.wait(LONG)

    with Loopback(serve) as server:
        lab.knows(server.url)
        with (
            client(server, read_timeout=0.2, retries={"total_max_attempts": 1}) as bedrock,
            lab.recording(),
            pytest.raises((ReadTimeoutError, StreamTimeoutError)),
        ):
            ask(bedrock)
        over.set()

    assert not list(lab.folder.rglob("*.json"))
    assert len(lab.warned) == 1


@answers(lambda connection: connection.sendall(HEAD + b"".join(map(chunk, FRAMES[:2]))))
def test_a_stream_that_broke_breaks_again_after_the_same_events(lab, server, bedrock):
    def until_it_breaks():
        seen = []
        with pytest.raises(Exception, match=r"Response ended prematurely|Connection broken") as raised:
            seen.extend(bedrock.converse_stream(**ASKED)["stream"])
        return seen, type(raised.value)

    live = until_it_breaks()
    with lab.recording():
        recorded = until_it_breaks()
    with lab.replaying():
        replayed = until_it_breaks()

    assert live == recorded == replayed


@answers(ANSWER)
@pytest.mark.parametrize(
    ("fault", "error"),
    [("timeout", ReadTimeoutError), ("refused", EndpointConnectionError), ("cut@1", ConnectionClosedError)],
)
def test_a_fault_is_raised_as_the_clients_own_error(lab, server, bedrock, fault, error):
    with lab.recording():
        text(bedrock)

    with lab.replaying(fault=Fault.parse(fault)), pytest.raises(error):
        text(bedrock)


@pytest.mark.parametrize(
    ("server", "ask", "error"),
    [([ANSWER], text, ConnectionClosedError), ([STREAM], events, ProtocolError)],
    indirect=["server"], ids=["an answer", "a stream"],
)  # fmt: skip
def test_a_cut_that_is_not_recorded_yet_is_the_same_as_of_the_recording(lab, server, bedrock, ask, error):
    cut = Fault.parse("cut@2")
    with lab.recording(fault=cut), pytest.raises(error):
        ask(bedrock)
    with lab.replaying(fault=cut), pytest.raises(error):
        ask(bedrock)

    assert len(server.requests) == 1


@answers(ANSWER)
def test_a_time_out_shorter_than_a_slow_answer_is_noticed_without_waiting(lab, server, bedrock):
    with lab.recording():
        text(bedrock)

    with lab.replaying(fault=Fault.parse("slow(ttft=3)")), pytest.raises(ReadTimeoutError):
        text(bedrock)


@answers(lambda connection: None)
def test_a_provider_that_hangs_up_is_the_clients_own_error_and_is_not_recorded(lab, server, bedrock):
    with lab.recording(), pytest.raises(ConnectionClosedError):
        text(bedrock)

    assert not list(lab.folder.rglob("*.json"))


@answers(ANSWER)
def test_what_is_not_recorded_is_a_miss_and_nothing_is_asked(lab, server, bedrock):
    with lab.replaying(), pytest.raises(FixtureMiss):
        text(bedrock)

    assert server.connections == 0


@answers(ANSWER)
def test_a_live_test_asks_the_provider_and_records_nothing(lab, server, bedrock):
    with lab.live() as session:
        text(bedrock)

    assert session.counts["live"] == 1
    assert not list(lab.folder.rglob("*.json"))


@answers(ANSWER)
@pytest.mark.parametrize("fault", ["429x2", "503x2", "timeoutx2", "refusedx2"])
@pytest.mark.parametrize("kind", ["legacy", "standard"])
def test_a_fault_is_got_over_without_waiting(slept, lab, server, fault, kind):
    with lab.recording(), client(server, retries={"mode": kind}) as bedrock:
        text(bedrock)

    with lab.replaying(fault=Fault.parse(fault)), client(server, retries={"mode": kind}) as bedrock:
        assert text(bedrock) == "Paris"
    assert len(slept) == 2
    assert max(slept) < 0.01
