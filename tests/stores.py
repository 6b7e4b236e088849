"""Real servers to keep entries in: each is started on first use, on loopback, and ended with the process.

A machine without one skips its tests, and says how to get it; in CI that is a failure.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.core.cache import caches
from django.core.management import call_command
from django.db import connections
from django.test import override_settings

PATIENCE = 30.0
DATABASE = "entries"
"""The alias of ``DATABASES`` that Django's cache table is in."""


class Router:
    """Send Django's cache table to a database of its own."""

    def db_for_read(self, model, **hints):
        return DATABASE if model._meta.app_label == "django_cache" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        return db == DATABASE if app_label == "django_cache" else None


class Server:
    """A program of the machine's that listens on a port of loopback.

    Args:
        command: the program and its arguments, of which ``{port}`` and ``{folder}`` are filled in.
        user: whose process it is, where it may not be root's.
    """

    def __init__(self, command, *, user=None):
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="llmcache-store-", dir=os.environ.get("TMPDIR")))
        self.user = user if os.getuid() == 0 else None
        if self.user:
            self.folder.parent.chmod(0o711)
            shutil.chown(self.folder, self.user)
        self._command = command
        self._process = None
        self._owner = os.getpid()
        atexit.register(self._end)

    def start(self):
        """Start it, on the same port each time, and wait until it takes connections."""
        command = [part.format(port=self.port, folder=self.folder) for part in self._command]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, user=self.user)
        log.close()
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)
        return self

    def is_ready(self):
        """Return whether it takes connections."""
        return listens(self.port)

    def kill(self):
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()

    def crash(self):
        """End it at once with all of its children, as PostgreSQL's "immediate shutdown" does."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def freeze(self):
        """Stop it as it stands: its connections stay open, and nothing answers."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        """End it for good."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.kill()

    def run(self, *command, **options):
        """Run a program as the server's user."""
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd=self.folder, **options)

    def _end(self):
        if os.getpid() == self._owner:
            self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Server):
    """PostgreSQL, which listens for a while before it lets anybody in."""

    def is_ready(self):
        import psycopg

        try:
            psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True


