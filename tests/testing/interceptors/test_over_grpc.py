"""Calls over gRPC, whose connections are none of Python's: refused in a replay, reported elsewhere, others let be."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from django_llmcache.recorder.misses import FixtureMiss
from tests.transports.loopback import LONG, Loopback, whole

grpc = pytest.importorskip("grpc", reason="grpcio is not installed: pip install grpcio")

METHOD = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent"


def blocking(channel):
    channel.unary_unary(METHOD)(b"x", timeout=LONG)


def with_call(channel):
    channel.unary_unary(METHOD).with_call(b"x", timeout=LONG)


def future(channel):
    channel.unary_unary(METHOD).future(b"x", timeout=LONG).result()


def stream(channel):
    next(channel.unary_stream(METHOD)(b"x", timeout=LONG))


def sent_as_a_stream(channel):
    channel.stream_unary(METHOD)(iter([b"x"]), timeout=LONG)


def both_ways(channel):
    next(channel.stream_stream(METHOD)(iter([b"x"]), timeout=LONG))


def intercepted(channel):
    class Passing(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation, details, request):
            return continuation(details, request)

    blocking(grpc.intercept_channel(channel, Passing()))


ways = pytest.mark.parametrize(
    "call",
    [blocking, with_call, future, stream, sent_as_a_stream, both_ways, intercepted],
    ids=lambda way: way.__name__.replace("_", " "),
)


@ways
@pytest.mark.parametrize("target", ["{}", "dns:///{}", "ipv4:{}"])
def test_a_replay_refuses_a_call_to_a_provider_also_on_a_channel_from_before(lab, server, call, target):
    with (
        grpc.insecure_channel(target.format(server.address)) as channel,
        pytest.raises(FixtureMiss, match=r"does not know.*grpc, called by tests.*connects to"),
        lab.replaying(),
    ):
        call(channel)

    assert server.connections == 0


@ways
def test_a_call_is_reported_while_recording(lab, server, call):
    with lab.recording() as session, grpc.insecure_channel(server.address) as channel:
        for _ in range(2):
            with suppress(grpc.RpcError):
                call(channel)

    assert len(session.leaks) == 1
    assert session.leaks[0].startswith("grpc, called by tests")
    assert session.leaks[0].endswith(f" to {server.address}")


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream"])
def test_on_a_loop_it_is_refused_too(lab, server, kind):
    async def ask():
        async with grpc.aio.insecure_channel(server.address) as channel:
            await getattr(channel, kind)(METHOD)(b"x", timeout=LONG)

    with pytest.raises(FixtureMiss), lab.replaying():
        asyncio.run(ask())
    assert server.connections == 0


@pytest.mark.parametrize("target", ["api.openai.com", "api.openai.com:443", "dns://8.8.8.8/api.openai.com:https"])
def test_a_target_is_read_as_it_is_written(lab, target):
    lab.hosts.append("api.openai.com")
    channel = grpc.secure_channel(target, grpc.ssl_channel_credentials())

    with channel, pytest.raises(FixtureMiss, match=r"https://api\.openai\.com\n"), lab.replaying():
        blocking(channel)


def test_a_server_that_is_no_provider_is_called_as_ever(lab):
    with (
        Loopback(whole(b"{}")) as other,
        grpc.insecure_channel(other.address) as channel,
        lab.replaying() as session,
        pytest.raises(grpc.RpcError),
    ):
        blocking(channel)

    assert other.connections > 0
    assert session.misses == []
