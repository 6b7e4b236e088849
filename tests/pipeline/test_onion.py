"""MIDDLEWARE: a list of dotted paths, built as Django builds its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest
from django.test import override_settings

from django_llmcache import pipeline
from django_llmcache.exceptions import ConfigurationError
from tests.pipeline import layers
from tests.pipeline.world import CACHE, RETRY, aask, ask

LAYERS = "tests.pipeline.layers"


@pytest.fixture(autouse=True)
def trail():
    layers.trail.clear()
    return layers.trail


def use(configure, *names):
    configure(MIDDLEWARE=[name if "." in name else f"{LAYERS}.{name}" for name in names])


def test_the_first_of_the_list_is_the_outermost(configure, trail):
    use(configure, "First", "Second")

    ask()

    assert trail == ["First before", "Second before", "Second after", "First after"]


def test_no_middleware_means_no_cache(configure, provider):
    use(configure)

    ask()
    ask()

    assert provider.calls == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plain", "plain in thread"),
        ("async_only", "async_only in loop"),
        ("both", "both calls in thread"),
        ("AsyncClass", "AsyncClass in loop"),
    ],
)
def test_a_sync_call_runs_every_kind_of_middleware(configure, provider, trail, name, said):
    use(configure, name)

    answer = ask()

    assert (answer.status, provider.calls, trail) == (200, 1, [said])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plain", "plain in thread"),
        ("async_only", "async_only in loop"),
        ("both", "both awaits in loop"),
        ("AsyncClass", "AsyncClass in loop"),
    ],
)
def test_an_async_call_runs_every_kind_of_middleware(configure, provider, trail, name, said):
    use(configure, name)

    answer = asyncio.run(aask())

    assert (answer.status, provider.calls, trail) == (200, 1, [said])


@pytest.mark.parametrize("call", [ask, lambda: asyncio.run(aask())], ids=["chat", "achat"])
@pytest.mark.parametrize("around", [CACHE, RETRY, "both"])
@pytest.mark.parametrize("name", ["Unmarked", "Slotted", "passes_on"])
def test_an_async_middleware_needs_no_mark_to_stand_below_any_other(configure, provider, trail, call, around, name):
    use(configure, around, name)

    answers = [call(), call()]

    assert [answer.status for answer in answers] == [200, 200]
    assert f"{name} in loop" in trail
    assert answers[1].from_cache is (around == CACHE)


@pytest.mark.parametrize("call", [ask, lambda: asyncio.run(aask())], ids=["chat", "achat"])
def test_kinds_may_alternate(configure, provider, trail, call):
    use(configure, "plain", "async_only", "First", "both", "AsyncClass", "Second")

    answer = call()

    assert (answer.status, provider.calls) == (200, 1)
    assert [line.split()[0] for line in trail if "after" not in line] == [
        "plain", "async_only", "First", "both", "AsyncClass", "Second",
    ]  # fmt: skip


def test_a_hit_of_an_async_call_never_meets_a_sync_middleware_below_the_cache(configure, trail):
    use(configure, CACHE, "plain")

    async def twice():
        await aask()
        trail.clear()
        return await aask()

    assert asyncio.run(twice()).from_cache
    assert trail == []


def test_sync_middleware_side_by_side_share_one_thread_of_an_async_call(configure, trail):
    use(configure, "InThread", "InThread")

    asyncio.run(aask())

    assert len(set(trail)) == 1
    assert trail[0].startswith("llmcache-middleware")


def test_sync_middleware_around_an_async_one_takes_no_second_thread(configure, trail):
    use(configure, "InThread", "async_only", "InThread")

    asyncio.run(aask())

    assert trail[0] == trail[2]


def test_a_sync_call_stays_in_its_thread_through_async_middleware(configure, trail):
    """As with Django's own: what is bound to a thread (a connection, a lock) stays at hand."""
    use(configure, "async_only", "InThread")

    ask()

    assert trail == ["async_only in loop", threading.current_thread().name]


