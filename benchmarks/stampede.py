"""``python -m benchmarks stampede``: many who ask the same at once, and what each of the caches makes of it.

Half of them are threads, half are tasks of one event loop (of a cache that has no async way, all are threads). The
provider takes a second; its own counter says how often it was asked. Then: what a million keys leave behind, and what a
hit takes beside a job in Django's one thread.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asgiref.sync import sync_to_async

from django_llmcache import achat
from django_llmcache.contrib.demo.standin import Reply, StandIn
from django_llmcache.singleflight import SingleFlight

from .contenders import KEY, Contender, LocMem, live
from .hit import _configure, _installed
from .questions import ANSWER, QUESTIONS
from .table import table
from .timing import quantile

LATENCY = 1.0
KEYS = 1_000_000
JOB = 0.5  # seconds
TARGET = 0.05  # seconds from the upstream's answer to the last one who has it


class Ours(Contender):
    name = "chat() and achat()"
    is_async = True

    def __init__(self, url):
        from django_llmcache import achat, chat

        self._chat, self._achat = chat, achat

    def __call__(self, body):
        return self._chat("openai", **body).text

    async def acall(self, body):
        return (await self._achat("openai", **body)).text


class GetOrSet(LocMem):
    is_async = False


class Locked(Contender):
    """A lock around it all: one call, and whoever asks anything else waits as well."""

    name = "one lock around a dictionary"
    is_async = False

    def __init__(self, url):
        self._ask, self._lock, self._kept = live(url), threading.Lock(), {}

    def __call__(self, body):
        with self._lock:
            key = str(body)
            if key not in self._kept:
                self._kept[key] = self._ask(body)
            return self._kept[key]


class LiteLLM(Contender):
    name = "LiteLLM in-memory cache"
    package = "litellm"
    is_async = False

    def __init__(self, url):
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network at import
        import litellm
        from litellm.caching.caching import Cache

        litellm.cache = Cache()
        self._completion, self._url = litellm.completion, url

    def __call__(self, body):
        words = {**body, "model": f"openai/{body['model']}", "api_base": f"{self._url}/v1", "api_key": KEY}
        return self._completion(**words, caching=True).choices[0].message.content


CONTENDERS = (Ours, GetOrSet, Locked, LiteLLM)


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks stampede", description=__doc__.partition("\n")[0])
    parser.add_argument("--askers", type=int, default=1000, help="how many ask at once (1000)")
    options = parser.parse_args(argv)
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    _configure()
    rows, ours = [], None
    for kind in CONTENDERS:
        if not _installed(kind):
            continue
        # The others make a call for each: a hundred of them are enough to see it.
        askers = options.askers if kind is Ours else min(options.askers, 100)
        with Watched(latency=LATENCY) as provider:
            os.environ["OPENAI_API_KEY"] = KEY
            _configure(provider.url)
            late = _stampede(kind(provider.url), provider, askers)
            rows.append((kind.name, str(askers), str(provider.calls), f"{late * 1000:,.0f} ms"))
            if kind is Ours:
                ours = (provider.calls, late)
    print(f"\n{table('Many ask the same at once', ('', 'askers', 'upstream calls', 'the last has it after'), rows)}")
    met = ours is not None and ours[0] == 1 and ours[1] <= TARGET
    print(
        f"\n{'met' if met else 'MISSED'}: one call, and all have its answer {TARGET * 1000:.0f} ms after the upstream's"
    )
    return 0 if all((met, _keeps_nothing_of_a_million(), _hits_while_djangos_thread_is_busy())) else 1


def _keeps_nothing_of_a_million():
    """Print whether calls of a million names leave anything behind."""
    flights = SingleFlight()
    before = _resident()
    for number in range(KEYS):
        flights.do(number, _nothing, patience=1)
    grown = _resident() - before
    good = len(flights) == 0 and grown < 8
    print(f"{'met' if good else 'MISSED'}: {KEYS:,} keys leave {len(flights)} flights and {grown:.1f} MiB behind")
    return good


def _nothing():
    return None


def _resident():
    """Return the MiB that this process has in memory; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


def _hits_while_djangos_thread_is_busy():
    """Print how long a hit takes while an unrelated job has the one thread of ``sync_to_async``."""
    body = QUESTIONS[0].fresh()

    async def ask():
        await achat("openai", **body)
        job = asyncio.create_task(sync_to_async(time.sleep)(JOB))
        await asyncio.sleep(0.01)
        taken = []
        while not job.done() and len(taken) < 1000:
            started = time.perf_counter()
            answer = await achat("openai", **body)
            taken.append(time.perf_counter() - started)
            assert answer.from_cache
        was_busy = not job.done()
        await job
        return quantile(sorted(taken), 0.99), was_busy

    with Watched(latency=0) as provider:
        _configure(provider.url)
        slowest, was_busy = asyncio.run(ask())
    good = was_busy and slowest < 0.001
    told = f"beside a job in sync_to_async's thread, 99 of 100 hits take at most {slowest * 1e6:.0f} us"
    print(f"{'met' if good else 'MISSED'}: {told}")
    return good


class Watched(StandIn):
    """The stand-in, which gives everybody the same answer."""

    def start(self):
        super().start()
        self.script(*[Reply(body=ANSWER)] * 1000)
        return self


def _stampede(contender, provider, askers):
    """Return how many seconds after the upstream's first answer the last asker had it."""
    body = QUESTIONS[0].fresh()
    ended: list[float] = []
    threads = askers // 2 if contender.is_async else askers
    begin = threading.Barrier(threads + contender.is_async)

    def ask():
        begin.wait()
        contender(dict(body))
        ended.append(time.perf_counter())

    async def all_tasks():
        async def aask():
            await contender.acall(dict(body))
            ended.append(time.perf_counter())

        begin.wait()
        await asyncio.gather(*(aask() for _ in range(askers - threads)))

    with ThreadPoolExecutor(threads + 1) as pool:
        asked = [pool.submit(ask) for _ in range(threads)]
        if contender.is_async:
            asked.append(pool.submit(asyncio.run, all_tasks()))
        for each in asked:
            each.result()
    return max(ended) - min(ended)
