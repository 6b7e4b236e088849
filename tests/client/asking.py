"""The four ways to ask, sync and async alike, and what a recorded request was."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, NamedTuple

from django_llmcache import achat, aembed, astream, chat, embed, stream
from django_llmcache.providers import target
from django_llmcache.transports import over_httpx, over_threads
from tests.recordings import Recording

HI = [{"role": "user", "content": "Hi"}]
KEY = "sk-made-up-2f9c71d0a4"

BASES = {
    "anthropic": "/v1",
    "azure-openai": "/openai/deployments/test-deployment",
    "gemini": "/v1beta",
    "groq": "/openai/v1",
    "lmstudio": "/v1",
    "mistral": "/v1",
    "ollama": "",
    "openai": "/v1",
    "openrouter": "/api/v1",
    "xai": "/v1",
}
"""What stands before a provider's own path in the recorded addresses."""

TRANSPORTS = {"httpx2": over_httpx, "threads": over_threads}
WAYS = ["requests", *TRANSPORTS]
"""Each way from here to a provider: the sync one, and the two of the event loop."""


class Asked(NamedTuple):
    """The arguments of the call that sends what was recorded."""

    provider: str
    messages: list[dict[str, Any]]
    model: str
    options: dict[str, Any]


def asked(recording: Recording) -> Asked:
    """Return the call whose body is the recorded one."""
    body = {name: value for name, value in recording.request_body.items() if name != "stream"}
    in_path = re.search(r"models/([^:/]+):", recording.url)
    messages = body.pop("contents" if in_path else "messages")
    return Asked(recording.provider, messages, in_path[1] if in_path else body.pop("model"), body)


class Way:
    """Asks over one transport, and returns when all has come."""

    def __init__(self, name: str, monkeypatch: Any) -> None:
        self.name = name
        self.is_async = name in TRANSPORTS
        if self.is_async:
            monkeypatch.setattr(target, "async_transport", lambda: TRANSPORTS[name])

    def chat(self, *args: Any, **words: Any) -> Any:
        return asyncio.run(achat(*args, **words)) if self.is_async else chat(*args, **words)

    def embed(self, *args: Any, **words: Any) -> Any:
        return asyncio.run(aembed(*args, **words)) if self.is_async else embed(*args, **words)

    def stream(self, *args: Any, **words: Any) -> list[Any]:
        """Return every event."""
        return asyncio.run(_events(*args, **words)) if self.is_async else list(stream(*args, **words))


async def _events(*args: Any, **words: Any) -> list[Any]:
    async with aclosing(astream(*args, **words)) as events:
        return [event async for event in events]


def caught(call: Callable[..., Any], *args: Any, **words: Any) -> BaseException:
    """Return what a call raises."""
    try:
        call(*args, **words)
    except Exception as error:
        return error
    raise AssertionError("It raised nothing.")
