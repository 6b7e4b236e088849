"""policy(): a block's or a function's wishes, for every call in it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from django.http import HttpResponse, JsonResponse
from django.test import AsyncRequestFactory, RequestFactory
from django.views import View

from django_llmcache import CachePolicy, LLMRequest, cache, policy
from django_llmcache.exceptions import ConfigurationError
from tests.pipeline.world import aask, ask, fate


def test_what_the_inner_block_leaves_unsaid_is_taken_from_the_outer_one():
    with policy(ttl=30, scope="user:1", tags=["faq"]), policy(ttl=20, tags=["de"]):
        inner = ask()

    assert inner.cache.ttl == 20
    assert ask(scope="user:1").from_cache
    assert cache.clear(tag="faq") == 1


def test_the_outer_policy_holds_again_after_the_inner_block():
    with policy(scope="outer"):
        with policy(scope="inner"):
            inner = ask()
        outer = ask()

    assert not outer.from_cache
    assert inner.cache.key != outer.cache.key != ask().cache.key


def test_a_policy_ends_with_its_block_also_when_that_raises():
    with pytest.raises(ZeroDivisionError), policy(cache=False):
        _ = 1 / 0

    assert fate(ask()) == ("miss", None)


def test_the_calls_own_word_holds_over_every_policy():
    with policy(cache=False, scope="user:1", sample=3):
        answer = ask(cache=True, scope=None, sample=0)

    assert answer.cache.key == ask().cache.key


def test_the_policy_of_a_request_holds_over_the_block_and_the_argument_over_both():
    request = LLMRequest("mine", operation="search", payload={}, policy=CachePolicy(ttl=50))

    with policy(ttl=60):
        of_request = cache.with_cache(request, lambda _: {"found": 1})
        of_argument = cache.with_cache(request, lambda _: {"found": 2}, policy=CachePolicy(ttl=40, refresh=True))

    assert (of_request.cache.ttl, of_argument.cache.ttl) == (50, 40)


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_the_texts_of_a_call_come_in_any_collection(kind):
    ask(tags=kind(["faq", "de"]))

    assert (cache.clear(tag="faq"), cache.clear(tag="de")) == (1, 0)
    assert ask(tags=kind(["fr"]), cache=True).cache.status == "miss"
    assert cache.clear(tag="faq") == 0


def test_a_wish_that_cannot_work_is_shown_as_it_was_given():
    with pytest.raises(ConfigurationError, match=r"tags is \['faq', ''\]"):
        ask(tags=["faq", ""])


@pytest.mark.parametrize("flag", [1, "yes"])
def test_what_is_as_good_as_true_is_no_true(flag):
    ask(cache=True)

    with pytest.raises(ConfigurationError, match=f"cache is {flag!r}"):
        ask(cache=flag)


def test_tags_are_read_at_each_call():
    """A view has a hash, though what it shows may change."""
    names = {"a": "faq"}
    view = names.values()
    ask(tags=view)
    cache.clear()
    names["b"] = "news"
    ask(tags=view)

    assert cache.clear(tag="news") == 1


def test_tags_of_an_iterator_that_cannot_work_are_refused(provider):
    with pytest.raises(ConfigurationError, match="each must be a non-empty text"):
        ask(tags=(tag for tag in ["faq", ""]))

    assert provider.calls == 0


def test_tags_of_the_call_and_of_every_block_are_kept():
    with policy(tags=["a"]), policy(tags=["b"]):
        ask(tags=["c"])

    for tag in "abc":
        assert [entry.tags for entry in stored()] == [{"a", "b", "c"}]
        assert cache.clear(tag=tag + "x") == 0
    assert cache.clear(tag="b") == 1


def stored():
    from django_llmcache import backends

    return list(backends.current().entries())


def test_it_decorates_a_function():
    @policy(scope="user:1")
    def answer():
        return ask()

    assert answer().cache.status == "miss"
    assert ask(scope="user:1").from_cache
    assert not ask().from_cache


def test_it_decorates_an_async_function():
    @policy(scope="user:1")
    async def answer():
        return await aask()

    assert asyncio.run(answer()).cache.status == "miss"
    assert ask(scope="user:1").from_cache


def test_it_holds_in_an_async_with():
    async def answer():
        async with policy(scope="user:1"):
            return await aask()

    asyncio.run(answer())

    assert ask(scope="user:1").from_cache


def test_it_decorates_a_view():
    @policy(scope="view")
    def view(request):
        return JsonResponse({"status": ask().cache.status})

    responses = [view(RequestFactory().get("/")) for _ in range(2)]

    assert [response.content for response in responses] == [b'{"status": "miss"}', b'{"status": "hit"}']
    assert ask(scope="view").from_cache


def test_it_decorates_the_dispatch_of_an_async_view():
    class Page(View):
        dispatch = policy(scope="view")(View.dispatch)

        async def get(self, request):
            return HttpResponse((await aask()).cache.status)

    response = asyncio.run(Page.as_view()(AsyncRequestFactory().get("/")))

    assert response.content == b"miss"
    assert ask(scope="view").from_cache


def test_tasks_do_not_see_each_others_policy(provider):
    async def one(scope, arrived, others):
        with policy(scope=scope):
            arrived.set()
            await others.wait()
            return await aask()

    async def both():
        first, second = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(one("user:1", first, second), one("user:2", second, first))

    asyncio.run(both())

    assert [ask(scope=scope).from_cache for scope in ("user:1", "user:2", None)] == [True, True, False]


def test_a_task_that_is_started_inside_takes_the_policy_with_it():
    async def outer():
        with policy(scope="user:1"):
            task = asyncio.create_task(aask())
        await task

    asyncio.run(outer())

    assert ask(scope="user:1").from_cache


def test_another_thread_does_not_see_it():
    fates = []
    entered, done = threading.Event(), threading.Event()

    def other():
        entered.wait(timeout=10)
        fates.append(fate(ask()))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with policy(cache=False):
        entered.set()
        assert done.wait(timeout=10)
    thread.join(timeout=10)

    assert fates == [("miss", None)]
