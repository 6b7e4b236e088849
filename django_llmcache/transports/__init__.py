"""How bytes get to a provider and back, one HTTP library per file; and the response cache under clients of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cached_httpx import cached_async_client, cached_client
    from .cached_requests import cached_session
    from .wrapping import wrap

__all__ = ["cached_async_client", "cached_client", "cached_session", "wrap"]

_HOMES = {
    "cached_async_client": "cached_httpx", "cached_client": "cached_httpx", "cached_session": "cached_requests",
    "wrap": "wrapping",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: what sends for ``chat()`` lives in this package too."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
