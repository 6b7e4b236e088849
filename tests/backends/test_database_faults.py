"""A database that dies, hangs or comes back costs no call: at most its deadline, once."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.backends.signals import connection_created
from django.test import override_settings

from django_llmcache import backends, conf
from django_llmcache.sitestats import publisher
from tests import stores

from .test_faults import BACKENDS, PATIENCE, SLACK, ask, clock, comes_true  # noqa: F401 - one is a fixture

TIMEOUTS = {"READ_TIMEOUT": 1.0, "WRITE_TIMEOUT": 1.0}
"""Connecting alone may take 50 ms, and each operation connects anew."""
THREADS = 12
"""Connections that are broken at once: fewer than the store has threads."""


@pytest.fixture
def server():
    """Return a PostgreSQL of this test's own, which it may treat as it likes."""
    started = stores.postgres().start()
    yield started
    started.stop()


@pytest.fixture
def in_production(monkeypatch):
    """Let this be no test run, in which no connection is kept; close those that threads end with."""
    monkeypatch.setattr(conf, "under_test_runner", lambda: False)
    opened = []

    def note(connection, **_):
        opened.append(connection)

    connection_created.connect(note)
    yield
    publisher.close()  # what hands in the counts would connect once more
    publisher.begin()
    connection_created.disconnect(note)
    for connection in opened:
        if connection.connection is not None:
            connection.connection.close()


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


def hold_together(number):
    """Ask as often at once, so that as many of the store's threads have a connection."""
    together = threading.Barrier(number)

    def work(question):
        together.wait()
        ask(question)

    threads = [threading.Thread(target=work, args=(question,)) for question in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
    assert sum(seconds > TIMEOUTS["READ_TIMEOUT"] / 2 for seconds in took) == 1


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


def test_one_that_comes_back_fails_no_connection_after_the_first(server, in_production):
    connections.settings[stores.DATABASE]["CONN_MAX_AGE"] = 600
    hold_together(THREADS)
    server.crash()
    server.start()

    assert comes_true(lambda: ask()[0].from_cache)
    assert backends.current().breaker.failures <= 2


def test_a_test_run_can_drop_the_database_at_its_end(server):
    import psycopg

    with psycopg.connect(host="127.0.0.1", port=server.port, user="postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE test_entries")
        connections[stores.DATABASE].close()
        connections.settings[stores.DATABASE] |= {"NAME": "test_entries", "CONN_MAX_AGE": 600}
        del connections[stores.DATABASE]
        call_command("createcachetable", database=stores.DATABASE)
        hold_together(THREADS)
        connections[stores.DATABASE].close()

        admin.execute("DROP DATABASE test_entries")
