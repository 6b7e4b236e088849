"""A project with one provider, the stand-in on loopback, and an ear on every signal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from django_llmcache import LLMResponse, achat, chat, signals

KEY = "sk-canary-that-no-log-line-may-show"
MESSAGES = [{"role": "user", "content": "Say hello in one word"}]
CACHE = "django_llmcache.middleware.cache.CacheMiddleware"
RETRY = "django_llmcache.middleware.retry.RetryMiddleware"
LOGGING = "django_llmcache.middleware.logging.LoggingMiddleware"


@pytest.fixture
def configure(settings, provider):
    """Return what sets ``LLMCACHE``; the stand-in is its provider "openai"."""

    def configure(**llmcache: Any) -> None:
        openai = {"API_KEY": KEY, "BASE_URL": f"{provider.url}/v1", "MODEL": "gpt-4o-mini"}
        openai |= llmcache.pop("OPENAI", {})
        settings.LLMCACHE = {"PROVIDERS": {"openai": openai}, **llmcache}

    configure()
    return configure


class Events(list[tuple[str, dict[str, Any]]]):
    """What the signals told, in order: the name and the arguments, without ``signal``."""

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [details for found, details in self if found == name]


@pytest.fixture
def events() -> Iterator[Events]:
    """Return a list that every event of the response cache is added to."""
    heard = Events()
    with ExitStack() as stack:
        for name in ("hit", "miss", "put", "evict", "error"):
            signal = getattr(signals, f"cache_{name}")

            def hear(signal: Any, name: str = name, **details: Any) -> None:
                heard.append((name, details))

            signal.connect(hear, weak=False)
            stack.callback(signal.disconnect, hear)
        yield heard


def ask(**words: Any) -> LLMResponse:
    """Ask the one question of these tests."""
    return chat("openai", words.pop("messages", MESSAGES), **words)


async def aask(**words: Any) -> LLMResponse:
    return await achat("openai", words.pop("messages", MESSAGES), **words)


def fate(response: LLMResponse) -> tuple[str, str | None]:
    """Return the status and the reason that an answer tells of."""
    return response.cache.status, response.cache.reason
