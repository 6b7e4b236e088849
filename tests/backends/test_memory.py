"""MemoryBackend keeps entries in this process, within hard bounds."""

from __future__ import annotations

import pytest

from django_llmcache.backends import texts
from django_llmcache.backends.clearlog import KEPT
from django_llmcache.backends.memory import MAX_BYTES, MAX_ENTRIES, MemoryBackend
from django_llmcache.entry import Selector
from django_llmcache.exceptions import ConfigurationError

from .contract import Clock, StoringContract, entry_of, fields_of


class TestMemoryBackend(StoringContract):
    def make(self, **settings):
        return MemoryBackend(**settings)


class Store:
    """A small MemoryBackend that notes what it is told."""

    def __init__(self, **options):
        self.clock = Clock()
        self.told = []
        self.backend = MemoryBackend(options, clock=self.clock, on_evict=self._note)

    def _note(self, entry, reason):
        self.told.append((entry.key[-1], reason))

    def put(self, *names, **fields):
        return [self.backend.put(entry_of(name, **fields)) for name in names]

    def read(self, *names):
        return [self.backend.get(entry_of(name).key) is not None for name in names]

    @property
    def names(self):
        return sorted(entry.key[-1] for entry in self.backend.entries())


@pytest.fixture
def small(request):
    """Return a function that makes a small store, closed when the test is over."""

    def make(**options):
        store = Store(**options)
        request.addfinalizer(store.backend.close)
        return store

    return make


def test_it_lives_in_the_process():
    assert MemoryBackend.in_process is True
    assert MemoryBackend.name == "memory"


def test_its_bounds_have_defaults():
    backend = MemoryBackend()

    assert (backend.max_entries, backend.max_bytes) == (MAX_ENTRIES, MAX_BYTES) == (10_000, 256 * 1024 * 1024)


@pytest.mark.parametrize("name", ["MAX_ENTRIES", "MAX_BYTES"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "10", None])
def test_a_bound_that_cannot_work_is_told_with_its_name_and_value(name, value):
    with pytest.raises(ConfigurationError) as raised:
        MemoryBackend({name: value})

    assert str(raised.value) == f"settings.LLMCACHE['OPTIONS'][{name!r}] is {value!r}; give a whole number from 1."


def test_an_unknown_option_is_told_with_those_that_are_known():
    with pytest.raises(ConfigurationError, match=r"OPTIONS.*has MAX_ENTRY, TIMEOUT; .*knows MAX_ENTRIES and MAX_BYTES"):
        MemoryBackend({"TIMEOUT": 3, "MAX_ENTRY": 1, "MAX_BYTES": 10})


def test_it_never_holds_more_entries_than_its_bound(small):
    store = small(MAX_ENTRIES=3)
    for name in "abcdefgh":
        store.put(name)
        assert store.backend.stats().entries <= 3

    assert store.names == ["f", "g", "h"]
    assert store.told == [(name, "capacity") for name in "abcde"]


def test_it_never_holds_more_bytes_than_its_bound(small):
    one = entry_of("a").size
    store = small(MAX_BYTES=3 * one)
    for name in "abcdefgh":
        store.put(name)
        assert store.backend.stats().bytes <= 3 * one
        assert store.read(name) == [True]

    assert len(store.names) == 3
    assert store.backend.stats().bytes == 3 * one


def test_an_entry_larger_than_the_whole_store_is_not_stored_and_drops_none(small):
    store = small(MAX_BYTES=2 * entry_of("a").size)
    store.put("a", "b")

    assert store.put("c", body=b" " * 3000) == [False]
    assert store.names == ["a", "b"]
    assert store.told == []


def test_an_entry_as_large_as_the_whole_store_drops_all_others(small):
    room = entry_of("c", body=b" " * 5000).size
    store = small(MAX_BYTES=room)
    store.put("a", "b")

    assert store.put("c", body=b" " * 5000) == [True]
    assert store.names == ["c"]
    assert store.backend.stats().bytes == room


def test_a_larger_answer_under_the_same_key_drops_others_and_not_itself(small):
    store = small(MAX_BYTES=entry_of("a").size + entry_of("b", body=b" " * 3000).size)
    store.put("a", "b", "c")

    assert store.put("a", body=b" " * 3000) == [True]
    assert store.read("a") == [True]
    assert store.backend.get(entry_of("a").key).body == b" " * 3000
    assert store.backend.stats().bytes <= store.backend.max_bytes
    assert ("a", "capacity") not in store.told


def test_replacing_in_a_full_store_drops_none(small):
    store = small(MAX_ENTRIES=2)
    store.put("a", "b", "a", "b", "a")

    assert store.names == ["a", "b"]
    assert store.told == []


def test_what_was_read_outlives_what_was_not(small):
    store = small(MAX_ENTRIES=4)
    store.put("a", "b", "c", "d")
    store.read("a", "b")
    store.put("e", "f")

    assert store.names == ["a", "b", "e", "f"]


def test_a_put_passes_over_few_entries_however_many_were_read(small):
    """Or one put into a million read entries would move them all."""
    names = [f"{number:x}" for number in range(16)]
    store = small(MAX_ENTRIES=16)
    store.put(*names)
    store.read(*names)
    store.put("new", ttl=None)

    assert store.told == [("8", "capacity")]
    assert store.read("new") == [True]


