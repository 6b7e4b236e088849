"""The libraries are replaced once, however often it is asked for, and put back."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from contextlib import contextmanager

import httpx
import httpx2
import pytest
import requests
import responses
from requests.adapters import HTTPAdapter

from django_llmcache.testing import interceptors
from django_llmcache.testing.interceptors.patching import put_back, replace
from tests.transports.loopback import LONG, Loopback, whole

PATCHED = (
    (HTTPAdapter, "send"),
    (httpx2.HTTPTransport, "handle_request"),
    (httpx2.AsyncHTTPTransport, "handle_async_request"),
    (httpx.HTTPTransport, "handle_request"),
    (httpx.AsyncHTTPTransport, "handle_async_request"),
    (socket.socket, "connect"),
    (socket.socket, "connect_ex"),
    (socket, "getaddrinfo"),
    (asyncio.BaseEventLoop, "getaddrinfo"),
)


def now() -> list[object]:
    return [vars(owner).get(name) for owner, name in PATCHED]


def test_the_libraries_are_replaced_inside_and_put_back_after_the_last_one():
    before = now()
    with interceptors.armed():
        armed = now()
        with interceptors.armed():
            again = now()
        inner_ended = now()

    assert armed == again == inner_ended
    assert now() == before


def test_disarming_more_often_than_arming_does_no_harm():
    before = now()
    with interceptors.armed():
        armed = now()
    interceptors_disarmed_twice()

    with interceptors.armed():
        assert len(now()) == len(armed)
    assert now() == before


def interceptors_disarmed_twice() -> None:
    interceptors.arm()
    interceptors.disarm()


@contextmanager
def mocked():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get("http://127.0.0.1:9/mocked", json={"from": "the mock"})
        yield


def test_a_mock_that_outlasts_the_arming_keeps_its_place_and_leaves_the_original_behind():
    before = HTTPAdapter.send
    with Loopback(whole(b"{}")) as server:
        interceptors.arm()
        with mocked():
            interceptors.disarm()
            answer = requests.get("http://127.0.0.1:9/mocked", timeout=LONG)
        unrecorded = requests.get(server.url, timeout=LONG)
    with interceptors.armed():
        pass

    assert answer.json() == {"from": "the mock"}
    assert unrecorded.json() == {}
    assert HTTPAdapter.send is before


def test_a_mock_from_before_that_ends_inside_leaves_the_next_test_recorded():
    mock = responses.RequestsMock(assert_all_requests_are_fired=False)
    before = HTTPAdapter.send
    mock.start()
    with interceptors.armed():
        mock.stop()

    with interceptors.armed():
        seen = HTTPAdapter.send is not before

    assert seen
    assert HTTPAdapter.send is before


DELETED = [(HTTPAdapter, "send"), (socket, "getaddrinfo"), (time, "sleep")]


@pytest.mark.parametrize(("owner", "name"), DELETED, ids=lambda one: getattr(one, "__name__", one))
@pytest.mark.parametrize("when", ["before", "inside"])
def test_what_a_test_has_deleted_for_a_while_is_there_again_as_it_was(owner, name, when, monkeypatch):
    before, finders, original = now(), [*sys.meta_path], getattr(owner, name)
    if when == "before":
        monkeypatch.delattr(owner, name)
    with interceptors.armed():
        if when == "inside":
            monkeypatch.delattr(owner, name)
    monkeypatch.undo()
    with interceptors.armed():
        seen = getattr(owner, name) is not original

    assert seen
    assert getattr(owner, name) is original
    assert (now(), sys.meta_path) == (before, finders)


class Base:
    def who(self) -> str:
        return "base"


class Child(Base):
    pass


def louder(original):
    return lambda self: original(self).upper()


def test_what_a_class_inherits_is_inherited_again_afterwards():
    replace(Child, "who", louder)
    replaced = Child().who()
    put_back()

    assert replaced == "BASE"
    assert "who" not in vars(Child)


def test_what_is_replaced_already_is_not_replaced_again():
    replace(Child, "who", louder)
    replace(Child, "who", lambda original: lambda self: original(self) + "!")
    twice = Child().who()
    put_back()
    put_back()  # does nothing

    assert twice == "BASE"
    assert Child().who() == "base"


def test_no_library_is_needed_but_those_that_are_installed(monkeypatch):
    monkeypatch.setattr(interceptors.arrivals, "is_here", lambda name: False)
    before = now()
    with interceptors.armed():
        changed = [PATCHED[index] for index, one in enumerate(now()) if one != before[index]]

    assert {owner for owner, _ in changed} == {socket.socket, socket, asyncio.BaseEventLoop}


@pytest.mark.parametrize("times", [1, 2])
def test_arming_twice_records_a_call_once(lab, times):
    with Loopback(whole(b"{}")) as server:
        lab.knows(server.url)
        for _ in range(times):
            interceptors.arm()
        with lab.recording() as session:
            requests.get(server.url, timeout=LONG)
        for _ in range(times):
            interceptors.disarm()

    assert session.counts["recorded"] == 1
