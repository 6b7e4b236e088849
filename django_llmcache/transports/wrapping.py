"""``wrap``: the response cache under an SDK's client that exists already."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Final, TypeVar

import requests

from . import cached_httpx, cached_requests, copied_httpx

Client = TypeVar("Client")

_WAYS: Final = {
    "google.genai": "genai.Client(http_options=types.HttpOptions(httpx_client=cached_client(), "
    "httpx_async_client=cached_async_client()))",
    "mistralai": "Mistral(client=cached_client(), async_client=cached_async_client())",
    "langchain_openai": "ChatOpenAI(http_client=cached_client(), http_async_client=cached_async_client())",
    "litellm": "litellm.client_session = cached_client(library='httpx')",
    "pydantic_ai": "OpenAIProvider(http_client=cached_async_client())",
}
"""How each SDK that can't be copied is given a client when it is made."""


def wrap(sdk_client: Client) -> Client:
    """Return a copy of an SDK's client whose calls are answered from the response cache where they may.

    The copy has the options of the original and asks through its connections, so that proxies, TLS settings, event
    hooks and time-outs stay; closing one closes both. The original is left as it was, also where the copy is dropped.

    Args:
        sdk_client: of ``openai``, ``anthropic``, ``groq``, or another SDK whose clients have ``with_options``; also a
            client of ``httpx2`` or ``httpx``, or a session of ``requests``.

    Raises:
        TypeError: it is a class, or can't be copied; the message names the way that works.
    """
    if isinstance(sdk_client, type):
        name = sdk_client.__name__
        raise TypeError(f"{name} is a class; give a client of it: wrap({name}(…)).")
    copy = getattr(sdk_client, "with_options", None)
    if callable(copy):
        return copy(http_client=_cached(sdk_client))  # type: ignore[no-any-return]
    if isinstance(sdk_client, requests.Session):
        return cached_requests.around(sdk_client)  # type: ignore[return-value] # a session, too
    try:
        return copied_httpx.around(sdk_client)  # type: ignore[no-any-return]
    except TypeError:
        raise TypeError(_another_way(sdk_client)) from None


def _cached(sdk_client: Any) -> Any:
    """Return a cached client around the one that the SDK sends with, or a new one where it shows none."""
    try:
        return copied_httpx.around(getattr(sdk_client, "_client", None))
    except TypeError:
        pass
    is_async = type(sdk_client).__name__.startswith("Async")
    return cached_httpx.cached_async_client() if is_async else cached_httpx.cached_client()


def _another_way(sdk_client: object) -> str:
    kind = sdk_client if isinstance(sdk_client, ModuleType) else type(sdk_client)
    home = kind.__name__ if isinstance(kind, ModuleType) else kind.__module__
    way = next((way for start, way in _WAYS.items() if home.startswith(start)), "cached_client(), where it takes one")
    return (
        f"{kind.__name__} has no with_options(), by which it could be copied with another HTTP client. "
        f"Give it one when it is made: {way}."
    )
