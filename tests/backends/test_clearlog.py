"""The log of clears tells which answers were asked for too early."""

from __future__ import annotations

from django_llmcache.backends.clearlog import KEPT, ClearLog
from django_llmcache.entry import Selector

from .contract import entry_of

OPENAI = entry_of("a", provider="openai")


def test_an_answer_asked_for_after_the_last_clear_is_not_concerned():
    log = ClearLog()
    log.add(Selector())

    assert not log.concerns(log.mark, OPENAI)


def test_an_answer_is_concerned_by_any_clear_since_that_names_it():
    log = ClearLog()
    mark = log.mark
    log.add(Selector(provider="openai"))
    log.add(Selector(provider="groq"))

    assert log.concerns(mark, OPENAI)
    assert not log.concerns(mark + 1, OPENAI)
    assert not log.concerns(mark, entry_of("b", provider="gemini"))


def test_clears_too_many_to_remember_concern_everything():
    log = ClearLog()
    for _ in range(KEPT + 1):
        log.add(Selector(provider="groq"))

    assert log.concerns(0, OPENAI)
    assert not log.concerns(1, OPENAI)
