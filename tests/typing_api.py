"""What a type checker makes of the public names: mypy reads this file, nobody runs it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import assert_type

from django_llmcache import (
    CachePolicy,
    LLMClient,
    LLMRequest,
    LLMResponse,
    achat,
    aembed,
    astream,
    cache,
    cached,
    chat,
    embed,
    policy,
    stream,
)
from django_llmcache.bodies import ToolCall, Usage
from django_llmcache.cacheinfo import CacheInfo
from django_llmcache.events import StreamEvent
from django_llmcache.explanation import Explanation
from django_llmcache.stats import CacheStats

MESSAGES = [{"role": "user", "content": "Hi"}]


def answers() -> None:
    response = chat("openai", MESSAGES, model="gpt-4o-mini", cache=True, ttl=timedelta(minutes=5))
    assert_type(response, LLMResponse)
    assert_type(response.text, str)
    assert_type(response.usage, Usage)
    assert_type(response.usage.input_tokens, int)
    assert_type(response.finish_reason, str | None)
    assert_type(response.tool_calls, tuple[ToolCall, ...])
    assert_type(response.model, str | None)
    assert_type(response.body, bytes)
    assert_type(response.from_cache, bool)
    assert_type(response.cache, CacheInfo)
    assert_type(response.cache.age, float)
    assert_type(embed("openai", ["a", "b"], model="text-embedding-3-small").embeddings, tuple[list[float], ...])
    for event in stream("openai", MESSAGES):
        assert_type(event, StreamEvent)


async def answers_on_the_loop() -> None:
    assert_type(await achat("openai", MESSAGES), LLMResponse)
    assert_type(await aembed("openai", "a"), LLMResponse)
    assert_type(await LLMClient("openai").achat(MESSAGES), LLMResponse)
    async for event in astream("openai", MESSAGES):
        assert_type(event, StreamEvent)


def the_cache(request: LLMRequest) -> None:
    def call(request: LLMRequest) -> Mapping[str, object]:
        return {"text": "Hi"}

    assert_type(cache.with_cache(request, call, policy=CachePolicy(ttl=60)), LLMResponse)
    assert_type(cache.get("key"), LLMResponse | None)
    assert_type(cache.delete("key"), bool)
    assert_type(cache.clear(provider="openai", tag="faq"), int | None)
    assert_type(cache.stats(), CacheStats)
    assert_type(cache.explain(request), Explanation)


async def the_cache_on_the_loop(request: LLMRequest) -> None:
    async def call(request: LLMRequest) -> bytes:
        return b"{}"

    assert_type(await cache.awith_cache(request, call), LLMResponse)
    assert_type(await cache.aget("key"), LLMResponse | None)
    assert_type(await cache.aclear(), int | None)
    assert_type(await cache.astats(), CacheStats)


@policy(ttl=60, tags=["faq"])
def decorated(name: str) -> int:
    return len(name)


@cached(ttl=60)
def answer(messages: list[dict[str, str]]) -> str:
    return "Hi"


def decorators_keep_types() -> None:
    assert_type(decorated("a"), int)
    with policy(scope="user:42") as in_force:
        assert_type(in_force, CachePolicy)
    cached(ttl="soon")  # type: ignore[call-overload]  # its words are typed, as those of policy() are