def test_what_had_expired_goes_as_expired_when_room_is_made(small):
    store = small(MAX_ENTRIES=2)
    store.put("a", ttl=10)
    store.read("a")
    store.put("b")
    store.clock.advance(10)
    store.put("c")

    assert store.told == [("a", "expired")]
    assert store.backend.stats().evictions == {"expired": 1}


def test_a_store_of_many_shards_is_bounded_as_a_whole(small):
    """256 shards; their own shares must not become bounds, nor may a shard without entries stop the eviction."""
    store = small(MAX_ENTRIES=1_000_000, MAX_BYTES=20 * entry_of("0").size)
    for number in range(200):
        store.put(f"{number % 10}", key=f"llmcache:1.1:-:{number:064x}")

    stats = store.backend.stats()
    assert stats.entries == 20
    assert stats.bytes <= store.backend.max_bytes
    assert stats.evictions == {"capacity": 180}


def test_a_clear_of_one_key_looks_at_that_key_alone(small):
    store = small(MAX_ENTRIES=1_000_000)
    store.put("a", "b", provider="openai")

    assert store.backend.clear(Selector(key=entry_of("a").key, provider="gemini")) == 0
    assert store.backend.clear(Selector(key=entry_of("a").key, provider="openai")) == 1
    assert store.names == ["b"]


def test_an_answer_asked_for_before_its_delete_is_not_stored_after_it(small):
    store = small()
    store.put("a")
    mark = store.backend.mark()
    store.backend.delete(entry_of("a").key)

    assert store.backend.put(entry_of("a"), mark) is False
    assert store.names == []
    assert store.backend.put(entry_of("b"), mark) is True


def test_a_name_of_any_length_counts_as_room(small):
    store = small(MAX_BYTES=100_000)
    for number in range(20):
        store.put(f"{number}", model=f"{number:09000}")

    assert len(store.names) < 12
    assert sum(len(entry.model) for entry in store.backend.entries()) < 100_000


def test_names_are_shared_by_entries_and_not_kept_for_ever(small):
    """Not by ``sys.intern``, which on Python 3.12 would keep the scope of every user that ever was."""
    store = small(MAX_ENTRIES=2)
    for number in range(5000):
        store.put("a", "b", scope=f"{number:016x}")

    first, second = store.backend.entries()
    assert first.scope is second.scope
    assert len(texts._texts) <= 1024


def test_an_answer_that_too_many_clears_have_overtaken_is_not_stored(small):
    store = small()
    mark = store.backend.mark()
    for _ in range(KEPT):
        store.backend.clear(Selector(provider="another"))

    assert store.backend.put(entry_of("a"), mark) is True
    store.backend.clear(Selector(provider="another"))
    assert store.backend.put(entry_of("b"), mark) is False


def test_a_sweep_removes_what_has_expired_and_says_how_many(small):
    store = small()
    store.put("a", "b", ttl=10)
    store.put("c", ttl=None)
    store.clock.advance(10)

    assert store.backend.sweep() == 2
    assert sorted(store.told) == [("a", "expired"), ("b", "expired")]
    assert store.backend.stats().entries == 1
    assert store.backend.sweep() == 0


def test_equal_words_and_headers_are_kept_once(small):
    """Ten thousand answers of one provider bear the same model and content type, each parsed anew."""
    store = small()
    for name in "ab":
        headers = ((str(b"content-type", "ascii"), str(b"application/json", "ascii")),)
        store.put(name, model=str(b"gpt-4o", "ascii"), headers=headers)

    first, second = (store.backend.get(entry_of(name).key) for name in "ab")
    assert first.model is second.model
    assert first.headers is second.headers


def test_headers_that_differ_are_kept_each(small):
    store = small()
    entries = [entry_of(f"{number}", headers=(("openai-version", f"{number}"),)) for number in range(600)]
    for entry in entries:
        store.backend.put(entry)

    assert [fields_of(entry) for entry in entries] == [fields_of(store.backend.get(entry.key)) for entry in entries]
    assert len(texts._headers) <= 256


def test_the_first_error_of_on_evict_is_logged_and_the_others_are_counted(caplog):
    def fail(entry, reason):
        raise RuntimeError("made up")

    backend = MemoryBackend(on_evict=fail)
    for name in "abc":
        backend.put(entry_of(name))
    backend.clear(Selector())
    backend.close()

    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert backend.stats().errors == 3
    assert backend.stats().evictions == {"cleared": 3}


def test_each_store_counts_for_itself(small):
    one, another = small(), small()
    one.put("a")
    one.read("a", "b")

    assert another.backend.stats() == MemoryBackend().stats()
    assert (one.backend.stats().hits, one.backend.stats().misses) == (1, 1)


def test_looking_at_the_statistics_changes_none(small):
    store = small()
    store.put("a")
    store.read("a")
    seen = [store.backend.stats() for _ in range(3)]

    assert seen[0] == seen[1] == seen[2]
    assert seen[0].hits == 1


def test_the_statistics_are_a_copy(small):
    store = small()
    store.backend.stats().evictions["made up"] = 7

    assert store.backend.stats().evictions == {}
