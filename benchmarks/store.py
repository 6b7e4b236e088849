"""``python -m benchmarks store``: get, put and evict, memory and pauses, small and at a million entries.

Each store has a process of its own, one after the other. Keys and bodies are the same for all. Hits are the best of
several rounds, and the longest puts are in processor time, since others use the machine too.

Hits are measured twice. *Hot*: 1,000 keys in turn, which stay in the processor's caches, as what is asked often does.
*Cold*: 20,000 keys from all over the store; at a million entries that measures the machine's memory, so read it beside
the plain ``dict``.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import platform
import random
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, thread_time

from .stores import STORES, Alone, Bare, Cachebox, Cachetools, Memory, key
from .table import table
from .timing import calls_a_second, quantile, seconds_each

HOT, COLD = 1_000, 20_000
TIMED, PUTS = 20_000, 200_000  # enough for every shard of a full store to be rebuilt once
LEAST_HITS, NO_COLLAPSE, MOST_BYTES, LONGEST_PUT = 1_000_000, 0.8, 250, 0.005
PACKAGES = {Cachetools: "cachetools", Cachebox: "cachebox"}


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks store", description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of the large store (1,000,000)")
    parser.add_argument("--small", type=int, default=10_000, help="entries of the small store (10,000)")
    options = parser.parse_args(argv)
    started = perf_counter()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    stores = [store for store in STORES if _installed(store)]
    met = True
    for most in sorted({options.small, options.entries}):
        alone = {value: _apart(_fill_alone, value, most) for value in {store.counts_as_value for store in stores}}
        measured = {store: _apart(_measure, store, most, alone[store.counts_as_value]) for store in stores}
        bare = _apart(_fill_new, Bare, most) - alone[Bare.counts_as_value]
        print(f"\n{_speed(most, measured)}\n\n{_cost(most, measured)}", flush=True)
        met = _judge(most, measured[Memory], bare, with_memory=most == options.entries) and met
    print(f"\nTook {perf_counter() - started:.0f} s.")
    return 0 if met else 1


def _installed(store):
    package = PACKAGES.get(store)
    if package is None or find_spec(package) is not None:
        return True
    print(f"SKIPPED: {store.name}, since {package} is not installed")
    return False


def _apart(work, *args):
    """Return what ``work`` returns in a fresh process, whose memory has seen nothing else."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def _measure(store_class, most, alone):
    """Return the figures of one store, which must do with ``alone`` bytes an entry if it is to take none itself."""
    store = store_class(most)
    grown = _fill(store, most)
    collection = _seconds_of(gc.collect)
    numbers = random.Random(1).sample(range(most), min(COLD, most))
    cold = [key(number) for number in numbers]
    hot = cold[:HOT]
    times = COLD // len(hot)
    assert None not in map(store.get, cold), f"{store.name} lost an entry: these would be no hits"
    result = {
        "one": calls_a_second(store.get, hot, threads=1, times=5 * times),
        "four": calls_a_second(store.get, hot, threads=4, times=2 * times),
        "cold": calls_a_second(store.get, cold, threads=1, times=3),
        "replace": quantile(seconds_each(store.put, [(key(n), store.value(n)) for n in numbers]), 0.5),
    }
    return result | _evict(store, most) | {"collection": collection, "bytes": grown, "own": grown - alone}


def _evict(store, start):
    """Put new entries into the full store; return what a put takes, and the longest pass of the GC meanwhile."""
    seconds = seconds_each(store.put, _pairs(store, start, start + TIMED))
    with _collections() as passes:
        worked = seconds_each(store.put, _pairs(store, start + TIMED, start + TIMED + PUTS), clock=thread_time)
    return {
        "evict": quantile(seconds, 0.5), "p9999": quantile(worked, 0.9999), "longest": worked[-1],
        "pause": max(passes),
    }  # fmt: skip


def _pairs(store, start, stop):
    return ((key(number), store.value(number)) for number in range(start, stop))


def _fill_new(store_class, most):
    return _fill(store_class(most), most)


def _fill_alone(value, most):
    return _fill(Alone(most, value), most)


def _fill(store, most):
    """Return by how many bytes an entry the process grew."""
    before = _memory()
    for name, value in _pairs(store, 0, most):
        store.put(name, value)
    return (_memory() - before) / most


def _memory():
    """Return the bytes of memory that this process has; Linux alone says so without another package."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else math.nan


def _seconds_of(call):
    started = perf_counter()
    call()
    return perf_counter() - started


@contextmanager
def _collections():
    """Give a list of how long each pass of the garbage collector takes meanwhile, in seconds."""
    taken, started = [0.0], 0.0

    def told(phase, info):
        nonlocal started
        if phase == "start":
            started = perf_counter()
        else:
            taken.append(perf_counter() - started)

    gc.callbacks.append(told)
    try:
        yield taken
    finally:
        gc.callbacks.remove(told)


def _speed(most, measured):
    ours = measured[Memory]
    return table(
        f"Speed, {most:,} entries (x: times ours)",
        ("store", "hits/s, hot", "x", "4 threads", "x", "cold", "x", "replace", "x", "put + evict", "x"),
        [
            (
                store.name,
                f"{m['one']:,.0f}", f"{m['one'] / ours['one']:.2f}",
                f"{m['four']:,.0f}", f"{m['four'] / ours['four']:.2f}",
                f"{m['cold']:,.0f}", f"{m['cold'] / ours['cold']:.2f}",
                f"{m['replace'] * 1e6:.2f} µs", f"{m['replace'] / ours['replace']:.2f}",
                f"{m['evict'] * 1e6:.2f} µs", f"{m['evict'] / ours['evict']:.2f}",
            )
            for store, m in measured.items()
        ],
    )  # fmt: skip


def _cost(most, measured):
    return table(
        f"Memory and pauses, {most:,} entries",
        (
            "store", "bytes/entry in all", "over key and value", "put p99.99", "longest put",
            "longest GC pass meanwhile", "a full gc.collect()",
        ),
        [
            (
                store.name, f"{m['bytes']:,.0f}", f"{m['own']:,.0f}", f"{m['p9999'] * 1e3:.2f} ms",
                f"{m['longest'] * 1e3:.2f} ms", f"{m['pause'] * 1e3:.2f} ms", f"{m['collection'] * 1e3:.0f} ms",
            )
            for store, m in measured.items()
        ],
    )  # fmt: skip


def _judge(most, ours, bare, *, with_memory):
    """Print whether each target was met; return whether all were. That of memory is one of the large store."""
    four = ours["four"] / ours["one"]
    targets = [
        ("hits/s from one thread, at least", f"{ours['one']:,.0f} of {LEAST_HITS:,}", ours["one"] >= LEAST_HITS),
        ("no collapse with four threads: times one", f"{four:.2f} of {NO_COLLAPSE}", four >= NO_COLLAPSE),
        (
            "longest put in a full store",
            f"{ours['longest'] * 1e3:.2f} of {LONGEST_PUT * 1e3:.0f} ms",
            ours["longest"] <= LONGEST_PUT,
        ),
    ]
    if with_memory:
        targets += [
            (what, f"{size:.0f} of {MOST_BYTES}", not size > MOST_BYTES)
            for what, size in (
                ("bytes over key and entry", ours["own"]),
                ("bytes over key and body, where an entry has no more", bare),
            )
        ]
    print(f"\nTargets for {Memory.name} at {most:,} entries")
    for target, figure, met in targets:
        print(f"  {'met' if met else 'MISSED':8}{target}: {figure}")
    return all(met for *_, met in targets)
