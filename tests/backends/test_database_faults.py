"""A database that dies, hangs or comes back costs no call: at most its deadline, once."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest
from django.db import connections
from django.test import override_settings

from django_llmcache import backends
from tests import stores

from .test_faults import BACKENDS, PATIENCE, SLACK, ask, comes_true

TIMEOUTS = {"READ_TIMEOUT": 1.0, "WRITE_TIMEOUT": 1.0}
"""Connecting alone may take 50 ms, and each operation connects anew."""


@pytest.fixture
def server():
    """Return a PostgreSQL of this test's own, which it may treat as it likes."""
    started = stores.postgres().start()
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def _shared(server, tmp_path, django_db_blocker):
    chosen = {"BACKEND": BACKENDS["plain"], "OPTIONS": {"ALIAS": "llm", **TIMEOUTS}}
    place = stores.table_in(stores.database_for("postgres", tmp_path, server=server), tmp_path)
    with django_db_blocker.unblock(), place, override_settings(LLMCACHE=chosen):
        assert not ask()[0].from_cache
        assert ask()[0].from_cache
        yield
        backends.current().close()
        for thread in threading.enumerate():
            if thread.name.startswith("llmcache-store"):  # one may have waited until just now, and closes what it has
                thread.join(PATIENCE)


def test_one_that_died_fails_no_call(server):
    server.crash()

    for number in range(30):
        answer, seconds = ask(number)
        assert answer.text == "Hello"
        assert seconds < TIMEOUTS["READ_TIMEOUT"] + SLACK


def test_one_that_hangs_costs_its_deadline_once(server):
    server.freeze()
    took = [ask(number)[1] for number in range(30)]
    server.thaw()

    assert max(took) < TIMEOUTS["READ_TIMEOUT"] + SLACK
    assert sum(seconds > TIMEOUTS["READ_TIMEOUT"] for seconds in took) == 1


@pytest.mark.parametrize("deadlines", [{}, TIMEOUTS], ids=["default", "long"])
def test_a_port_that_never_answers_costs_its_deadline(tmp_path, deadlines):
    with closing(socket.create_server(("127.0.0.1", 0))) as hole:  # it takes connections, and says nothing
        place = stores.database_for("postgres", tmp_path, server=type("Hole", (), {"port": hole.getsockname()[1]}))
        connections[stores.DATABASE].close()
        connections.settings[stores.DATABASE].update(place)
        chosen = {"BACKEND": BACKENDS["plain"], "OPTIONS": {"ALIAS": "llm", **deadlines}}
        with override_settings(LLMCACHE=chosen):
            took = [ask(number)[1] for number in range(10)]
            backends.current().close()

    assert max(took) < deadlines.get("READ_TIMEOUT", 0.05) + SLACK


def test_one_that_comes_back_is_hit_again(server):
    server.crash()
    ask(1)
    server.start()

    assert comes_true(lambda: ask(2)[0].from_cache)


def test_one_that_goes_on_is_hit_again(server):
    server.freeze()
    ask(1)
    server.thaw()

    assert comes_true(lambda: ask()[0].from_cache)
