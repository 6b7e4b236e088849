"""Cache LLM answers in Django: never pay for the same answer twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import cache
    from .client import LLMClient, achat, aembed, astream, chat, embed, stream
    from .decorator import cached
    from .messages import LLMRequest, LLMResponse
    from .policies import CachePolicy, policy

__all__ = [
    "CachePolicy",
    "LLMClient",
    "LLMRequest",
    "LLMResponse",
    "achat",
    "aembed",
    "astream",
    "cache",
    "cached",
    "chat",
    "embed",
    "policy",
    "stream",
]

_HOMES = {
    "cache": "cache", "cached": "decorator", "LLMRequest": "messages", "LLMResponse": "messages",
    "CachePolicy": "policies", "policy": "policies",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that floor 0 needs neither Django nor requests."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = import_module(f".{_HOMES.get(name, 'client')}", __name__)
    globals()[name] = value = home if name == "cache" else getattr(home, name)
    return value


def __dir__() -> list[str]:
    """List the public names too, which a shell offers on Tab before any of them was imported."""
    return sorted({*globals(), *__all__})
