"""What every backend must do, as test classes to subclass.

A backend that keeps entries passes with three lines::

    class TestMyBackend(StoringContract):
        def make(self, **settings):
            return MyBackend({"MY": "options"}, **settings)

``settings`` are ``on_evict`` and ``clock``, for ``BaseBackend.__init__``. A backend whose entries expire by another
clock overrides ``advance``. The flags below say what a backend cannot do.
"""

from __future__ import annotations

import pytest

from django_llmcache.backends.base import BackendStats, BaseBackend
from django_llmcache.bodies import Usage
from django_llmcache.entry import Entry, Selector

NOW = 1_763_942_400.0


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def entry_of(name="a", **fields) -> Entry:
    """Return an entry under the key of this name; ``fields`` are any of ``Entry``'s."""
    words = {
        "key": f"llmcache:1.1:-:{name:0>64}",
        "body": f'{{"answer": "{name}"}}'.encode(),
        "created": NOW,
        "ttl": 60,
    }
    return Entry(**(words | fields))


def fields_of(entry):
    return {name: getattr(entry, name) for name in Entry.__slots__}


class BackendContract:
    """What holds for every backend, one that keeps nothing among them."""

    def make(self, **settings) -> BaseBackend:
        """Return an empty backend."""
        raise NotImplementedError

    def advance(self, seconds) -> None:
        """Let time pass for what is stored."""
        self.clock.advance(seconds)

    @pytest.fixture
    def place(self):
        """Make the place where a test's backend keeps entries."""

    @pytest.fixture(autouse=True)
    def _a_backend(self, place):
        self.clock = Clock()
        self.told: list[tuple[str, str]] = []
        self.backend = self.make(clock=self.clock, on_evict=lambda entry, reason: self.told.append((entry.key, reason)))
        yield
        self.backend.close()

    def has(self, entry) -> bool:
        return self.backend.get(entry.key) is not None

    def test_it_has_a_name_of_its_own(self):
        assert isinstance(self.backend.name, str)
        assert self.backend.name not in ("", BaseBackend.name)
        assert self.backend.in_process in (True, False)

    def test_a_new_one_is_empty(self):
        assert self.backend.get(entry_of().key) is None
        assert list(self.backend.entries()) == []

    def test_what_it_says_it_stored_can_be_read(self):
        stored = self.backend.put(entry_of())

        assert stored is self.has(entry_of())

    def test_a_ttl_of_zero_stores_nothing(self):
        assert self.backend.put(entry_of(ttl=0)) is False
        assert not self.has(entry_of())

    def test_deleting_what_is_not_there_is_no_error(self):
        assert self.backend.delete(entry_of().key) is False

    def test_clearing_what_is_empty_is_no_error(self):
        assert self.backend.clear(Selector()) in (0, None)

    def test_put_takes_a_mark(self):
        assert hash(self.backend.mark()) is not None
        assert self.backend.put(entry_of(), self.backend.mark()) is self.has(entry_of())

    def test_the_statistics_are_whole(self):
        stats = self.backend.stats()

        assert isinstance(stats, BackendStats)
        assert stats.entries in (0, None)
        assert stats.bytes in (0, None)
        assert (stats.hits, stats.puts, stats.errors) == (0, 0, 0)
        assert stats.evictions == {}
        assert stats.hit_rate == 0.0

    def test_a_lock_that_nobody_has_is_given_and_given_back(self):
        assert self.backend.acquire("key", "mine", 60)
        self.backend.release("key", "mine")
        self.backend.release("key", "mine")

        assert self.backend.acquire("key", "another's", 60)

    def test_it_can_be_closed_twice_and_used_again(self):
        self.backend.close()
        self.backend.close()

        assert self.backend.put(entry_of()) is self.has(entry_of())


