"""cache.get, delete, clear and stats, and their async twins."""

from __future__ import annotations

import asyncio
import enum
import itertools
import json

import pytest

from django_llmcache import CachePolicy, LLMRequest, cache, workers
from django_llmcache.exceptions import BackendUnavailableError, ConfigurationError
from tests.pipeline.world import ask

BROKEN = "tests.pipeline.deciders.Broken"
SOME_KEY = f"llmcache:1.1:-:{'0' * 64}"
twins = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def call(name, *args, is_async=False, **words):
    if is_async:
        return asyncio.run(getattr(cache, f"a{name}")(*args, **words))
    return getattr(cache, name)(*args, **words)


def store(provider="openai", model="m-1", scope=None, tag="faq", number=0):
    request = LLMRequest(provider, operation="search", model=model, payload={"number": number})
    wanted = CachePolicy(scope=scope, tags=[tag])
    return cache.with_cache(request, lambda _: {"found": number}, policy=wanted)


@twins
def test_get_gives_the_stored_answer_by_its_key(is_async, events):
    live = ask()
    events.clear()

    stored = call("get", live.cache.key, is_async=is_async)

    assert (stored.body, stored.from_cache, stored.cache.key) == (live.body, True, live.cache.key)
    assert events == []


@twins
def test_get_gives_none_for_what_is_not_there(is_async):
    assert call("get", "llmcache:1.1:-:0", is_async=is_async) is None


@twins
def test_get_gives_none_where_the_store_fails_and_tells_of_it(configure, is_async, events):
    configure(BACKEND=BROKEN, OPTIONS={"FAILS": ["get"]})

    assert call("get", SOME_KEY, is_async=is_async) is None
    (error,) = events.of("error")
    assert (error["key"], error["operation"]) == (SOME_KEY, "get")
    assert error["sender"].__name__ == "ProductionStrategy"


@twins
@pytest.mark.parametrize("key", ["\ud800", "", "a b", "llmcache:1.1:-:0", f"{SOME_KEY}\n"])
@pytest.mark.parametrize(("name", "told"), [("get", None), ("delete", False)])
def test_for_what_is_no_key_nobody_is_asked(configure, is_async, events, name, told, key):
    """Else who looks up what somebody sent in could make the breaker open."""
    configure(BACKEND=BROKEN, OPTIONS={"FAILS": ["get", "delete"]})

    assert call(name, key, is_async=is_async) is told
    assert events == []


@twins
@pytest.mark.parametrize(("name", "words"), [("delete", [SOME_KEY]), ("clear", [])], ids=["delete", "clear"])
@pytest.mark.parametrize(
    ("llmcache", "said"),
    [
        ({"BACKEND": BROKEN, "OPTIONS": {"FAILS": ["delete", "clear"]}}, r"broken could not (clear|delete)"),
        ({"BACKEND": "tests.pipeline.deciders.Unmade"}, "could not be made"),
    ],
    ids=["broken", "unmade"],
)
def test_who_asks_for_something_to_be_gone_hears_by_one_class_that_it_is_not(
    configure, is_async, name, words, llmcache, said
):
    configure(**llmcache)

    with pytest.raises(BackendUnavailableError, match=f"{said}: ConnectionError: the store is down"):
        call(name, *words, is_async=is_async)


@twins
def test_get_gives_none_for_what_is_no_entry(configure, is_async, events):
    configure(BACKEND="tests.pipeline.deciders.Garbled")

    assert call("get", SOME_KEY, is_async=is_async) is None
    assert len(events.of("error")) == 1


@pytest.mark.parametrize("name", ["stats", "get"])
def test_a_setting_that_cannot_work_is_no_failure_of_the_store(configure, name):
    configure(BACKEND="no.such.Backend")

    with pytest.raises(ConfigurationError):
        call(name, *([SOME_KEY] if name == "get" else []))


@twins
def test_delete_says_whether_there_was_one(is_async, events):
    key = ask().cache.key

    assert [call("delete", key, is_async=is_async) for _ in range(2)] == [True, False]
    assert cache.get(key) is None
    assert [evicted["reason"] for evicted in events.of("evict")] == ["deleted"]


CONDITIONS = {"provider": "openai", "model": "m-1", "scope": "user:1", "tag": "faq"}


@pytest.mark.parametrize(
    "names", [names for count in range(5) for names in itertools.combinations(CONDITIONS, count)], ids="+".join
)
def test_clear_removes_what_meets_every_condition_and_says_how_many(names):
    """Sixteen entries, one for each combination of meeting the four conditions or not."""
    others = {"provider": "gemini", "model": "m-2", "scope": "user:2", "tag": "other"}
    every = [
        {name: (CONDITIONS if meets else others)[name] for name, meets in zip(CONDITIONS, mask, strict=True)}
        for mask in itertools.product([True, False], repeat=4)
    ]
    stored = [(words, store(**words, number=number).cache.key) for number, words in enumerate(every)]

    cleared = cache.clear(**{name: CONDITIONS[name] for name in names})

    left = [words for words, key in stored if cache.get(key)]
    assert left == [words for words in every if any(words[name] != CONDITIONS[name] for name in names)]
    assert cleared == 16 - len(left) == 2 ** (4 - len(names))


