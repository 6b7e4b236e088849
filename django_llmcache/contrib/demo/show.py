"""What ``manage.py llmcache demo`` shows: real calls to a stand-in provider that answers with recorded bodies.

Offline and without a key. The default settings hold meanwhile, so that it shows the same in every project, and the
answers stay in this process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from django_llmcache import cache, conf
from django_llmcache.cacheinfo import CacheInfo
from django_llmcache.client import LLMClient
from django_llmcache.management.statistics import Report
from django_llmcache.messages import LLMResponse
from django_llmcache.policies import policy
from django_llmcache.workers.folder import of_this_process

from .standin import StandIn

SCOPE: Final = "llmcache-demo"


class Call(NamedTuple):
    """One call of the demo; ``path`` is what stands before the provider's own path at the stand-in."""

    provider: str
    path: str
    model: str
    question: str
    options: Mapping[str, Any] = {}


class Row(NamedTuple):
    """What became of one call; ``seconds`` is what its caller waited, ``info`` what the answer then said of itself."""

    call: Call
    response: LLMResponse
    info: CacheInfo
    seconds: float


CALLS: Final = (
    Call("openai", "/v1", "gpt-4-turbo", "Test"),
    Call("anthropic", "/v1", "claude-3-opus-20240229", "Test"),
    Call("gemini", "/v1beta", "gemini-2.0-flash", "What is the temperature of the capital of France?"),
    Call("mistral", "/mistral/v1", "mistral-tiny", "Say hello in one word", {"temperature": 0.7}),
    Call("ollama", "", "llama3.2:1b", "Say hello", {"options": {"num_predict": 10}}),
    Call("openai", "/v1", "gpt-4-turbo", "Generate a random number between 1 and 10", {"max_tokens": 10}),
)
"""Each is made twice. The last answer is cut short by ``max_tokens``, so it is not stored."""

HEADINGS: Final = ("call", "question", "from", "latency", "tokens saved", "what happened")


def run(write: Callable[[str], object], *, latency: float = 0.4) -> None:
    """Make the calls, and write a table of them and the statistics.

    Args:
        write: takes one line or more, without the newline at the end.
        latency: seconds that the stand-in provider takes for an answer.
    """
    settings = {"RUN_DIR": of_this_process(os.getpid())}
    with conf.instead(settings), no_proxy(), StandIn(latency=latency) as provider, policy(cache=True, scope=SCOPE):
        write(
            f"A stand-in provider answers on loopback after {latency:g} s, with recorded answers of real providers.\n"
            "The default settings hold; those of this project and its cache are not touched."
        )
        write("")
        try:
            for line in _table(list(_made(provider.url))):
                write(line)
            write(f"\nThe provider was asked {provider.calls} times for {2 * len(CALLS)} calls.\n")
            write(Report(cache.stats(), "this process").as_text())
        finally:
            cache.clear(scope=SCOPE)


@contextmanager
def no_proxy() -> Iterator[None]:
    """Let no proxy that the environment names stand between this process and loopback."""
    names = ("no_proxy", "NO_PROXY")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "127.0.0.1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _made(url: str) -> Iterator[Row]:
    for call in CALLS:
        client = LLMClient(call.provider, base_url=url + call.path, api_key="the stand-in asks for none")
        for _ in range(2):
            began = time.perf_counter()
            response = client.chat([{"role": "user", "content": call.question}], model=call.model, **call.options)
            waited = time.perf_counter() - began
            yield Row(call, response, response.cache, waited)


def _table(rows: list[Row]) -> Iterator[str]:
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        if line is HEADINGS:
            yield "  ".join("-" * width for width in widths)


def _cells(row: Row) -> tuple[str, ...]:
    response = row.response
    saved = response.usage.total_tokens if response.from_cache else 0
    return (
        f"{row.call.provider} {row.call.model}",
        _shortened(row.call.question),
        "cache" if response.from_cache else "provider",
        f"{row.seconds * 1000:.2f} ms",
        str(saved or "-"),
        _story(row.info),
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 32 else text[:29] + "..."


def _story(info: CacheInfo) -> str:
    if info.status == "hit":
        return f"{info.age * 1000:.0f} ms old"
    return f"stored for {info.ttl:g} s" if info.ttl else f"not stored: {info.reason}"
