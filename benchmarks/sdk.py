"""``python -m benchmarks sdk``: a hit through the OpenAI SDK, on our cached client and on other caches.

All in one process, on the same bytes, in turns, as ``python -m benchmarks hit``. The SDK's own work is what the same
call takes over a client that has the answer in its hand; what ours takes beyond that is our share.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sqlite3

from django_llmcache.contrib.demo.standin import StandIn

from .contenders import KEY, Contender, LiteLLM
from .hit import _configure, _installed, _measure
from .questions import ANSWER, QUESTIONS
from .table import table
from .timing import quantile

ROUNDS = {"small": 100, "medium": 60, "large": 20}
TARGET = 0.15  # our share of the hit on a small request


class SDK(Contender):
    """The OpenAI SDK over an HTTP client."""

    package = "openai"

    def __init__(self, url):
        import openai

        self._client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, http_client=self.http())

    def http(self):
        raise NotImplementedError

    def __call__(self, body):
        return self._client.chat.completions.create(**body).choices[0].message.content


class InHand(SDK):
    """Over a client that has the answer in its hand: the SDK's own work, and the HTTP library's."""

    name = "the SDK's own work"

    def http(self):
        import httpx2

        class Client(httpx2.Client):
            def send(self, request, **options):
                headers = {"content-type": "application/json"}
                return httpx2.Response(200, headers=headers, content=ANSWER, request=request)

        return Client()


class Ours(SDK):
    name = "cached_client()"

    def http(self):
        from django_llmcache.transports import cached_client

        return cached_client()


class Hishel(SDK):
    """Hishel's transport. It caches no POST, so it is told to, and to key the body as well."""

    name = "hishel, SQLite in memory"

    def __init__(self, url):
        import hishel.httpx2._sync as hishel

        hishel.CACHEABLE_METHODS = frozenset({"POST"})
        super().__init__(url)

    def http(self):
        import httpx2
        from hishel import SqliteStorage
        from hishel.httpx2._sync import CacheTransport

        class Keyed(CacheTransport):
            def handle_request(self, request):
                key = hashlib.sha256(str(request.url).encode() + request.read()).hexdigest()
                request.extensions = {**request.extensions, "caching": {"key": key}}
                return super().handle_request(request)

        storage = SqliteStorage(connection=sqlite3.connect(":memory:", check_same_thread=False))
        return httpx2.Client(transport=Keyed(next_transport=httpx2.HTTPTransport(), storage=storage))


class Live(SDK):
    """The bare SDK, which asks the server on loopback each time."""

    name = "no cache, a server on loopback"

    def http(self):
        import httpx2

        return httpx2.Client()


CONTENDERS = (InHand, Ours, Hishel, LiteLLM, Live)


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks sdk", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=float, default=1.0, help="times as many rounds as usual (1)")
    options = parser.parse_args(argv)
    _configure()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    present = [contender for contender in CONTENDERS if _installed(contender)]
    shares = {}
    with StandIn(latency=0) as provider:
        os.environ["OPENAI_API_KEY"] = KEY
        _configure(provider.url)
        for question in QUESTIONS:
            rounds = max(1, int(ROUNDS[question.name] * options.rounds))
            measured = _measure(question, present, provider, rounds, live=Live)
            print(f"\n{_report(question, measured)}")
            shares[question.name] = 1 - quantile(measured[InHand], 0.5) / quantile(measured[Ours], 0.5)
    return 0 if _judge(shares) else 1


def _report(question, measured):
    own = quantile(measured[InHand], 0.5)
    return table(
        f"A hit through the OpenAI SDK on a {question.name} request, {len(question.body) / 1000:.1f} KB",
        ("", "median", "beyond the SDK's own", "p99"),
        [
            (
                contender.name,
                f"{quantile(seconds, 0.5) * 1e6:,.0f} µs",
                f"{(quantile(seconds, 0.5) - own) * 1e6:,.0f} µs",
                f"{quantile(seconds, 0.99) * 1e6:,.0f} µs",
            )
            for contender, seconds in measured.items()
        ],
    )


def _judge(shares):
    """Print our share of each hit; return whether it is as small as it is to be."""
    print("\nOur share of a hit through cached_client()")
    for name, share in shares.items():
        print(f"  {'met' if share <= TARGET else 'MISSED':8}{name}: {share:.1%} of at most {TARGET:.0%}")
    return all(share <= TARGET for share in shares.values())
