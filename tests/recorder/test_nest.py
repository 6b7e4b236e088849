"""Whose session answers where several are in force: the innermost of what the asking thread or task has begun."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial

import pytest

from django_llmcache.recorder.nest import Nest


class Thing:
    """What is in force."""


@pytest.fixture
def nest() -> Nest[object]:
    return Nest("a test's")


def in_a_thread(act):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


def test_nothing_is_in_force_at_first_nor_at_last(nest):
    with nest.holding("a"):
        assert nest.innermost() == "a"

    assert nest.innermost() is None


def test_one_inside_another_goes_before_it_until_it_ends(nest):
    with nest.holding("a"):
        with nest.holding("b"):
            assert nest.innermost() == "b"
        assert nest.innermost() == "a"


def test_threads_each_have_the_one_that_they_began(nest):
    together = threading.Barrier(2, timeout=10)

    def block(name):
        with nest.holding(name):
            together.wait()
            found = nest.innermost()
            together.wait()
        return found

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(block, "ab")) == ["a", "b"]


def test_tasks_each_have_the_one_that_they_began(nest):
    async def block(name, *, together):
        with nest.holding(name):
            await together.wait()
            found = nest.innermost()
            await together.wait()
        return found

    async def both():
        together = asyncio.Barrier(2)
        return await asyncio.gather(*(block(name, together=together) for name in "ab"))

    assert asyncio.run(both()) == ["a", "b"]


def test_a_thread_that_began_none_has_the_newest(nest):
    with nest.holding("a"), nest.holding("b"):
        assert in_a_thread(nest.innermost) == "b"


def test_a_task_from_before_a_block_has_the_block_that_began_inside_its_own(nest):
    with nest.holding("a"):
        server = copy_context()
        with nest.holding("b"):
            assert server.run(nest.innermost) == "b"
        assert server.run(nest.innermost) == "a"


def test_one_s_own_is_what_one_began_and_what_that_began_inside_of(nest):
    outer, inner = Thing(), Thing()
    with nest.holding(outer), nest.holding(inner):
        assert nest.is_own(outer)
        assert nest.is_own(inner)


def test_the_newest_is_nobody_s_own_who_did_not_begin_it(nest):
    with nest.holding("a"):
        assert not in_a_thread(lambda: nest.is_own(nest.innermost()))


def test_one_s_own_is_still_so_in_a_copy_of_the_context(nest):
    thing = Thing()
    with nest.holding(thing):
        assert in_a_thread(partial(copy_context().run, nest.is_own, thing))


def test_what_a_thread_began_is_inside_nothing_of_the_main_one(nest):
    with nest.holding("a"):
        other = Context()
        block = nest.holding("b")
        other.run(block.__enter__)

        assert (nest.innermost(), other.run(nest.innermost)) == ("a", "b")
        other.run(block.__exit__, None, None, None)


def test_one_that_ends_in_another_context_leaves_the_one_around_it(nest):
    with nest.holding("a"), nest.holding("last"):
        began = copy_context()
        block = nest.holding("b")
        began.run(block.__enter__)
        copy_context().run(block.__exit__, None, None, None)

        assert began.run(nest.innermost) == "last"


def test_a_context_that_outlives_one_has_the_newest(nest):
    with nest.holding("a"):
        late = copy_context()

    with nest.holding("b"), nest.holding("c"):
        assert late.run(nest.innermost) == "c"


def test_what_has_ended_is_not_kept_by_what_comes_after_it(nest):
    thing = Thing()
    ended = weakref.ref(thing)
    block = nest.holding(thing)
    block.__enter__()
    late = copy_context()
    block.__exit__(None, None, None)
    after = nest.holding("b")
    late.run(after.__enter__)
    del thing, block
    gc.collect()

    assert ended() is None
    late.run(after.__exit__, None, None, None)
