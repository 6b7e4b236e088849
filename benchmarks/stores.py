"""The stores that ``python -m benchmarks store`` compares: each takes a key and a value, and bounds its entries."""

from __future__ import annotations

import threading
import time

from django_llmcache.backends.memory import MemoryBackend
from django_llmcache.bodies import Usage
from django_llmcache.entry import Entry

TTL = 900.0
HEADERS = (("content-type", "application/json"),)
BODY = b'{"choices":[{"message":{"content":"%0128d"}}]}'  # small: what is measured is what comes on top


def key(number: int) -> str:
    return f"llmcache:1.1:-:{number:064x}"


def body(number: int) -> bytes:
    return BODY % number


def entry(number: int) -> Entry:
    """Return an entry with all that a real one has; it shares with others what the store would make them share."""
    parts = ";".join(f"{name}={number:08x}" for name in ("provider", "model", "scope", "messages[0]", "temperature"))
    return Entry(
        key=key(number), body=body(number), created=time.time(), ttl=TTL, provider="openai", model="gpt-4o-mini",
        headers=HEADERS, usage=Usage(1000 + number, 2000 + number), latency=number / 1000, parts=parts,
    )  # fmt: skip


def bare_entry(number: int) -> Entry:
    """Return an entry with no more than the others keep."""
    return Entry(key=key(number), body=body(number), created=time.time(), ttl=TTL, provider="openai", model="m")


class Memory:
    """Ours. Its value is the whole entry: body, usage, model, headers, digests of the request's parts."""

    name = "MemoryBackend"
    value = staticmethod(entry)
    counts_as_value = staticmethod(entry)

    def __init__(self, most):
        backend = MemoryBackend({"MAX_ENTRIES": most, "MAX_BYTES": 1 << 50})
        self.get = backend.get
        self._put = backend.put

    def put(self, key, value):
        self._put(value)  # which bears its key


class Bare(Memory):
    """Ours, where an entry has a body and a key, and all else is what it takes more."""

    value = staticmethod(bare_entry)
    counts_as_value = staticmethod(body)


class Cachetools:
    """Not safe from threads by itself: its documentation asks for a lock around each call."""

    name = "cachetools.TTLCache + lock"
    value = counts_as_value = staticmethod(body)

    def __init__(self, most):
        import cachetools

        cache = cachetools.TTLCache(maxsize=most, ttl=TTL)
        lock = threading.Lock()

        def get(key):
            with lock:
                return cache.get(key)

        def put(key, value):
            with lock:
                cache[key] = value

        self.get, self.put = get, put


class Cachebox:
    """In Rust."""

    name = "cachebox.VTTLCache"
    value = counts_as_value = staticmethod(body)

    def __init__(self, most):
        import cachebox

        cache = cachebox.VTTLCache(maxsize=most)
        self.get = cache.get
        self.put = lambda key, value: cache.insert(key, value, ttl=TTL)


class LocMem:
    """Django's. It pickles each value, and drops a third of them when it is full."""

    name = "Django LocMemCache"
    value = counts_as_value = staticmethod(body)

    def __init__(self, most):
        from django.core.cache.backends.locmem import LocMemCache

        cache = LocMemCache("benchmark", {"timeout": TTL, "OPTIONS": {"MAX_ENTRIES": most}})
        self.get = cache.get
        self.put = cache.set


class Dict:
    """No expiry, no lock. The least that Python can do, beside which to read the others."""

    name = "dict, drops the oldest"
    value = counts_as_value = staticmethod(body)

    def __init__(self, most):
        kept = {}
        self.get = kept.get

        def put(key, value):
            kept[key] = value
            if len(kept) > most:
                del kept[next(iter(kept))]

        self.put = put


class Alone:
    """No store: keys and values alone. What a store takes more than this is its own."""

    def __init__(self, most, value):
        self.value = value
        self.kept = [[None] * most, [None] * most]  # there before the filling is measured
        self.filled = 0

    def put(self, key, value):
        if not isinstance(value, Entry):  # which bears its key
            self.kept[0][self.filled] = key
        self.kept[1][self.filled] = value
        self.filled += 1


STORES = (Memory, Cachetools, Cachebox, LocMem, Dict)
