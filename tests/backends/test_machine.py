"""MemoryBackend against a plain dictionary, over any sequence of uses."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from django_llmcache.backends.memory import MemoryBackend
from django_llmcache.entry import Selector

from .contract import Clock, entry_of

NAMES = st.sampled_from("abcde")
PROVIDERS = st.sampled_from(["openai", "gemini"])
TAGS = st.frozensets(st.sampled_from(["faq", "shop"]))
TTLS = st.sampled_from([None, 0, 1, 2.5, 5, 10])
SIZES = st.integers(0, 400)


class Kept:
    """What the model keeps under a key."""

    def __init__(self, entry, deadline):
        self.entry = entry
        self.deadline = deadline


class StoreMachine(RuleBasedStateMachine):
    """The model forgets for room only what the store says it dropped, since which one goes is the store's choice."""

    @initialize(max_entries=st.integers(1, 6), bodies=st.integers(1, 6))
    def start(self, max_entries, bodies):
        self.clock = Clock()
        self.kept = {}
        self.counted = Counter()
        self.marked = None
        self.told = []
        options = {"MAX_ENTRIES": max_entries, "MAX_BYTES": bodies * entry_of("a", body=b" " * 200).size}
        self.backend = MemoryBackend(options, clock=self.clock, on_evict=self._hear, cleanup_interval=1e6)

    def _hear(self, entry, reason):
        self.told.append((entry.key, reason))

    def _is_good(self, key):
        kept = self.kept.get(key)
        return kept is not None and (kept.deadline is None or kept.deadline > self.clock())

    def _take_in(self, *allowed):
        """Believe what the store told, where it was possible and allowed."""
        for key, reason in self.told:
            assert reason in allowed
            assert (reason != "expired") == self._is_good(key)
            del self.kept[key]  # a KeyError if it was told twice
            self.counted[reason] += 1
        told, self.told = self.told, []
        return told

    @rule(name=NAMES, provider=PROVIDERS, tags=TAGS, ttl=TTLS, size=SIZES, use_mark=st.booleans())
    def put(self, name, provider, tags, ttl, size, use_mark):
        entry = entry_of(name, provider=provider, tags=tags, ttl=ttl, body=b" " * size)
        mark, cleared = self.marked if use_mark and self.marked else (None, [])
        fits = entry.size <= self.backend.max_bytes and ttl != 0
        overtaken = any(selector.matches(entry) for selector in cleared)

        stored = self.backend.put(entry, mark)
        assert stored == (fits and not overtaken)
        assert all(key != entry.key for key, _ in self.told)
        self._take_in("capacity", "expired")
        if stored:
            self.kept[entry.key] = Kept(entry, None if ttl is None else self.clock() + ttl)
            self.counted["puts"] += 1

    @rule(name=NAMES)
    def get(self, name):
        key = entry_of(name).key
        good = self._is_good(key)
        found = self.backend.get(key)
        if good:
            assert found.body == self.kept[key].entry.body
        else:
            assert found is None
        self.counted["hits" if good else "misses"] += 1
        self._take_in("expired")

    @rule(name=NAMES)
    def delete(self, name):
        key = entry_of(name).key
        good = self._is_good(key)
        assert self.backend.delete(key) == good
        told = self._take_in("deleted", "expired")
        assert ((key, "deleted") in told) == good
        if self.marked:
            self.marked[1].append(Selector(key=key))

    @rule(
        provider=st.none() | PROVIDERS,
        tag=st.none() | st.sampled_from(["faq", "shop"]),
        name=st.none() | NAMES,
    )
    def clear(self, provider, tag, name):
        selector = Selector(provider=provider, tag=tag, key=name and entry_of(name).key)
        concerned = {key for key, kept in self.kept.items() if selector.matches(kept.entry)}
        good = {key for key in concerned if self._is_good(key)}
        assert self.backend.clear(selector) == len(good)
        told = self._take_in("cleared", "expired")
        assert {key for key, _ in told} == concerned
        if self.marked:
            self.marked[1].append(selector)

    @rule()
    def mark(self):
        self.marked = (self.backend.mark(), [])

    @rule(seconds=st.sampled_from([1, 2.5, 5]))
    def pass_time(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def sweep(self):
        expired = {key for key in self.kept if not self._is_good(key)}
        assert self.backend.sweep() == len(expired)
        assert {key for key, _ in self._take_in("expired")} == expired

    @invariant()
    def the_store_says_what_the_model_says(self):
        good = {key: kept.entry.body for key, kept in self.kept.items() if self._is_good(key)}
        assert {entry.key: entry.body for entry in self.backend.entries()} == good

        stats = self.backend.stats()
        assert stats.entries == len(self.kept) <= self.backend.max_entries
        assert stats.bytes == sum(kept.entry.size for kept in self.kept.values()) <= self.backend.max_bytes
        assert (stats.hits, stats.misses, stats.puts) == tuple(
            self.counted[name] for name in ("hits", "misses", "puts")
        )
        assert stats.evictions == {
            reason: self.counted[reason]
            for reason in ("capacity", "cleared", "deleted", "expired")
            if self.counted[reason]
        }

    def teardown(self):
        if hasattr(self, "backend"):
            self.backend.close()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
