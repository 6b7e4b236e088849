"""What an ``auth=`` of ``httpx2`` or ``httpx`` makes of a request whose answer is stored already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


def authenticated(auth: Any, request: Any, send: Callable[..., Any]) -> Any:
    """Return the request as authentication would send it, ``None`` where it sends another; it may change this one.

    What it asks elsewhere before, such as for a token, is sent.

    Args:
        auth: of the library, or a function, as it takes one.
        request: to be answered from the cache.
        send: sends a request as it is given ``auth=None``.
    """
    if not hasattr(auth, "sync_auth_flow"):
        return auth(request)
    place, flow = _place_of(request), auth.sync_auth_flow(request)
    try:
        asked = next(flow)
        while _place_of(asked) != place:
            asked = flow.send(send(asked, auth=None))
        return asked
    except StopIteration:
        return None
    finally:
        flow.close()


async def aauthenticated(auth: Any, request: Any, send: Callable[..., Awaitable[Any]]) -> Any:
    """Do what ``authenticated`` does for an async client."""
    if not hasattr(auth, "async_auth_flow"):
        return auth(request)
    place, flow = _place_of(request), auth.async_auth_flow(request)
    try:
        asked = await anext(flow)
        while _place_of(asked) != place:
            asked = await flow.asend(await send(asked, auth=None))
        return asked
    except StopAsyncIteration:
        return None
    finally:
        await flow.aclose()


def _place_of(request: Any) -> str:
    """Return where a request goes, less its query, which authentication may sign."""
    return str(request.url).partition("?")[0]
