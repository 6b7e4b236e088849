"""What the response cache tells of itself: signals, counters and log lines, as docs/telemetry.md says."""

from __future__ import annotations

import asyncio
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.dispatch import Signal

from django_llmcache import LLMRequest, cache, signals
from django_llmcache.contrib.demo.standin import Reply
from django_llmcache.exceptions import ProviderError
from django_llmcache.stats import CacheStats
from django_llmcache.strategies import ProductionStrategy
from tests.pipeline.deciders import OwnClock
from tests.pipeline.pages import TELEMETRY, names, rows
from tests.pipeline.world import KEY, aask, ask, configure, events, fate

__all__ = ["configure", "events"]

PACKAGE = Path(signals.__file__).parent
DECIDERS = "tests.pipeline.deciders"


def ask_on_loop(**words):
    """Return the answer when the tasks that tell async receivers are done as well."""

    async def run():
        answer = await aask(**words)
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
        return answer

    return asyncio.run(run())


both_ways = pytest.mark.parametrize("call", [ask, ask_on_loop], ids=["chat", "achat"])


@pytest.fixture(autouse=True)
def project(configure):
    """Every test here runs in a project with one provider."""


DOCUMENTED = {names(signal)[0]: set(names(arguments)) for signal, _, arguments in rows(TELEMETRY, "## Signals")}
OF_TESTS = {
    names(signal)[0]: set(names(arguments)) for signal, _, arguments in rows(TELEMETRY, "## Signals of the test cache")
}


def every_event(configure):
    """Make one of each: a miss, a put, a hit, an eviction and an error."""
    ask()
    ask()
    cache.clear()
    ask(temperature=float("nan"))


def test_every_signal_is_documented():
    declared = {name for name, value in vars(signals).items() if isinstance(value, Signal)}

    assert DOCUMENTED.keys() == {f"cache_{name}" for name in ("hit", "miss", "put", "evict", "error")}
    assert OF_TESTS.keys() == {f"test_cache_{name}" for name in ("hit", "miss", "save", "error")}
    assert declared == DOCUMENTED.keys() | OF_TESTS.keys()


def test_every_signal_gives_the_documented_arguments(configure, events):
    every_event(configure)

    told = {f"cache_{name}": details.keys() - {"sender"} for name, details in events}
    assert told == DOCUMENTED


def test_every_argument_is_explained():
    explained = {
        names(row[0])[0]
        for row in rows(
            TELEMETRY, "| `cache_error` | the cache failed, and the call went on | `key`, `operation`, `error` |"
        )
    }

    assert explained == set().union(*DOCUMENTED.values())


def test_every_operation_that_fails_somewhere_is_documented():
    [told] = [told for name, told in rows(TELEMETRY, "## Signals", 1) if name == "`operation`"]
    calls = re.compile(r'(?:emit(?:_failure)?\(|partial\(emit).*operation="(\w+)"|_tell\(error, \w+, "(\w+)"\)')
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]

    assert {"".join(found) for source in sources for found in calls.findall(source)} == set(names(told))


def test_the_arguments_say_what_happened(configure, events):
    configure(DEFAULT_TTL=60)
    live = ask()
    stored = cache.stats().bytes
    ask()
    cache.delete(live.cache.key)

    (miss,), (put,), (hit,), (gone,) = (events.of(name) for name in ("miss", "put", "hit", "evict"))
    common = {"sender": ProductionStrategy, "key": live.cache.key, "provider": "openai", "model": "gpt-4o-mini"}
    assert miss == {**common, "reason": None}
    assert put == {**common, "size": put["size"], "ttl": 60}
    assert put["size"] == stored > len(live.body)
    assert hit == {**common, "age": hit["age"], "usage": live.usage}
    assert 0 <= hit["age"] < 60
    assert gone == {**common, "reason": "deleted"}


def test_a_receiver_may_choose_its_sender():
    heard = []

    def hear(**details):
        heard.append(details["sender"])

    signals.cache_miss.connect(hear, sender=ProductionStrategy)
    try:
        ask()
    finally:
        signals.cache_miss.disconnect(hear, sender=ProductionStrategy)

    assert heard == [ProductionStrategy]


@pytest.mark.parametrize("reason", ["expired", "capacity", "deleted", "cleared"])
def test_an_eviction_says_why(configure, events, reason):
    OwnClock.now[0] = 0.0
    configure(BACKEND=f"{DECIDERS}.OwnClock", OPTIONS={"MAX_ENTRIES": 1})
    key = ask(ttl=60).cache.key
    match reason:
        case "expired":
            OwnClock.now[0] = 60.0
            ask(ttl=0)
        case "capacity":
            ask(sample=1)
        case "deleted":
            cache.delete(key)
        case "cleared":
            cache.clear(model="gpt-4o-mini")

    assert [(gone["key"], gone["reason"]) for gone in events.of("evict")] == [(key, reason)]
    assert cache.stats().evictions == {reason: 1}


@pytest.fixture
def connect():
    """Return what connects a receiver to a signal for one test."""
    connected = []

    def connect(name, receiver):
        signal = getattr(signals, f"cache_{name}")
        signal.connect(receiver, weak=False)
        connected.append((signal, receiver))

    yield connect
    for signal, receiver in connected:
        signal.disconnect(receiver)


async def fails_async(**details):
    raise LookupError("a receiver's own")


def fails(**details):
    raise LookupError("a receiver's own")