def test_as_many_async_calls_as_there_are_threads_do_not_wait_for_each_other(configure, provider):
    """Each holds its one thread when it comes to the second sync middleware."""
    layers.barrier[:] = [threading.Barrier(3)]
    configure(MIDDLEWARE=[f"{LAYERS}.OuterWaits", f"{LAYERS}.async_only", f"{LAYERS}.plain"], ASYNC_THREADS=3)

    async def three():
        calls = (aask(sample=number, cache=False) for number in range(3))
        return await asyncio.wait_for(asyncio.gather(*calls), timeout=8)

    assert [answer.status for answer in asyncio.run(three())] == [200, 200, 200]


def test_a_middleware_that_is_not_used_is_left_out(configure, trail):
    use(configure, "First", "unused", "Second")

    ask()

    assert trail == ["First before", "Second before", "Second after", "First after"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (f"{LAYERS}.Missing", "does not import"),
        ("no.such.module.Thing", "does not import"),
        ("nodots", "does not import"),
        (".relative", "does not import"),
        (f"{LAYERS}.NOT_CALLABLE", "cannot be called"),
        (f"{LAYERS}.breaks", "could not be made: RuntimeError('no licence')"),
        (f"{LAYERS}.returns_none", "returned None"),
        (f"{LAYERS}.Neither", "neither sync_capable nor async_capable"),
        (f"{LAYERS}.ForgetsToSayAsync", "async_capable = True"),
        ("django_llmcache.middleware.scope.RequestScopeMiddleware", "name it in Django's MIDDLEWARE"),
        ("django.middleware.common.CommonMiddleware", "name it in Django's MIDDLEWARE"),
    ],
)
@pytest.mark.parametrize("call", [ask, lambda: asyncio.run(aask())], ids=["chat", "achat"])
def test_a_path_that_cannot_work_is_an_error_that_names_it(configure, provider, call, path, says):
    configure(MIDDLEWARE=[CACHE, path])

    with pytest.raises(ConfigurationError) as caught:
        call()

    assert f"settings.LLMCACHE['MIDDLEWARE'] has {path!r}" in str(caught.value)
    assert says in str(caught.value)
    assert provider.calls == 0


def test_the_pipeline_is_built_anew_when_the_settings_change(configure, settings, trail):
    use(configure, "First")
    ask()

    with override_settings(LLMCACHE={**settings.LLMCACHE, "MIDDLEWARE": [f"{LAYERS}.Second"]}):
        ask()
    ask()

    assert trail[::2] == ["First before", "Second before", "First before"]


def test_the_pipeline_is_built_once_for_the_same_settings(configure, trail):
    """A middleware may keep something between calls, as Django's may."""
    use(configure, "First")

    ask()
    first = pipeline.handler()
    ask()

    assert pipeline.handler() is first


FORKS = """
import asyncio, os, signal, sys
from django.conf import settings
settings.configure(LLMCACHE={"MIDDLEWARE": ["tests.pipeline.layers.answers_itself"], "ASYNC_THREADS": 1})
from django_llmcache import achat

def ask():
    return asyncio.run(achat("ollama", [{"role": "user", "content": "Hi"}], model="m")).status

assert ask() == 200
child = os.fork()
if not child:
    signal.alarm(20)
    os._exit(0 if ask() == 200 else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_has_threads_of_its_own():
    """It inherits the pipeline, and none of the threads that ran its sync middleware."""
    assert subprocess.run([sys.executable, "-c", FORKS], timeout=60, check=False).returncode == 0


def test_a_middleware_may_answer_by_itself(configure, provider):
    use(configure, "answers_itself")

    assert ask().data == {"said": "by the middleware"}
    assert provider.calls == 0


def test_what_a_middleware_changes_above_the_cache_is_in_the_key_and_is_sent(configure, provider):
    use(configure, "asks_for_less", CACHE)
    changed = ask()

    use(configure, CACHE)
    as_it_was = ask()

    assert [request["body"].get("max_tokens") for request in provider.requests] == [7, None]
    assert changed.cache.key != as_it_was.cache.key


def test_what_a_middleware_changes_below_the_cache_is_not_in_the_key(configure, provider):
    use(configure, CACHE, "asks_for_less")
    changed = ask()

    assert provider.requests[0]["body"]["max_tokens"] == 7
    use(configure, CACHE)
    assert ask().cache.key == changed.cache.key