@twins
def test_clear_without_a_condition_removes_everything(is_async, events):
    for number in range(3):
        store(number=number)

    assert call("clear", is_async=is_async) == 3
    assert cache.stats().entries == 0
    assert [evicted["reason"] for evicted in events.of("evict")] == ["cleared"] * 3


@twins
def test_clear_takes_a_key(is_async):
    first, second = store(number=1), store(number=2)

    assert call("clear", key=first.cache.key, is_async=is_async) == 1
    assert (cache.get(first.cache.key), cache.get(second.cache.key).data) == (None, {"found": 2})


def test_a_key_and_a_condition_must_both_be_met():
    key = store(tag="faq").cache.key

    assert cache.clear(key=key, tag="other") == 0
    assert cache.clear(key=key, tag="faq") == 1


@pytest.mark.parametrize("name", [*CONDITIONS, "key"])
def test_a_condition_that_is_no_text_removes_nothing_here_or_elsewhere(name):
    store()
    before = list(workers.run_dir().rglob("clears/*.json"))

    with pytest.raises(ConfigurationError, match=f"{name} is 5; give a text"):
        cache.clear(**{name: 5})

    assert cache.stats().entries == 1
    assert list(workers.run_dir().rglob("clears/*.json")) == before


@twins
@pytest.mark.parametrize("name", [*CONDITIONS, "key"])
def test_a_condition_that_is_empty_removes_nothing_and_says_so(name, is_async):
    store()

    with pytest.raises(ConfigurationError, match=rf"^{name} is empty.* Nothing was removed"):
        call("clear", is_async=is_async, **{name: ""})

    assert cache.stats().entries == 1


@pytest.mark.parametrize("name", ["provider", "model", "key"])
def test_a_condition_that_no_answer_can_meet_removes_nothing_and_says_so(name):
    store()

    with pytest.raises(ConfigurationError, match=rf"^{name} is .*half of a character.* Nothing was removed"):
        cache.clear(**{name: "a\ud800"})

    assert cache.stats().entries == 1


def test_an_answer_is_cleared_by_a_tag_with_half_a_character():
    store(tag="topic \ud83d")
    store(tag="topic")

    assert cache.clear(tag="topic \ud83d") == 1


class Named(str, enum.Enum):  # noqa: UP042 - a StrEnum is shown by its text
    OPENAI = "openai"
    MODEL = "m-1"


def test_an_enum_is_the_provider_or_the_model_that_it_names():
    store(provider=Named.OPENAI, model=Named.MODEL)

    assert store().from_cache
    assert list(cache.stats().by_model) == ["openai/m-1"]
    assert cache.clear(provider=Named.OPENAI, model=Named.MODEL) == 1


def test_clear_public_removes_what_is_shared():
    store(scope=None)
    store(scope="user:1")

    assert cache.clear(scope="public") == 1
    assert cache.stats().entries == 1


@twins
def test_stats_tell_what_happened_and_what_is_there(is_async):
    saved = cache.stats().tokens_saved
    live = ask()
    ask()
    ask(cache=False)
    ask(ttl=0, sample=1)

    stats = call("stats", is_async=is_async)

    assert (stats.backend, stats.entries, stats.processes) == ("memory", 1, 1)
    assert stats.bytes > len(live.body)
    assert (stats.hits, stats.misses, stats.puts, stats.errors) == (1, 2, 1, 0)
    assert stats.hit_rate == pytest.approx(1 / 3)
    assert (stats.bypassed, stats.not_stored) == ({"disabled": 1}, {"disabled": 1})
    assert stats.tokens_saved - saved == live.usage.total_tokens


def test_stats_are_json_by_the_same_names():
    ask()
    ask()
    cache.clear()
    stats = cache.stats()

    told = json.loads(json.dumps(stats.as_dict()))

    assert told == {**stats._asdict(), "hit_rate": stats.hit_rate}
    assert told["evictions"] == {"cleared": 1}


def test_a_count_of_tokens_that_no_answer_has_spoils_no_statistics():
    """A few of them would add up to more than JSON's readers take: no shell could read this worker any more."""
    request = LLMRequest("openai", payload={"messages": []})
    body = b'{"choices": [{"message": {"content": "Hi"}}], "usage": {"prompt_tokens": 7, "completion_tokens": %d}}'
    for _ in range(5):
        cache.with_cache(request, lambda _: body % (2**64 - 1))

    workers.current().look(publish=True)

    assert [worker.stats["tokens_saved"] for worker in workers.published()] == [4 * 7]


@twins
def test_stats_of_a_store_that_fails_still_tell_what_was_counted(configure, events, is_async):
    configure(BACKEND=BROKEN, OPTIONS={"FAILS": ["stats"]})
    ask()
    ask()

    stats = call("stats", is_async=is_async)

    assert (stats.backend, stats.hits, stats.entries, stats.errors) == ("broken", 1, 0, 1)
    assert events.of("error")[0]["operation"] == "stats"


@pytest.mark.parametrize("key", [[], None, 5, b"llmcache:1.1"], ids=repr)
def test_what_is_no_key_cannot_be_deleted(key):
    with pytest.raises(ConfigurationError, match=r"give a text, such as response\.cache\.key\. Nothing was removed\."):
        cache.delete(key)
    with pytest.raises(ConfigurationError, match="key is"):
        asyncio.run(cache.adelete(key))
