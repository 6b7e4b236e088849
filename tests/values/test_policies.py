"""What one caller wants of the cache, and how nested wishes combine."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta

import pytest

from django_llmcache.durations import seconds
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.policies import ADMITTABLE, NOTHING_SAID, UNSET, CachePolicy, ambient, policy

VALUES = {
    "cache": True,
    "ttl": 60,
    "refresh": False,
    "scope": "user:42",
    "tags": frozenset({"faq"}),
    "sample": 3,
    "admit": frozenset({"truncated"}),
    "max_age": 5,
    "stale_for": 7,
    "store": False,
}


class TestFields:
    def test_a_policy_that_says_nothing_leaves_every_field_unset(self):
        assert set(CachePolicy()) == {UNSET}
        assert set(VALUES) == set(CachePolicy._fields)
        assert not UNSET

    @pytest.mark.parametrize("name", VALUES)
    def test_a_field_holds_what_was_said(self, name):
        assert getattr(CachePolicy(**{name: VALUES[name]}), name) == VALUES[name]

    @pytest.mark.parametrize("name", ["ttl", "scope", "max_age"])
    def test_none_can_be_said_and_is_not_nothing(self, name):
        assert getattr(CachePolicy(**{name: None}), name) is None

    def test_cache_none_says_nothing(self):
        assert CachePolicy(cache=None).cache is UNSET

    def test_lists_of_texts_become_sets(self):
        assert CachePolicy(tags=["a", "b", "a"]).tags == frozenset({"a", "b"})
        assert CachePolicy(admit=("empty",)).admit == frozenset({"empty"})
        assert CachePolicy(tags=[]).tags == frozenset()

    @pytest.mark.parametrize(
        ("wish", "says"),
        [
            ({"cache": 1}, "cache is 1; give True or False"),
            ({"refresh": "yes"}, "refresh is 'yes'; give True or False"),
            ({"store": None}, "store is None; give True or False"),
            ({"ttl": "soon"}, "ttl is 'soon'; give seconds"),
            ({"ttl": -1}, "ttl is -1; it cannot be negative"),
            ({"ttl": timedelta(seconds=-1)}, "it cannot be negative"),
            ({"ttl": True}, "ttl is True; give seconds"),
            ({"ttl": float("nan")}, "ttl is nan; give seconds"),
            ({"ttl": float("-inf")}, "it cannot be negative"),
            ({"max_age": "old"}, "max_age is 'old'; give seconds"),
            ({"stale_for": "old"}, "stale_for is 'old'; give seconds"),
            ({"stale_for": None}, "stale_for is None; give seconds"),
            ({"max_age": -0.5}, "max_age is -0.5; it cannot be negative"),
            ({"scope": ""}, "scope is ''; give a non-empty text"),
            ({"scope": 42}, "scope is 42; give a non-empty text"),
            ({"tags": "faq"}, "tags is the text 'faq'; give a list of texts: ['faq']"),
            ({"tags": [1]}, "each must be a non-empty text"),
            ({"tags": [""]}, "each must be a non-empty text"),
            ({"tags": 3}, "tags is 3; give a list of texts"),
            ({"tags": [["a"]]}, "['a'] is no tag: each must be a non-empty text"),
            ({"sample": -1}, "sample is -1; give a whole number from 0"),
            ({"sample": 2**63}, "give a whole number from 0, below 2**63"),
            ({"sample": True}, "sample is True; give a whole number"),
            ({"sample": 1.0}, "sample is 1.0; give a whole number"),
            ({"admit": {"error"}}, "admit has ['error']; only ['empty', 'refused', 'truncated']"),
            ({"admit": "truncated"}, "admit is the text"),
        ],
        ids=str,
    )
    def test_a_value_that_cannot_work_is_told_with_its_field(self, wish, says):
        for take in (CachePolicy, policy):
            with pytest.raises(ConfigurationError) as raised:
                take(**wish)

            assert says in str(raised.value)
            assert isinstance(raised.value, ValueError)

    def test_an_unknown_field_is_a_type_error(self):
        with pytest.raises(TypeError, match="tll"):
            CachePolicy(tll=3)
        with pytest.raises(TypeError):
            CachePolicy(True)

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ({"tll": 5}, r"policy\(\) has no argument 'tll'; did you mean 'ttl'\?"),
            ({"timeout": 5}, r"policy\(\) has no argument 'timeout'; did you mean 'ttl'\?"),
            ({"xyzzy": 5}, r"policy\(\) has no argument 'xyzzy'; it has cache, ttl, "),
        ],
        ids=str,
    )
    def test_an_unknown_word_of_a_block_is_told_with_the_one_that_was_meant(self, words, says):
        with pytest.raises(TypeError, match=says):
            policy(**words)

    def test_what_stands_bare_is_told_to_take_words(self):
        with pytest.raises(TypeError, match=r"by name, and got .*: write policy\(ttl=60\)"):

            @policy
            def answer():
                pass

    def test_only_what_is_said_is_shown(self):
        assert repr(CachePolicy()) == "CachePolicy()"
        assert repr(CachePolicy(ttl=None, cache=False)) == "CachePolicy(cache=False, ttl=None)"

    def test_it_is_immutable_and_hashable(self):
        with pytest.raises(AttributeError):
            CachePolicy().ttl = 5
        assert len({CachePolicy(ttl=5), CachePolicy(ttl=5), CachePolicy(ttl=6)}) == 2

    @pytest.mark.parametrize("made", [lambda value: pickle.loads(pickle.dumps(value)), copy.deepcopy, copy.copy])
    def test_copies_and_pickles_are_equal_and_unset_stays_unset(self, made):
        for said in (CachePolicy(), CachePolicy(**VALUES), CachePolicy(ttl=None)):
            twin = made(said)

            assert twin == said
            assert type(twin) is CachePolicy
            assert [value is UNSET for value in twin] == [value is UNSET for value in said]


class TestSeconds:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (0, 0),
            (1.5, 1.5),
            (timedelta(minutes=2), 120.0),
            (timedelta(0), 0.0),
            (None, None),
            (float("inf"), None),
            (10**30, None),
            (timedelta.max, 86399999999999.999999),
        ],
    )
    def test_numbers_and_timedeltas_are_seconds(self, given, expected):
        assert seconds(given) == (expected if expected is None or expected < 1e12 else None)

    def test_the_error_names_where_it_was_set(self):
        with pytest.raises(ConfigurationError, match=r"^LLMCACHE\['DEFAULT_TTL'\] is 'soon'"):
            seconds("soon", source="LLMCACHE['DEFAULT_TTL']")


class TestOver:
    @pytest.mark.parametrize("name", VALUES)
    def test_what_is_unsaid_is_taken_from_the_base(self, name):
        base = CachePolicy(**{name: VALUES[name]})

        assert CachePolicy().over(base) == base
        assert base.over(CachePolicy()) == base
        assert base.over(None) is base
        assert NOTHING_SAID.over(base) is base
        assert base.over(NOTHING_SAID) is base

    @pytest.mark.parametrize(
        ("mine", "theirs"),
        [
            ({"cache": False}, {"cache": True}),
            ({"ttl": None}, {"ttl": 60}),
            ({"scope": None}, {"scope": "user:42"}),
            ({"refresh": False}, {"refresh": True}),
            ({"sample": 0}, {"sample": 3}),
            ({"admit": []}, {"admit": ["empty"]}),
            ({"max_age": None}, {"max_age": 5}),
            ({"store": True}, {"store": False}),
        ],
        ids=str,
    )
    def test_what_is_said_holds_over_the_base_none_and_false_too(self, mine, theirs):
        assert CachePolicy(**mine).over(CachePolicy(**theirs)) == CachePolicy(**mine)

    def test_tags_of_both_are_kept(self):
        assert CachePolicy(tags=["a"]).over(CachePolicy(tags=["b"])).tags == frozenset({"a", "b"})

    def test_every_field_is_taken_by_itself(self):
        merged = CachePolicy(ttl=5, scope="a").over(CachePolicy(ttl=60, sample=2))

        assert merged == CachePolicy(ttl=5, scope="a", sample=2)


class TestBlocks:
    def test_nothing_is_in_force_outside_a_block(self):
        assert ambient() is None

    def test_a_block_is_in_force_inside_and_not_after(self):
        with policy(ttl=60) as said:
            assert ambient() == said == CachePolicy(ttl=60)
        assert ambient() is None

    def test_the_inner_block_holds_over_the_outer_and_gives_it_back(self):
        with policy(ttl=60, scope="a", tags=["x"]):
            with policy(ttl=5, tags=["y"]):
                assert ambient() == CachePolicy(ttl=5, scope="a", tags=["x", "y"])
            assert ambient() == CachePolicy(ttl=60, scope="a", tags=["x"])

    def test_an_error_ends_the_block_and_comes_through(self):
        with pytest.raises(LookupError), policy(ttl=60):
            raise LookupError
        assert ambient() is None

    def test_one_object_may_be_entered_again_inside_itself(self):
        block = policy(tags=["x"])
        with block, block:
            assert ambient() == CachePolicy(tags=["x"])
        assert ambient() is None

    def test_blocks_may_end_in_any_order(self):
        first, second = policy(ttl=1), policy(scope="a")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert ambient().scope == "a"
        second.__exit__(None, None, None)

        assert ambient() is None

    def test_ending_what_was_not_begun_here_changes_nothing(self):
        with policy(ttl=60):
            policy(ttl=5).__exit__(None, None, None)
            assert ambient() == CachePolicy(ttl=60)

    def test_another_thread_sees_none_of_it(self):
        with policy(ttl=60), ThreadPoolExecutor(1) as pool:
            assert pool.submit(ambient).result() is None
            assert pool.submit(copy_context().run, ambient).result() == CachePolicy(ttl=60)

    def test_one_object_holds_in_many_threads_at_once(self):
        block, ready, seen = policy(ttl=60), threading.Barrier(4), []

        def use(number):
            with policy(sample=number), block:
                ready.wait()
                seen.append(ambient() == CachePolicy(ttl=60, sample=number))
                ready.wait()
            seen.append(ambient() is None)

        threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert seen == [True] * 8

    def test_an_async_block_holds_in_its_task_and_those_started_inside(self):
        async def main():
            async def child():
                return ambient()

            outside = asyncio.create_task(child())
            async with policy(ttl=60):
                inside = asyncio.create_task(child())
                found = (await outside, await inside, ambient())
            return (*found, ambient())

        assert asyncio.run(main()) == (None, CachePolicy(ttl=60), CachePolicy(ttl=60), None)

    def test_two_tasks_with_one_object_do_not_disturb_each_other(self):
        block = policy(ttl=60)

        async def main():
            entered, leave = asyncio.Event(), asyncio.Event()

            async def stay():
                async with block:
                    entered.set()
                    await leave.wait()
                    return ambient()

            staying = asyncio.create_task(stay())
            await entered.wait()
            async with block:
                pass
            here = ambient()
            leave.set()
            return here, await staying

        assert asyncio.run(main()) == (None, CachePolicy(ttl=60))


class TestDecorator:
    def test_a_function_runs_inside_and_keeps_its_name(self):
        @policy(ttl=60)
        def wanted(number, *, word):
            """Say it."""
            return number, word, ambient()

        assert wanted(1, word="a") == (1, "a", CachePolicy(ttl=60))
        assert (wanted.__name__, wanted.__doc__) == ("wanted", "Say it.")
        assert ambient() is None

    def test_an_async_function_runs_inside_and_stays_one(self):
        @policy(ttl=60)
        async def wanted():
            await asyncio.sleep(0)
            return ambient()

        assert inspect.iscoroutinefunction(wanted)
        assert asyncio.run(wanted()) == CachePolicy(ttl=60)

    def test_a_function_that_hands_out_a_coroutine_is_awaited_inside(self):
        """As the dispatch() of an async View does."""

        async def view():
            await asyncio.sleep(0)
            return ambient()

        @policy(ttl=60)
        def dispatch():
            return view()

        assert asyncio.run(dispatch()) == CachePolicy(ttl=60)

    def test_a_recursive_function_may_be_decorated(self):
        @policy(tags=["x"])
        def count(number):
            return [ambient(), *count(number - 1)] if number else []

        assert count(3) == [CachePolicy(tags=["x"])] * 3

    def test_what_would_run_outside_the_policy_is_refused(self):
        def generator():
            yield

        async def async_generator():
            yield

        class View:
            pass

        for thing in (generator, async_generator, View):
            with pytest.raises(TypeError, match=thing.__qualname__.replace(".", r"\.")):
                policy(ttl=60)(thing)


def test_the_reasons_to_admit_are_those_documented():
    assert {"truncated", "refused", "empty"} == ADMITTABLE
    assert CachePolicy() == NOTHING_SAID
