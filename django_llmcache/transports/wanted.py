"""An HTTP library's request as middleware wants it: what is in the key is what is sent."""

from __future__ import annotations

from typing import Any

from django_llmcache.bodyrequest import BodyRequest, payload_of
from django_llmcache.headers import one_each
from django_llmcache.messages import LLMRequest
from django_llmcache.providers.encoding import encode
from django_llmcache.providers.traffic import with_query

from .library import Library


def as_wanted(library: Library, http: Any, asked: LLMRequest, request: LLMRequest) -> Any:
    """Return the library's request: as it came where nothing has changed, else another.

    Args:
        library: whose request it is.
        http: the request as it came.
        asked: what was read in it.
        request: what middleware has passed on, which may be the same object with another conversation in it.
    """
    _, url, _, body = library.outgoing(http)
    sent = body or b""
    address, headers, content = _address(url, asked, request), _headers(asked, request), _body(sent, request)
    if address == url and not headers and content is sent:
        return http
    return library.changed(http, address, headers, content)


def _address(url: str, asked: LLMRequest, request: LLMRequest) -> str:
    address, mark, query = url.partition("?")
    if (request.base_url, request.path) != (asked.base_url, asked.path):
        address = f"{request.base_url}{request.path}"
    if request.query != asked.query:
        query = with_query(query, request.query)
        mark = "?" if query else ""
    return f"{address}{mark}{query}"


def _headers(asked: LLMRequest, request: LLMRequest) -> dict[str, str | None]:
    """Return the headers that are not to be sent as they came, ``None`` for one that is not to be sent at all."""
    before, now = one_each(asked.headers), one_each(request.headers)
    changed = {name: now.get(name) for name in before | now if before.get(name) != now.get(name)}
    if request.base_url != asked.base_url and "host" not in now:
        changed["host"] = None  # that of the address before
    return changed


def _body(body: bytes, request: LLMRequest) -> bytes:
    """Return the body as it came, however it is spelled, where the payload still says what it says."""
    if isinstance(request, BodyRequest) and request.body_digest:
        return body  # nobody has looked into it
    written = encode(request._payload)
    return body if written == body or written == encode(payload_of(body) or {}) else written
