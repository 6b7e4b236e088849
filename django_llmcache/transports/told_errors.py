"""What the error of one call is to another who waited for it: an error with a request of its own."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from django_llmcache.credentials import Credentials, in_address, in_headers, shown
from django_llmcache.errorcopy import fresh
from django_llmcache.exceptions import LLMCacheError
from django_llmcache.headers import joined

if TYPE_CHECKING:
    from .sending import Library


def told(error: BaseException, library: Library, request: Any, *, alike: bool) -> BaseException | None:
    """Return an error like that of another's call, with this caller's request in it; ``None`` where it gets none.

    The libraries' errors keep the request that failed, in their text too: another caller's has that caller's credential
    in it. What is neither the library's nor ours is that caller's own, as a hook of its client raises it.

    Args:
        error: that of the other.
        library: of both of them.
        request: this caller's.
        alike: whether the other's credential, and its client's ways, are this caller's as well. If not, it is told of a
            broken connection alone, in an error that is made anew.
    """
    if not alike:
        return _of_connection(error, library, request)
    if not isinstance(error, library.errors | LLMCacheError):
        return None
    other = fresh(error)
    if other is not error:
        _claim(other, library, request)
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


def _claim(error: Any, library: Library, request: Any) -> None:
    """Let an error, and the response in it, have this request for theirs."""
    if getattr(error, library.failed, None) is not None:
        error.request = request
    if getattr(error, "response", None) is not None:
        error.response = copy(error.response)
        error.response.request = request
