"""What an alias tells its library counts as far as it says whom to reach; how is the cache's own affair."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from contextlib import contextmanager
from queue import LifoQueue

import pytest
import redis
import redis.connection
from django.core.cache import caches
from django.test import override_settings

from django_llmcache.backends.django_cache import DjangoCacheBackend
from django_llmcache.exceptions import BackendUnavailableError
from tests import stores

from .contract import entry_of
from .test_faults import comes_true

PASSWORD = "s3cret/with#every?sign@and:more"
QUOTED = "s3cret%2Fwith%23every%3Fsign%40and%3Amore"
THREADS, ROUNDS = 16, 10

REDIS = {
    "a pool that waits": {"pool_class": "redis.BlockingConnectionPool", "max_connections": 20, "timeout": 5},
    "a class of pools": {"pool_class": redis.ConnectionPool, "max_connections": 3},
    "a queue": {"pool_class": redis.BlockingConnectionPool, "queue_class": LifoQueue},
    "another class of connections": {"connection_class": redis.Connection},
    "texts": {"decode_responses": True, "encoding": "latin-1", "encoding_errors": "replace"},
    "retries": {"retry_on_timeout": True, "retry_on_error": [redis.TimeoutError], "retry": None},
    "waits": {"socket_timeout": 1e-6, "socket_connect_timeout": 1e-6, "health_check_interval": 1e-6},
    "a parser": {"parser_class": "redis.connection.DefaultParser"},
    "a protocol": {"protocol": 3, "legacy_responses": False},
    "a socket": {"socket_keepalive": True, "socket_read_size": 1024},
    "a name": {"client_name": "shop"},
    "a database": {"db": "3"},
}
"""OPTIONS of Django's backend, and what django-redis takes as CONNECTION_POOL_KWARGS."""

DJANGO_REDIS = {
    "a pool that waits": {
        "CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool",
        "CONNECTION_POOL_KWARGS": {"max_connections": 50, "timeout": 20},
    },
    "waits": {"SOCKET_TIMEOUT": 1e-6, "SOCKET_CONNECT_TIMEOUT": 1e-6},
    "the usual classes": {
        "CLIENT_CLASS": "django_redis.client.DefaultClient",
        "CONNECTION_FACTORY": "django_redis.pool.ConnectionFactory",
        "REDIS_CLIENT_CLASS": "redis.StrictRedis",
    },
    "a parser": {"PARSER_CLASS": "redis.connection.DefaultParser"},
} | {
    f"the pool's {case}": {"CONNECTION_POOL_KWARGS": words}
    for case, words in REDIS.items()
    if not {"pool_class", "parser_class"} & words.keys()
}

QUERIES = [
    "timeout=5", "max_connections=3", "retry_on_timeout=true", "socket_timeout=0.000001", "protocol=3", "db=2",
    "health_check_interval=1", "decode_responses=1", "encoding=latin-1", "client_name=shop",
]  # fmt: skip

MEMCACHED = {
    "a pool, as Django's documentation has it": {
        "no_delay": True, "ignore_exc": True, "max_pool_size": 4, "use_pooling": True,
    },
    "waits": {"timeout": 1e-6, "connect_timeout": 1e-6, "pool_idle_timeout": 1e-6},
    "retries": {"retry_attempts": 5, "retry_timeout": 10, "dead_timeout": 10},
    "no word back": {"default_noreply": True},
    "texts": {"serde": None, "encoding": "utf-8", "deserializer": lambda key, value, flags: value.decode()},
}  # fmt: skip


class Connection(redis.Connection):
    """As redis-py's, to a server that the address does not say."""

    server = 0
    made = []

    def __init__(self, **options):
        super().__init__(**options | {"port": self.server})
        self.made.append(self)


class Pool(redis.ConnectionPool):
    """As redis-py's, of those connections."""

    @classmethod
    def from_url(cls, url, **options):
        return super().from_url(url, **options, connection_class=Connection)


