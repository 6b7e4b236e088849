"""DummyBackend stores nothing, whatever is asked of it."""

from __future__ import annotations

from django_llmcache.backends.dummy import DummyBackend
from django_llmcache.entry import Selector

from .contract import BackendContract, entry_of


class TestDummyBackend(BackendContract):
    def make(self, **settings):
        return DummyBackend({"MAX_ENTRIES": 3}, **settings)

    def test_it_takes_an_entry_and_keeps_none(self):
        assert self.backend.put(entry_of()) is False
        assert self.backend.get(entry_of().key) is None
        assert list(self.backend.entries()) == []
        assert self.backend.clear(Selector()) == 0

    def test_it_takes_the_options_of_any_backend(self):
        assert DummyBackend({"LOCATION": "elsewhere"}).options == {"LOCATION": "elsewhere"}
