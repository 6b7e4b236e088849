"""``python -m benchmarks shared``: a hit on Redis and Memcached, beside other caches on the same servers.

The servers are real, started on loopback for this run and ended with it, and so is the provider, whose own counter
proves that no timed call went there. All contenders take turns in one process. Redis itself tells how many commands a
hit takes.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
from time import monotonic

from django_llmcache.contrib.demo.standin import Reply, StandIn
from django_llmcache.sitestats import publisher
from tests import stores

from .contenders import KEY, TTL, Chat, LangChain, LiteLLM, LocMem, live
from .hit import _never, _report, _seconds_each
from .questions import ANSWER, QUESTIONS
from .timing import quantile

ASKED = QUESTIONS[:2]  # small and medium
MOST_TIERED = 1.5  # times the in-process hit
MOST_COMMANDS = 1.0  # for each hit
DJANGO_CACHE, TIERED = (
    f"django_llmcache.backends.{name}" for name in ("django_cache.DjangoCacheBackend", "tiered.TieredBackend")
)
DJANGO = "django.core.cache.backends"
RAW = "django_llmcache.backends.serializers"


class Ours(Chat):
    """``chat()`` with a backend."""

    backend = {}

    def __init__(self, url):
        super().__init__(url)
        self._url = url

    def enter(self):
        """Put its settings in force."""
        configure(self.backend | {"PROVIDERS": {"openai": {"BASE_URL": f"{self._url}/v1"}}})


class Memory(Ours):
    name = "chat(), in-process"


class OnRedis(Ours):
    name = "chat(), RedisCache"
    backend = {"BACKEND": DJANGO_CACHE, "OPTIONS": {"ALIAS": "ours-redis"}}


class OnDjangoRedis(Ours):
    name = "chat(), django-redis"
    backend = {"BACKEND": DJANGO_CACHE, "OPTIONS": {"ALIAS": "ours-django-redis"}}


class OnMemcached(Ours):
    name = "chat(), PyMemcacheCache"
    backend = {"BACKEND": DJANGO_CACHE, "OPTIONS": {"ALIAS": "ours-memcached"}}


class Tiered(Ours):
    name = "chat(), tiered on Redis"
    backend = {"BACKEND": TIERED, "OPTIONS": {"ALIAS": "ours-redis"}}


class GetOrSet(LocMem):
    """The same idiom on another cache."""

    alias = ""

    def __init__(self, url):
        from django.core.cache import caches

        self._cache, self._ask = caches[self.alias], live(url)


class GetOrSetRedis(GetOrSet):
    name, alias = "get_or_set, RedisCache", "redis"


class GetOrSetDjangoRedis(GetOrSet):
    name, alias = "get_or_set, django-redis", "django-redis"


class GetOrSetMemcached(GetOrSet):
    name, alias = "get_or_set, PyMemcacheCache", "memcached"


class LangChainRedis(LangChain):
    name = "LangChain RedisCache"
    package = "langchain_community"

    def __init__(self, url):
        super().__init__(url)
        import redis
        from langchain_community.cache import RedisCache

        self._cache = RedisCache(redis.Redis(port=ports["redis"]))


class LiteLLMRedis(LiteLLM):
    name = "LiteLLM on Redis"

    def __init__(self, url):
        super().__init__(url)
        import litellm
        from litellm.caching.caching import Cache

        litellm.cache = Cache(type="redis", host="127.0.0.1", port=str(ports["redis"]))


OURS = (Memory, Tiered, OnRedis, OnDjangoRedis, OnMemcached)
ON_REDIS = (OnRedis, OnDjangoRedis)
OTHERS = (GetOrSetRedis, GetOrSetDjangoRedis, GetOrSetMemcached, LangChainRedis, LiteLLMRedis)
ports: dict[str, int] = {}


def main(argv):
    parser = argparse.ArgumentParser(prog="python -m benchmarks shared", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=60, help="turns of each contender (60)")
    options = parser.parse_args(argv)
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs")
    servers = {"redis": stores.redis().start(), "memcached": stores.memcached().start()}
    try:
        ports.update({name: server.port for name, server in servers.items()})
        os.environ["OPENAI_API_KEY"] = KEY
        set_up()
        with StandIn(latency=0) as provider:
            measured = {question: measure(question, provider, options.rounds) for question in ASKED}
            commands = {contender: commands_of(contender, provider) for contender in (*ON_REDIS, Tiered)}
        publisher.close()
    finally:
        for server in servers.values():
            server.stop()
    for question, taken in measured.items():
        print(f"\n{_report(question, taken, Memory, 'the in-process hit')}")
    return 0 if judge(measured, commands) else 1


def set_up():
    import django
    from django.conf import settings

    redis, memcached = f"redis://127.0.0.1:{ports['redis']}", f"127.0.0.1:{ports['memcached']}"
    django_redis = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"{redis}/1", "TIMEOUT": TTL}
    pymemcache = {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": memcached,
        "TIMEOUT": TTL,
    }
    plain = {"BACKEND": f"{DJANGO}.redis.RedisCache", "LOCATION": f"{redis}/1", "TIMEOUT": TTL}
    from django_llmcache.backends.serializers import RawSerde

    settings.configure(
        INSTALLED_APPS=["django_llmcache"],
        SECRET_KEY=KEY,
        CACHES={
            "default": {"BACKEND": f"{DJANGO}.locmem.LocMemCache"},
            "redis": plain,
            "django-redis": django_redis,
            "memcached": pymemcache,
            "ours-redis": {**plain, "OPTIONS": {"serializer": f"{RAW}.RawSerializer"}},
            "ours-django-redis": {**django_redis, "OPTIONS": {"SERIALIZER": f"{RAW}.RawSerializer"}},
            "ours-memcached": {**pymemcache, "OPTIONS": {"serde": RawSerde()}},
        },
    )
    django.setup()


def configure(llmcache):
    from django.conf import settings
    from django.core.signals import setting_changed

    settings.LLMCACHE = llmcache
    setting_changed.send(sender=None, setting="LLMCACHE", value=llmcache, enter=True)


def measure(question, provider, rounds):
    """Return each contender's seconds for a hit, sorted."""
    made = {kind: one for kind in (*OURS, *OTHERS) if (one := make(kind, question, provider)) is not None}
    taken = {kind: [] for kind in made}
    live_calls = dict.fromkeys(made, 0)
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        for kind, contender in made.items():
            enter(contender, question, provider)
            asked = provider.calls
            taken[kind] += _seconds_each(contender, question)
            live_calls[kind] += provider.calls - asked
    return {kind: sorted(seconds) for kind, seconds in taken.items() if _never(kind, question, live_calls[kind])}


