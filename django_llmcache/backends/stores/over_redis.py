"""Redis, and what speaks its protocol (Valkey, KeyDB, …), by redis-py, whichever of Django's backends the alias names.

The connections are ours: they keep to the deadlines, and hand over bytes as they are. Everything is read from the first
server of ``LOCATION``; a replica may not have heard of a clear yet. There are as many connections as operations at a
time, and no pool is ever full: a thread that waits for one is no failure of the server.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple

from redis import ConnectionPool, Redis
from redis.asyncio import ConnectionPool as AsyncConnectionPool
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio import connection as of_loops
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError, WatchError
from redis.retry import Retry

from django_llmcache.backends.perloop import PerLoop

from .base import Alias, Deadlines, Store
from .deadline import TimedSocket, within
from .redis_address import Address

_WORDS_KEPT: Final = 4096
_HOW: Final[dict[str, Any]] = {"decode_responses": False, "max_connections": 2**31, "protocol": 2}


class RedisStore(Store):
    """Values as bytes, with a pool of connections for reads and one for writes, since they have other deadlines."""

    name = "redis"

    def __init__(self, alias: Alias, address: Address, deadlines: Deadlines) -> None:
        self._cache = alias.made_with()
        self._address = address
        self.at_once = address.at_once
        self._deadlines = deadlines
        self._words: dict[str, bytes] = {}
        self._reader = _Connections(self._pool(deadlines.read))
        self._writer = Redis(connection_pool=self._pool(deadlines.write))
        self._of_loop: PerLoop[_OfLoop] = PerLoop()

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        words = [self._words.get(key) or self._worded(key) for key in keys]
        return _present(keys, self._reader.ask(b"*%d\r\n$4\r\nMGET\r\n%b" % (len(words) + 1, b"".join(words))))

    def write(self, key: str, value: bytes, seconds: float | None) -> None:
        self._writer.set(self._name(key), value, px=_milliseconds(seconds))

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        return bool(self._writer.set(self._name(key), value, px=_milliseconds(seconds), nx=True))

    def swap(self, key: str, old: bytes, new: bytes) -> bool:
        name = self._name(key)
        with self._writer.pipeline() as commands, suppress(WatchError):  # no script: not everybody may run one
            commands.watch(name)  # type: ignore[no-untyped-call]
            if commands.get(name) == old:
                commands.multi()
                commands.set(name, new)
                commands.execute()
                return True
        return False

    def remove(self, key: str) -> None:
        self._writer.delete(self._name(key))

    def touch(self, key: str, seconds: float) -> None:
        self._writer.expire(self._name(key), math.ceil(seconds))

    def refuses(self, error: Exception) -> bool:
        return isinstance(error, ResponseError)

    async def aread(self, keys: Sequence[str]) -> dict[str, bytes]:
        async with within(self._deadlines.read):
            return _present(keys, await (await self._here()).mget(self._named(keys)))

    async def awrite(self, key: str, value: bytes, seconds: float | None) -> None:
        async with within(self._deadlines.write):
            await (await self._here()).set(self._name(key), value, px=_milliseconds(seconds))

    async def aadd(self, key: str, value: bytes, seconds: float | None) -> bool:
        async with within(self._deadlines.write):
            return bool(await (await self._here()).set(self._name(key), value, px=_milliseconds(seconds), nx=True))

    async def aswap(self, key: str, old: bytes, new: bytes) -> bool:
        name = self._name(key)
        async with within(self._deadlines.write), (await self._here()).pipeline() as commands:
            with suppress(WatchError):
                await commands.watch(name)
                if await commands.get(name) == old:
                    commands.multi()  # type: ignore[no-untyped-call]
                    commands.set(name, new)
                    await commands.execute()
                    return True
        return False

    async def aremove(self, key: str) -> None:
        async with within(self._deadlines.write):
            await (await self._here()).delete(self._name(key))

    async def atouch(self, key: str, seconds: float) -> None:
        async with within(self._deadlines.write):
            await (await self._here()).expire(self._name(key), math.ceil(seconds))

    def close(self) -> None:
        """Close the connections of threads; those of an event loop are closed with it."""
        self._reader.close()
        self._writer.connection_pool.disconnect()  # a client leaves a pool that it was given as it is

    def _name(self, key: str) -> str:
        return str(self._cache.make_key(key))

    def _worded(self, key: str) -> bytes:
        """Return the name of a key as the protocol has it, and remember it: the same few stamps are read each time."""
        if len(self._words) >= _WORDS_KEPT:
            self._words.clear()
        name = self._name(key).encode()
        word = self._words[key] = b"$%d\r\n%b\r\n" % (len(name), name)
        return word

    def _named(self, keys: Sequence[str]) -> list[str]:
        return [str(self._cache.make_key(key)) for key in keys]

    def _pool(self, seconds: float) -> ConnectionPool:
        retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        waits: dict[str, Any] = {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": retry}
        return ConnectionPool(_timed(self._address.kind), **self._address.words, **_HOW, **waits)

    async def _here(self) -> AsyncRedis:
        """Return the client of this event loop: a connection belongs to the loop that opened it."""
        known = self._of_loop.get()
        if known is not None:
            return known.client
        retry = AsyncRetry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        waits: dict[str, Any] = {"socket_timeout": None, "socket_connect_timeout": None, "retry": retry}  # the caller's
        kind = getattr(of_loops, self._address.kind.__name__)
        pool = AsyncConnectionPool(kind, **self._address.words, **_HOW, **waits)
        made = self._of_loop.put(_OfLoop(AsyncRedis(connection_pool=pool), _closed_at_the_end(pool)))
        await anext(made.end)
        return made.client


@cache
def _timed(kind: Any) -> Any:
    """Return a class of connections like this one, whose time-out is for a whole command."""

    class Timed(kind):  # type: ignore[misc] # whichever the address asks for
        def _connect(self) -> TimedSocket:
            return TimedSocket(super()._connect())

    return Timed


class _Connections:
    """Connections for one command at a time, without what redis-py's client does around it: half of a hit's time.

    Args:
        pool: makes them.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._idle: deque[Any] = deque()  # of redis-py's connections, which it has not typed

    def ask(self, command: bytes) -> Any:
        """Return what the server answers to a command: an array of bulk strings (redis.io, "RESP specification")."""
        idle = self._idle
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._pool.make_connection()
        try:
            try:
                return _answer(connection, command)
            except RedisConnectionError:  # the server may have closed it since
                connection.disconnect()
                return _answer(connection, command)
        except BaseException:
            connection.disconnect()  # what is still to come on it would be taken for another's answer
            raise
        finally:
            if idle is self._idle:
                idle.append(connection)
            else:  # closed meanwhile
                connection.disconnect()

    def close(self) -> None:
        """Close all, those that are in use as soon as they are not."""
        idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.disconnect()


def _answer(connection: Any, command: bytes) -> Any:
    connection.send_packed_command([command])
    return connection.read_response(disable_decoding=True)


class _OfLoop(NamedTuple):
    """What is of one event loop: its client, and what closes that when the loop ends."""

    client: AsyncRedis
    end: AsyncGenerator[None, None]


async def _closed_at_the_end(pool: AsyncConnectionPool) -> AsyncGenerator[None, None]:
    """Close the connections when the loop shuts its generators down, as ``asyncio.run`` has it do before it closes."""
    try:
        yield
    finally:
        await pool.aclose()


def _present(keys: Sequence[str], values: Sequence[Any]) -> dict[str, bytes]:
    return {key: value for key, value in zip(keys, values, strict=True) if value is not None}


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else max(1, math.ceil(seconds * 1000))
