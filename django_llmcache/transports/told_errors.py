"""What the error of one call is to another who waited for it: an error with a request of its own."""

from __future__ import annotations

from copy import copy
from typing import Any

from django_llmcache.credentials import Credentials, in_address, in_headers, shown
from django_llmcache.errorcopy import fresh
from django_llmcache.exceptions import LLMCacheError
from django_llmcache.headers import joined

from .library import Library


def told(error: BaseException, library: Library, request: Any, *, alike: bool) -> BaseException | None:
    """Return an error like that of another's call, with this caller's request in it; ``None`` where it gets none.

    The libraries' errors keep the request that failed, in their text too: another caller's has that caller's credential
    in it. What is neither the library's nor ours comes of the client's own ways, a hook or a transport: whoever has
    these too is told of it where a second error can be made, and asks itself where not.

    Args:
        error: that of the other.
        library: of both of them.
        request: this caller's.
        alike: whether the other's credential, and its client's ways, are this caller's as well. If not, it is told of a
            broken connection alone, in an error that is made anew.
    """
    if not alike:
        return _of_connection(error, library, request)
    if not isinstance(error, Exception):
        return None
    other = fresh(error)
    if other is error:
        return error if isinstance(error, library.errors | LLMCacheError) else None
    _claim(other, request)
    return other


def _of_connection(error: BaseException, library: Library, request: Any) -> BaseException | None:
    """Return an error of the same class with a text alone, less credentials; ``None`` for one that tells of more."""
    sent = getattr(error, library.failed, None)
    if sent is None or type(error) not in library.disconnected:
        return None
    _, asked, _, _ = library.outgoing(request)
    _, url, headers, _ = library.outgoing(sent)
    if url.partition("?")[0] != asked.partition("?")[0]:  # of a hook, or behind a redirect
        return None
    hidden = Credentials(None, (*in_headers(joined(headers)), *in_address(url))).hidden(str(error))
    other: Any = type(error)(shown(hidden))
    setattr(other, library.failed, request)
    return other  # type: ignore[no-any-return]


def _claim(error: BaseException, request: Any) -> None:
    """Let an error, and the response in it, have this request for theirs."""
    _put(error, request)
    response = vars(error).get("response")
    if _keeping(response, request):
        vars(error)["response"] = claimed = copy(response)
        _put(claimed, request)


def _put(holder: Any, request: Any) -> None:
    """Put a request where another is kept: in the variables, since the class may be anybody's."""
    for name in _keeping(holder, request):
        vars(holder)[name] = request


def _keeping(holder: Any, request: Any) -> list[str]:
    """Return the names under which an error or a response keeps a request of the same library."""
    kept = getattr(holder, "__dict__", {})
    return [name for name in ("request", "_request") if isinstance(kept.get(name), type(request))]