@both_ways
@pytest.mark.parametrize("receiver", [fails, fails_async])
def test_receivers_that_raise_break_nothing_and_are_logged(connect, configure, provider, caplog, call, receiver):
    for name in ("hit", "miss", "put", "evict", "error"):
        connect(name, receiver)

    fates = [fate(call()), fate(call())]
    cache.clear()
    fates.append(fate(call(temperature=float("nan"))))

    assert fates == [("miss", None), ("hit", None), ("bypass", "unencodable")]
    failures = [record for record in caplog.records if "a receiver's own" in record.getMessage()]
    assert len(failures) == 6  # two misses, and one of each other event
    assert {record.name for record in failures} == {"django.dispatch"}


def test_the_others_hear_of_an_event_that_one_could_not_bear(connect, events):
    connect("miss", fails)
    heard = []
    connect("miss", lambda **details: heard.append(details["provider"]))

    ask()

    assert heard == ["openai"]


@both_ways
def test_async_receivers_hear_of_sync_and_of_async_calls(connect, call):
    heard = []

    async def hear(signal, **details):
        await asyncio.sleep(0)
        heard.append(details["provider"])

    connect("miss", hear)
    connect("hit", hear)

    call()
    call()

    assert heard == ["openai", "openai"]


def test_plain_receivers_are_called_before_an_async_call_goes_on(connect, provider):
    calls = []
    connect("miss", lambda **details: calls.append(provider.calls))

    asyncio.run(aask())

    assert calls == [0]


def test_every_counter_is_documented():
    assert {names(row[0])[0] for row in rows(TELEMETRY, "## Counters")} == cache.stats().as_dict().keys()
    assert {*CacheStats._fields, "hit_rate"} == cache.stats().as_dict().keys()


def test_no_call_of_many_threads_is_lost():
    ask()

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(lambda: [ask() for _ in range(100)]) for _ in range(4)]:
            future.result()

    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.puts) == (400, 1, 1)


def test_each_event_is_one_log_line(configure, caplog):
    caplog.set_level(logging.DEBUG, logger="django_llmcache")

    every_event(configure)

    lines = [
        (record.levelname, *record.getMessage().split()[:2])
        for record in caplog.records
        if record.name == "django_llmcache"
    ]
    assert lines == [
        ("DEBUG", "llmcache", "miss"),
        ("DEBUG", "llmcache", "put"),
        ("DEBUG", "llmcache", "hit"),
        ("DEBUG", "llmcache", "evict"),
        ("WARNING", "llmcache", "error"),
        ("DEBUG", "llmcache", "miss"),
    ]


def test_a_line_looks_as_the_page_shows_it(caplog):
    caplog.set_level(logging.DEBUG, logger="django_llmcache")
    example = re.search(r"^llmcache hit .*$", TELEMETRY, re.MULTILINE).group()

    ask()
    ask()

    def shape(line):
        return re.sub(r"(?<==)[0-9a-f.]+(?=[ ,)]|$)", "…", line)

    assert shape(caplog.records[-1].getMessage()) == shape(example)


def test_a_line_shows_the_start_of_a_digest_and_never_the_whole_key(caplog):
    caplog.set_level(logging.DEBUG, logger="django_llmcache")

    digest = ask(scope="user:1").cache.key.rpartition(":")[2]

    assert f"key={digest[:12]} " in caplog.text
    assert digest[:13] not in caplog.text


def test_a_models_name_cannot_write_a_line_of_its_own(caplog):
    caplog.set_level(logging.DEBUG, logger="django_llmcache")

    ask(model="m\nERROR root logged in\u2028again")

    assert not [record for record in caplog.records if len(record.getMessage().splitlines()) > 1]


@both_ways
def test_no_prompt_no_answer_and_no_api_key_is_logged_or_sent(configure, provider, caplog, events, call):
    caplog.set_level(logging.DEBUG)
    answer = b'{"choices": [{"message": {"content": "canary-answer"}, "finish_reason": "stop"}]}'
    provider.script(Reply(200, answer), Reply(200, answer), Reply(400, f"canary-refusal {KEY}".encode()))
    words = {
        "messages": [{"role": "user", "content": "canary-question"}],
        "scope": "canary-scope",
        "tags": ["canary-tag"],
        "user": "canary-user",
    }

    assert call(**words).text == call(**words).text == "canary-answer"
    cache.clear(scope="canary-scope")
    call(**words, temperature=float("nan"))
    with pytest.raises(ProviderError):
        call(**words)
    configure(BACKEND=f"{DECIDERS}.Broken", OPTIONS={"FAILS": ["get", "put", "entries"]})
    call(**words)
    cache.explain(LLMRequest("mine", payload={"q": "canary-question"}))

    assert {"hit", "miss", "put", "evict", "error"} == set(events.names)
    assert "canary" not in repr(events)
    assert not [record for record in caplog.records if "canary" in record.getMessage()]


def test_the_receivers_of_the_page_count_every_call(configure):
    code = re.search(r"<!-- myproject/receivers\.py -->\n```python\n(.*?)```", TELEMETRY, re.DOTALL).group(1)
    module = {"__name__": "myproject.receivers"}
    exec(code, module)
    try:
        ask()
        ask()
        ask(cache=False)
    finally:
        signals.cache_hit.disconnect(module["count_hit"])
        signals.cache_miss.disconnect(module["count_miss"])

    assert module["calls"] == {("openai", "hit"): 1, ("openai", "miss"): 1, ("openai", "disabled"): 1}