class StoringContract(BackendContract):
    """What holds for every backend that keeps entries."""

    counts = True
    """Whether ``clear`` says how many it removed."""
    lists = True
    """Whether ``entries`` yields what is there."""
    tells = True
    """Whether ``on_evict`` hears of every removal, and ``stats`` counts it."""

    def put(self, *entries) -> None:
        for entry in entries:
            assert self.backend.put(entry)

    def clear(self, expected, **conditions) -> None:
        assert self.backend.clear(Selector(**conditions)) == (expected if self.counts else None)

    def assert_told(self, *expected) -> None:
        if self.tells:
            assert [(entry.key, reason) for entry, reason in expected] == self.told

    def test_an_entry_comes_back_whole(self):
        entry = entry_of(
            body=bytes(range(256)) * 4,
            status=203,
            headers=(("content-type", "application/json"), ("openai-model", "gpt-4o-mini")),
            provider="openai",
            operation="chat",
            model="gpt-4o-mini",
            scope="0123456789abcdef",
            tags=frozenset({"faq", "Größe"}),
            usage=Usage(31, 210),
            latency=0.812,
            parts="model=01234567;messages[0]=89abcdef",
            ttl=12.5,
        )
        self.put(entry)

        assert fields_of(entry) == fields_of(self.backend.get(entry.key))

    def test_a_large_body_comes_back_whole(self):
        body = b"{" + b" " * 1_000_000 + b"}"
        self.put(entry_of(body=body))

        assert body == self.backend.get(entry_of().key).body

    def test_entries_are_told_apart_by_the_whole_key(self):
        first, second = entry_of("a"), entry_of("b")
        self.put(first, second)

        assert self.backend.get(first.key).body == first.body
        assert self.backend.get(second.key).body == second.body
        assert self.backend.get(first.key[:-1]) is None

    def test_another_entry_under_the_key_takes_its_place(self):
        self.put(entry_of(body=b"old"), entry_of(body=b"newer"))

        assert self.backend.get(entry_of().key).body == b"newer"
        if self.lists:
            assert [entry.body for entry in self.backend.entries()] == [b"newer"]
        self.assert_told()

    def test_an_entry_lives_for_its_ttl_and_no_longer(self):
        self.put(entry_of(ttl=60))

        self.advance(59)
        assert self.has(entry_of())
        self.advance(1)
        assert not self.has(entry_of())

    def test_a_read_does_not_make_it_live_longer(self):
        self.put(entry_of(ttl=60))

        for _ in range(5):
            self.advance(11)
            assert self.has(entry_of())
        self.advance(11)
        assert not self.has(entry_of())

    def test_an_entry_without_a_ttl_never_expires(self):
        self.put(entry_of(ttl=None))

        self.advance(100 * 365 * 86400)
        assert self.has(entry_of())

    def test_each_entry_has_a_ttl_of_its_own(self):
        self.put(entry_of("a", ttl=10), entry_of("b", ttl=1000))

        self.advance(10)
        assert not self.has(entry_of("a"))
        assert self.has(entry_of("b"))

    def test_its_time_runs_from_the_moment_it_is_put(self):
        """Not from ``created``: a wall clock that was set back must not keep it, nor one set forward drop it."""
        self.put(entry_of(created=NOW - 10_000, ttl=60))
        self.advance(30)
        self.put(entry_of(created=NOW + 10_000, ttl=60))

        self.advance(59)
        assert self.has(entry_of())
        self.advance(1)
        assert not self.has(entry_of())

    def test_what_has_expired_is_nowhere(self):
        self.put(entry_of("a", ttl=10), entry_of("b", ttl=10))
        self.advance(10)

        assert list(self.backend.entries()) == []
        assert self.backend.delete(entry_of("a").key) is False
        self.clear(0)

    def test_what_has_expired_is_told_once(self):
        self.put(entry_of(ttl=10))
        self.advance(10)
        for _ in range(3):
            assert not self.has(entry_of())

        self.assert_told((entry_of(), "expired"))

    def test_a_deleted_entry_is_gone_and_told(self):
        self.put(entry_of("a"), entry_of("b"))

        assert self.backend.delete(entry_of("a").key) is True
        assert self.backend.delete(entry_of("a").key) is False
        assert not self.has(entry_of("a"))
        assert self.has(entry_of("b"))
        self.assert_told((entry_of("a"), "deleted"))

    def test_a_clear_without_conditions_removes_all(self):
        entries = [entry_of(name) for name in "abc"]
        self.put(*entries)

        self.clear(3)
        assert not any(map(self.has, entries))
        if self.tells:
            assert sorted((entry.key, "cleared") for entry in entries) == sorted(self.told)

    @pytest.mark.parametrize("condition", ["provider", "model", "scope", "tag", "key"])
    def test_a_clear_removes_what_meets_its_condition(self, condition):
        fields = {"provider": "openai", "model": "m", "scope": "-", "tags": frozenset({"faq", "shop"})}
        others = {"provider": "gemini", "model": "n", "scope": "0123456789abcdef", "tags": frozenset({"news"})}
        mine = entry_of("a", **fields)
        named = {"tag": "faq", "key": mine.key}.get(condition, fields.get(condition))
        different = "tags" if condition == "tag" else condition
        other = entry_of("b", **(fields | ({different: others[different]} if condition != "key" else {})))
        self.put(mine, other)

        self.clear(1, **{condition: named})
        assert not self.has(mine)
        assert self.has(other)
        self.assert_told((mine, "cleared"))

    def test_a_clear_removes_only_what_meets_all_its_conditions(self):
        both = entry_of("a", provider="openai", model="m", tags=frozenset({"faq"}))
        provider = entry_of("b", provider="openai", model="n", tags=frozenset({"faq"}))
        model = entry_of("c", provider="groq", model="m", tags=frozenset({"faq"}))
        untagged = entry_of("d", provider="openai", model="m")
        self.put(both, provider, model, untagged)

        self.clear(1, provider="openai", model="m", tag="faq")
        assert not self.has(both)
        assert all(map(self.has, (provider, model, untagged)))

    def test_a_clear_that_names_nothing_stored_removes_nothing(self):
        self.put(entry_of(provider="openai"))

        self.clear(0, provider="open")
        assert self.has(entry_of())
        self.assert_told()

    def test_what_was_cleared_can_be_stored_anew(self):
        self.put(entry_of(body=b"old"))
        self.backend.clear(Selector())
        self.put(entry_of(body=b"new"))

        assert self.backend.get(entry_of().key).body == b"new"

    def test_an_answer_asked_for_before_a_clear_is_not_stored_after_it(self):
        mark = self.backend.mark()
        self.backend.clear(Selector(provider="openai"))

        assert self.backend.put(entry_of("a", provider="openai"), mark) is False
        assert not self.has(entry_of("a"))
        assert self.backend.put(entry_of("b", provider="groq"), mark)
        assert self.backend.put(entry_of("a", provider="openai"), self.backend.mark())
        assert self.has(entry_of("a"))

    def test_the_listing_yields_whole_entries(self):
        entry = entry_of(provider="openai", tags=frozenset({"faq"}), usage=Usage(1, 2))
        self.put(entry)

        if self.lists:
            assert [fields_of(entry)] == [fields_of(found) for found in self.backend.entries()]

    def test_entries_may_come_and_go_while_they_are_listed(self):
        self.put(*(entry_of(f"{number}") for number in range(50)))
        met = []
        for number, found in enumerate(self.backend.entries()):
            met.append(found.key)
            self.backend.delete(found.key)
            self.put(entry_of(f"new-{number}"))

        assert len(met) == len(set(met))
        if self.lists:
            assert len(met) >= 50

    def test_what_on_evict_raises_breaks_nothing(self):
        def fail(entry, reason):
            raise RuntimeError("made up")

        backend = self.make(clock=self.clock, on_evict=fail)
        backend.put(entry_of("a"))
        backend.put(entry_of("b"))

        assert backend.delete(entry_of("a").key) is True
        assert backend.clear(Selector()) == (1 if self.counts else None)
        assert backend.get(entry_of("b").key) is None
        assert backend.stats().errors == (2 if self.tells else 0)
        backend.close()

    def test_on_evict_may_use_the_backend(self):
        seen = []

        def use(entry, reason):
            seen.append((backend.get(entry.key), backend.stats().entries, len(list(backend.entries()))))
            if reason == "deleted":
                backend.put(entry_of("from-inside"))
                backend.clear(Selector(key=entry_of("from-inside").key))

        backend = self.make(clock=self.clock, on_evict=use)
        backend.put(entry_of())
        backend.delete(entry_of().key)

        if self.tells:
            assert seen == [(None, 0, 0), (None, 0, 0)]
        assert backend.get(entry_of("from-inside").key) is None
        backend.close()

    def test_the_statistics_count_what_happened(self):
        self.put(entry_of("a"), entry_of("b", ttl=5), entry_of("c"), entry_of("c"))
        self.has(entry_of("a"))
        self.has(entry_of("a"))
        self.has(entry_of("missing"))
        self.advance(5)
        self.has(entry_of("b"))
        self.backend.delete(entry_of("a").key)
        self.backend.delete(entry_of("missing").key)

        stats = self.backend.stats()
        assert (stats.hits, stats.misses, stats.puts, stats.errors) == (2, 2, 4, 0)
        assert stats.hit_rate == 0.5
        if self.counts:
            assert (stats.entries, stats.bytes) == (1, entry_of("c").size)
        if self.tells:
            assert stats.evictions == {"expired": 1, "deleted": 1}

    def test_a_lock_is_one_holders_alone(self):
        assert self.backend.acquire("key", "mine", 60)

        assert not self.backend.acquire("key", "another's", 60)
        assert self.backend.acquire("another key", "another's", 60)

    def test_nobody_else_releases_a_lock(self):
        self.backend.acquire("key", "mine", 60)
        self.backend.release("key", "another's")

        assert not self.backend.acquire("key", "another's", 60)

    def test_a_lock_is_free_when_its_time_is_over(self):
        self.backend.acquire("key", "mine", 60)
        self.advance(61)

        assert self.backend.acquire("key", "another's", 60)

    def test_who_has_a_lock_may_take_it_for_longer(self):
        self.backend.acquire("key", "mine", 60)
        self.advance(50)

        assert self.backend.acquire("key", "mine", 60)
        self.advance(50)
        assert not self.backend.acquire("key", "another's", 60)