@pytest.fixture
def elsewhere(monkeypatch):
    """Let an alias' own classes know the server, and its address another port; close what Django leaves open."""
    monkeypatch.setattr(Connection, "server", stores.running("redis").port)
    yield type("Nowhere", (), {"port": stores.free_port()})
    while Connection.made:
        Connection.made.pop().disconnect()


def keeps(alias, **options):
    """Return whether what threads store over an alias is found by threads and by tasks, and the other way round."""
    with using(alias, **options) as backend:
        backend.put(entry_of("thread"))
        found = [backend.get(entry_of("thread").key)]

        async def in_a_task():
            await backend.aput(entry_of("task"))
            return [(await backend.afind(entry_of(name).key)).entry for name in ("thread", "task")]

        found += asyncio.run(in_a_task())
        found.append(backend.get(entry_of("task").key))
        return None not in found and backend.stats().errors == 0


@contextmanager
def using(alias, **options):
    """Give a backend over an alias, which is ``llm`` meanwhile."""
    with override_settings(CACHES={"default": caches.settings["default"], "llm": alias}):
        backend = DjangoCacheBackend({"ALIAS": "llm", **stores.PATIENT, **options})
        yield backend
        backend.close()


def crowd_on(backend):
    """Read and write from many threads at once; return what failed."""
    usual, failed, ready = sys.getswitchinterval(), [], threading.Barrier(THREADS)

    def work(number):
        entry = entry_of(str(number))
        ready.wait()
        try:
            for _ in range(ROUNDS):
                backend.put(entry)
                assert backend.get(entry.key) is not None
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)
    return failed


@pytest.mark.parametrize("case", REDIS)
def test_options_of_djangos_redis_cache_keep_nothing_from_being_cached(case, tmp_path):
    assert keeps(stores.alias_for("redis", tmp_path, **REDIS[case]))


@pytest.mark.parametrize("case", DJANGO_REDIS)
def test_options_of_django_redis_keep_nothing_from_being_cached(case, tmp_path):
    assert keeps(stores.alias_for("django-redis", tmp_path, **DJANGO_REDIS[case]))


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("kind", ["redis", "django-redis"])
def test_neither_does_what_an_address_asks_for(kind, query, tmp_path):
    alias = stores.alias_for(kind, tmp_path)
    alias["LOCATION"] += f"?{query}"

    assert keeps(alias)


@pytest.mark.parametrize("case", MEMCACHED)
def test_options_of_memcached_keep_nothing_from_being_cached(case, tmp_path):
    assert keeps(stores.alias_for("memcached", tmp_path, **MEMCACHED[case]))


@pytest.mark.parametrize(
    ("kind", "user", "options"),
    [
        ("redis", f":{QUOTED}@", {}),
        ("redis", "", {"password": PASSWORD}),
        ("redis", "", {"username": "default", "password": PASSWORD}),
        ("django-redis", f":{QUOTED}@", {}),
        ("django-redis", "", {"PASSWORD": PASSWORD}),
        ("django-redis", "", {"USERNAME": "default", "PASSWORD": PASSWORD}),
        ("django-redis", "", {"CONNECTION_POOL_KWARGS": {"password": PASSWORD}}),
    ],
)
def test_a_password_is_taken_from_wherever_it_is(kind, user, options, tmp_path):
    server = stores.redis("--requirepass", PASSWORD).start()
    alias = stores.alias_for(kind, tmp_path, server=server, **options)
    alias["LOCATION"] = f"redis://{user}127.0.0.1:{server.port}/0"

    assert keeps(alias)
    server.stop()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("redis", {"pool_class": Pool}),
        ("redis", {"pool_class": f"{__name__}.Pool"}),
        ("redis", {"connection_class": Connection}),
        ("django-redis", {"CONNECTION_POOL_CLASS": f"{__name__}.Pool"}),
        ("django-redis", {"CONNECTION_POOL_KWARGS": {"connection_class": Connection}}),
    ],
)
def test_an_alias_with_classes_of_its_own_is_used_through_them(kind, options, tmp_path, elsewhere):
    assert keeps(stores.alias_for(kind, tmp_path, server=elsewhere, **options))