def make(kind, question, provider):
    """Return a contender, ``None`` where somebody else's does not work here."""
    try:
        contender = kind(provider.url)
        enter(contender, question, provider)
    except Exception as error:
        if kind.package is None:
            raise
        print(f"SKIPPED: {kind.name} on a {question.name} request: {error!r:.200}")
        return None
    return contender


def enter(contender, question, provider):
    """Put a contender's settings in force, and let it have the answer."""
    if isinstance(contender, Ours):
        contender.enter()
    for _ in range(3):
        provider.script(Reply(body=ANSWER))
        contender(*contender.given(question.fresh()))


def commands_of(kind, provider, hits=200):
    """Return how many commands Redis did for each hit, and how many a second beside them, for the counts."""
    import redis

    question = QUESTIONS[0]
    contender = kind(provider.url)
    enter(contender, question, provider)
    server = redis.Redis(port=ports["redis"])
    server.config_resetstat()
    started = monotonic()
    for _ in range(hits):
        contender(*contender.given(question.fresh()))
    seconds = monotonic() - started
    done = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in server.info("commandstats").items()}
    return {name: n for name, n in done.items() if name not in {"info", "config|resetstat"}}, hits, seconds


def judge(measured, commands):
    """Print whether each target was met; return whether all were."""
    met = []
    for question, taken in measured.items():
        size = question.name
        ours = quantile(taken[OnRedis], 0.5)
        others = {k.name: quantile(s, 0.5) for k, s in taken.items() if k in OTHERS and k is not GetOrSetMemcached}
        best = min(others, key=others.get)
        met.append(
            tell(
                f"{size}: the fastest on Redis, {ours * 1e6:.0f} µs; {best}",
                ours * 1e6,
                others[best] * 1e6,
                ours <= others[best],
            )
        )
        ratio = quantile(taken[Tiered], 0.5) / quantile(taken[Memory], 0.5)
        met.append(tell(f"{size}: tiered, times in-process", ratio, MOST_TIERED, ratio <= MOST_TIERED))
    for kind, (done, hits, seconds) in commands.items():
        reads = sum(n for name, n in done.items() if name in {"get", "mget"}) / hits
        print(f"          {kind.name}: {hits} hits in {seconds:.2f} s took {done}")
        met.append(tell(f"{kind.name}: reads for each hit", reads, MOST_COMMANDS, reads <= MOST_COMMANDS + 4 / hits))
    print("\nThe provider's own counter: none of these calls went to it.")
    return all(met)


def tell(what, value, target, met):
    print(f"  {'met' if met else 'MISSED':8}{what}: {value:.4g} of {target:.4g}")
    return met