def redis(*options) -> Server:
    """Return a new Redis, not started."""
    _need_package("redis", "django-llmcache[redis]")
    program = _need("redis-server", "apt-get install redis-server")
    words = ["--port", "{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return Server([program, *words, *options])


def sentinel_of(server, name="shop") -> Server:
    """Return a new Redis Sentinel that knows one server by a name, not started."""
    program = _need("redis-server", "apt-get install redis-server")
    sentinel = Server([program, "{folder}/sentinel.conf", "--sentinel"])
    lines = [f"port {sentinel.port}", "bind 127.0.0.1", f"sentinel monitor {name} 127.0.0.1 {server.port} 1", ""]
    (sentinel.folder / "sentinel.conf").write_text("\n".join(lines))
    return sentinel


def memcached(*options) -> Server:
    """Return a new Memcached, not started."""
    _need_package("pymemcache", "django-llmcache[memcached]")
    program = _need("memcached", "apt-get install memcached")
    return Server(
        [program, *(["-u", "nobody"] if os.getuid() == 0 else []), "-l", "127.0.0.1", "-p", "{port}", *options]
    )


def postgres() -> Server:
    """Return a new PostgreSQL with its files made, not started."""
    _need_package("psycopg", "psycopg[binary]")
    initdb = _need("initdb", "apt-get install postgresql")
    program = str(Path(initdb).parent / "postgres")
    words = ["-D", "{folder}/data", "-p", "{port}", "-h", "127.0.0.1", "-k", "{folder}", "-c", "fsync=off"]
    server = Postgres([program, *words], user="postgres")
    server.run(initdb, "-D", f"{server.folder}/data", "-U", "postgres", "--auth=trust", "--no-sync")
    return server


@cache
def running(name) -> Server:
    """Return this process' own server of a kind, started on first use; for tests that leave it as it was."""
    return {"redis": redis, "memcached": memcached, "postgres": postgres}[name]().start()


PATIENT = {"READ_TIMEOUT": 20, "WRITE_TIMEOUT": 20}
"""Deadlines for tests that are not about them: a busy machine is no failure."""


def alias_for(name, tmp_path, *, prefix="", server=None, **options):
    """Return the setting of an alias of ``CACHES`` in which nothing is kept yet.

    Args:
        name: ``redis``, ``django-redis``, ``memcached``, ``locmem``, ``file``, ``dummy`` or ``database``.
        tmp_path: a folder of the test's own.
        prefix: ``KEY_PREFIX``; by default one that no other test has.
        server: where another than the usual server is meant.
        options: the alias' ``OPTIONS``.
    """
    prefix = prefix or f"{abs(hash(str(tmp_path))):x}"
    common = {"KEY_PREFIX": prefix} | ({"OPTIONS": options} if options else {})
    if name in ("redis", "django-redis"):
        if name == "django-redis":
            _need_package("django_redis", "django-redis")
        path = (
            "django_redis.cache.RedisCache" if name == "django-redis" else "django.core.cache.backends.redis.RedisCache"
        )
        port = (server or running("redis")).port
        return {"BACKEND": path, "LOCATION": f"redis://127.0.0.1:{port}/0", **common}
    if name == "memcached":
        path = "django.core.cache.backends.memcached.PyMemcacheCache"
        return {"BACKEND": path, "LOCATION": f"127.0.0.1:{(server or running('memcached')).port}", **common}
    location = {"file": str(tmp_path / "files"), "database": "llmcache_entries"}.get(name, str(tmp_path))
    module = {"file": "filebased.FileBasedCache", "database": "db.DatabaseCache", "dummy": "dummy.DummyCache"}
    path = f"django.core.cache.backends.{module.get(name, 'locmem.LocMemCache')}"
    return {"BACKEND": path, "LOCATION": location, **common}


def database_for(kind, tmp_path, *, server=None):
    """Return the setting of a database: ``sqlite`` in the test's own folder, or ``postgres``, the usual or another."""
    if kind == "sqlite":
        words = {"NAME": str(tmp_path / "entries.sqlite3"), "OPTIONS": {"transaction_mode": "IMMEDIATE"}}
        return {"ENGINE": "django.db.backends.sqlite3", **words}
    port = (server or running("postgres")).port
    words = {"NAME": "postgres", "USER": "postgres", "HOST": "127.0.0.1", "PORT": port}
    return {"ENGINE": "django.db.backends.postgresql", **words}


@contextmanager
def table_in(database, tmp_path):
    """Let ``llm`` be an alias of ``CACHES`` whose table is in a database, and have the table made.

    Args:
        database: the setting of it, as ``database_for`` gives it.
        tmp_path: a folder of the test's own.
    """
    configured = connections.configure_settings({"default": {}, DATABASE: database})
    known = {"default": caches.settings["default"], "llm": alias_for("database", tmp_path)}
    connections.settings[DATABASE] = configured[DATABASE]
    try:
        with override_settings(CACHES=known, DATABASE_ROUTERS=["tests.stores.Router"]):
            call_command("createcachetable", database=DATABASE)
            yield
    finally:
        connections[DATABASE].close()
        del connections[DATABASE]
        del connections.settings[DATABASE]


def free_port():
    """Return a port that nobody listens on."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    """Return whether somebody takes connections."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _need(program, install):
    found = shutil.which(program)
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}")) if found is None else []
    if found is None and not places:
        _without(f"{program} is not installed: {install}")
    return found or str(places[-1])


def _need_package(name, requirement):
    if find_spec(name) is None:
        _without(f"{name} is not installed: {sys.executable} -m pip install '{requirement}'")


def _without(reason):
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (in CI every store is tested)")
    pytest.skip(reason)