@pytest.mark.parametrize("client", ["DefaultClient", "SentinelClient"])
def test_sentinel_is_asked_where_the_server_is(client, tmp_path):
    sentinel = stores.sentinel_of(stores.running("redis")).start()
    options = {
        "CLIENT_CLASS": f"django_redis.client.{client}",
        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
        "SENTINELS": [("127.0.0.1", sentinel.port)],
    }
    alias = stores.alias_for("django-redis", tmp_path, **options) | {"LOCATION": "redis://shop/0"}

    assert keeps(alias)
    sentinel.stop()


@pytest.mark.parametrize("said", ["its options", "the settings"])
def test_an_alias_that_is_to_say_nothing_of_errors_says_what_its_server_does_not_do(said, tmp_path, elsewhere):
    options = {"CONNECTION_POOL_CLASS": f"{__name__}.Pool", "SOCKET_CONNECT_TIMEOUT": 1}
    options |= {"IGNORE_EXCEPTIONS": True} if said == "its options" else {}
    alias = stores.alias_for("django-redis", tmp_path, server=elsewhere, **options)
    Connection.server = elsewhere.port  # where nobody listens
    with override_settings(DJANGO_REDIS_IGNORE_EXCEPTIONS=said == "the settings"), using(alias) as backend:
        with pytest.raises(Exception, match="refused"):
            backend.find("key")

        assert backend.breaker.state == "open"


@pytest.mark.parametrize("retries", [{}, {"retry_on_timeout": True}, {"retry_on_error": [redis.TimeoutError]}], ids=str)
def test_a_write_takes_its_deadline_whatever_an_alias_would_try_again(retries, tmp_path):
    server = stores.redis().start()
    alias = stores.alias_for("redis", tmp_path, server=server, **retries)
    with using(alias, WRITE_TIMEOUT=1) as backend:
        backend.acquire("a lock", "token", 60)
        server.freeze()
        started = time.perf_counter()
        with pytest.raises(BackendUnavailableError, match="TimeoutError"):
            backend.acquire("another", "token", 60)
        took = time.perf_counter() - started
        server.thaw()
    server.stop()

    assert took < 1.8


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("redis", {}),
        ("redis", {"max_connections": 1}),
        ("redis", {"max_connections": 2, "pool_class": "redis.BlockingConnectionPool"}),
        ("django-redis", {"CONNECTION_POOL_KWARGS": {"max_connections": 2}}),
        ("memcached", {"max_pool_size": 1, "use_pooling": True}),
    ],
    ids=str,
)
def test_threads_that_are_more_than_its_connections_wait_and_fail_nothing(kind, options, tmp_path):
    with using(stores.alias_for(kind, tmp_path, **options)) as backend:
        failed = crowd_on(backend)

        assert failed == []
        assert backend.breaker.failures == 0


def test_tasks_that_are_more_than_its_connections_wait_and_fail_nothing(tmp_path):
    async def crowd():
        await asyncio.gather(*(backend.aput(entry_of(str(number))) for number in range(THREADS)))
        return await asyncio.gather(*(backend.afind(entry_of(str(number)).key) for number in range(THREADS)))

    with using(stores.alias_for("redis", tmp_path, max_connections=1)) as backend:
        found = asyncio.run(crowd())

        assert all(one.entry is not None for one in found)
        assert backend.breaker.failures == 0


def test_no_more_connections_read_or_write_than_an_alias_allows(tmp_path):
    server = stores.redis().start()
    with using(stores.alias_for("redis", tmp_path, server=server, max_connections=2)) as backend:
        crowd_on(backend)

        with redis.Redis(port=server.port) as look:
            clients = [client for client in look.client_list() if client["cmd"] != "client|list"]
        assert len(clients) <= 4
    server.stop()


def test_a_backend_that_is_closed_leaves_no_connection_open(tmp_path):
    server = stores.redis().start()
    with using(stores.alias_for("redis", tmp_path, server=server)) as backend:
        crowd_on(backend)

    with redis.Redis(port=server.port) as look:
        assert comes_true(lambda: len(look.client_list()) == 1)
    server.stop()
