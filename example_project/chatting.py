"""What the two chat pages ask, and how they tell what came of it."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Self

from django.conf import settings
from django.template.defaultfilters import pluralize

from django_llmcache import LLMClient, LLMResponse
from django_llmcache.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InvalidAnswerError,
    LLMCacheError,
    ProviderConnectionError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
)

from . import standin

LABELS = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "groq": "Groq",
    "mistral": "Mistral",
    "xai": "xAI",
}
NOT_STORED = {
    "truncated": "it was cut short",
    "refused": "the model refused",
    "empty": "it is empty",
    "error": "something failed",
    "too_large": "it is too large",
    "disabled": "caching is off",
}
"""A reason code in plain words."""

FAILURES: tuple[tuple[type[LLMCacheError], str], ...] = (
    (ConfigurationError, "The example's settings do not work for this provider. Is its API key set?"),
    (AuthenticationError, "The provider refused the API key. Check the key in the environment or in .env."),
    (RateLimitError, "The provider asks for patience. Wait a little, then ask again."),
    (ProviderTimeoutError, "The provider did not answer in time. Ask again in a moment."),
    (ProviderConnectionError, "The connection to the provider failed or broke. Ask again in a moment."),
    (ServerError, "The provider has trouble of its own. Ask again in a moment."),
    (BadRequestError, "The provider refused the request. Does the model exist, and may your key use it?"),
    (InvalidAnswerError, "The provider answered with something that is no chat answer."),
)
"""What a visitor is told; the first class that fits holds."""


def has_key(provider: str) -> bool:
    """Return whether a provider is asked for real."""
    return bool(settings.LLMCACHE["PROVIDERS"][provider].get("API_KEY"))


def choices() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the providers and their models for a form's field, in two groups."""
    groups: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for name, words in settings.LLMCACHE["PROVIDERS"].items():
        groups[has_key(name)].append((name, f"{LABELS.get(name, name)} · {words['MODEL']}"))
    named = (("With your key", groups[True]), ("Stand-in, no key needed", groups[False]))
    return [(label, group) for label, group in named if group]


def client(provider: str) -> LLMClient:
    """Return what asks a provider: itself where there is a key, else the stand-in."""
    return _client(provider, None if has_key(provider) else f"{standin.running().url}/{provider}/v1")


@lru_cache
def _client(provider: str, stand_in: str | None) -> LLMClient:
    """Return a client to keep: one is cheap to use and not quite as cheap to make."""
    if stand_in is None:
        return LLMClient(provider)
    return LLMClient(provider, base_url=stand_in, api_key="the stand-in asks for none")


class Answer(NamedTuple):
    """One answer as the page shows it."""

    provider: str
    response: LLMResponse
    seconds: float
    stand_in: bool

    @classmethod
    def of(cls, provider: str, response: LLMResponse, *, seconds: float) -> Self:
        return cls(LABELS.get(provider, provider), response, seconds, not has_key(provider))

    @property
    def badge(self) -> str:
        """Return where it came from, how long that took and what it spared."""
        if not self.response.from_cache:
            return f"live, {milliseconds(self.seconds)}"
        tokens = self.response.usage.total_tokens
        saved = f", {tokens} token{pluralize(tokens)} saved" if tokens else ""
        return f"from cache, {milliseconds(self.seconds)}{saved}"

    @property
    def storage(self) -> str:
        """Return what became of it in the cache."""
        info = self.response.cache
        if self.response.from_cache:
            return f"stored {duration(info.age)} ago, kept {_kept(info.ttl)}"
        if info.stored_at is not None:
            return f"stored, kept {_kept(info.ttl)}"
        return f"not stored: {NOT_STORED.get(info.reason or '', info.reason)}"

    @property
    def stored(self) -> bool:
        return self.response.cache.stored_at is not None

    @property
    def tools(self) -> list[str]:
        """Return the tool calls that the model answered with, if any."""
        return [call.name for call in self.response.tool_calls]


class Failure(NamedTuple):
    """Why there is no answer."""

    message: str
    detail: str
    """What the provider itself said: for developers."""

    @classmethod
    def of(cls, error: LLMCacheError) -> Self:
        message = next((text for kind, text in FAILURES if isinstance(error, kind)), "The call failed.")
        return cls(message, str(error) if settings.DEBUG else "")


def milliseconds(seconds: float) -> str:
    """Return a time in milliseconds, with as many digits as say something."""
    value = seconds * 1000
    digits = 0 if value >= 10 else 1 if value >= 0.1 else 2
    return f"{value:.{digits}f} ms"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


def _kept(ttl: float | None) -> str:
    return "for ever" if ttl is None else f"for {duration(ttl)}"
