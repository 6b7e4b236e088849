"""Blocks and functions that are in force at the same time, in threads and tasks: each answers for its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from threading import Event

import pytest

from django_llmcache import achat, chat, conf
from django_llmcache.recorder.in_force import current
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.session import Session
from django_llmcache.testing import live_api
from django_llmcache.testing.interceptors.sockets import watch
from django_llmcache.testing.live import LiveAPI

PATIENCE = 30.0


class Block:
    """A block in a thread of its own, in force until it is left.

    Attributes:
        session: what answers in it.
    """

    def __init__(self, threads: ThreadPoolExecutor, block: LiveAPI) -> None:
        self._began, self._leave = Event(), Event()
        self.session: Session | None = None
        self._ended = threads.submit(self._run, block)
        assert self._began.wait(PATIENCE)

    def leave(self, *questions: str) -> list[str | None]:
        """Ask in its thread, then leave it; return what is said of where each answer came from."""
        self._questions = questions
        self._leave.set()
        return self._ended.result(PATIENCE)

    def _run(self, block: LiveAPI) -> list[str | None]:
        with block as self.session:
            self._began.set()
            assert self._leave.wait(PATIENCE)
            return [chat("openai", [{"role": "user", "content": text}]).cache.reason for text in self._questions]


@pytest.fixture
def threads():
    """Return threads of which none has begun anything."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def block(threads):
    """Return what begins a block in a thread."""
    return lambda mode="once", of=None: Block(threads, of or live_api(mode=mode))


def test_each_records_what_it_asked_itself(fixtures, provider, block):
    first, second = block(), block()
    first.leave("Hi")
    second.leave()

    assert (first.session.counts["recorded"], second.session.counts["recorded"]) == (1, 0)
    assert provider.calls == len(list(fixtures.paths())) == 1


def test_who_leaves_one_that_several_are_in_ends_no_other_s(fixtures, block):
    shared = live_api(mode="once")
    first, second = block(of=shared), block(of=shared)
    first.leave("Hi")
    second.leave("Bye")

    assert (first.session.counts["recorded"], second.session.counts["recorded"]) == (1, 1)


def test_one_that_began_in_another_context_ends_too(fixtures):
    block = live_api(mode="once")
    Context().run(block.__enter__)
    block.__exit__(None, None, None)

    assert current() is None


def test_a_call_of_a_function_is_guarded_though_one_that_began_before_has_ended(fixtures, provider, threads):
    began, ended = Event(), Event()

    @live_api(mode="replay")
    def returning():
        began.set()
        assert ended.wait(PATIENCE)

    @live_api(mode="replay")
    def asking():
        ended.set()
        first.result(PATIENCE)
        chat("openai", [{"role": "user", "content": "Never recorded"}])

    first = threads.submit(returning)
    assert began.wait(PATIENCE)
    with pytest.raises(FixtureMiss):
        threads.submit(asking).result(PATIENCE)
    assert provider.calls == 0


def test_so_is_one_in_a_task(fixtures, provider):
    @live_api(mode="replay")
    async def asking_after(other=None):
        await (other or asyncio.sleep(0))
        if other is not None:
            await achat("openai", [{"role": "user", "content": "Never recorded"}])

    async def both():
        first = asyncio.create_task(asking_after())
        await asyncio.create_task(asking_after(first))

    with pytest.raises(FixtureMiss):
        asyncio.run(both())
    assert provider.calls == 0


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_the_response_cache_steps_aside_until_the_last_of_them_ends_and_no_longer(fixtures, block, first_leaves_first):
    before = conf.current().strategy
    blocks = [block(), block()] if first_leaves_first else [block(), block()][::-1]
    blocks[0].leave()

    assert blocks[1].leave("Hi", "Hi") == ["test_cache", "test_cache"]
    assert conf.current().strategy == before


def test_a_connection_that_one_makes_in_another_thread_is_known_to_be_a_call_s(fixtures, provider, block):
    asking = block()
    replaying = block("replay")
    with asking.session.calls.under_way(provider.url.partition("//")[2]):
        watch(provider.url.partition("//")[2].partition(":")[0], provider.url.rpartition(":")[2])

    assert replaying.session.misses == []
    asking.leave()
    replaying.leave()


def test_a_made_up_key_stays_until_the_last_of_them_ends(fixtures, block, monkeypatch):
    with live_api(mode="once"):
        chat("openai", [{"role": "user", "content": "Hi"}])
    monkeypatch.delenv("OPENAI_API_KEY")
    first, second = block("replay"), block("replay")
    first.leave()

    assert second.leave("Hi")
    assert conf.environment("OPENAI_API_KEY") is None
