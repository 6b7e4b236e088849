"""What still looks like a credential when a redactor is through with it: it is written nowhere, and nobody sees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final
from urllib.parse import unquote_plus

from .credentials import HEADERS, REDACTED, is_parameter, may_be_credential, shapes
from .edits import edited, replaced
from .exchange import Incoming, Outgoing
from .findings import Finding, findings, in_text

ANOTHER: Final = f"ANOTHER_{REDACTED}"
"""What stands in a recorded request for a credential that the one beside it does not have."""

Hide = Callable[[str], str]
"""Returns what stands for a credential."""

_LONG_NAME: Final = re.compile(rb'"([^"\\\s]{12,200})"\s*:')


def leaks(redacted: Outgoing | Incoming) -> list[str]:
    """Return the places of what still looks like a credential, such as ``request.headers.authorization``.

    That is what a ``Redactor`` would take out, and any text that looks random behind a name that tells of a key.
    """
    ends: tuple[int, ...] = ()
    if isinstance(redacted, Outgoing):
        side, content_type = "request", redacted.header("content-type").lower()
        body, found = redacted.body, [f"request.{part}" for part in _leaks_of_address(redacted.url)]
    else:
        side, content_type, body = "response", redacted.content_type, redacted.body
        found = ["response.reason"] if in_text(redacted.reason, shapes, named=may_be_credential) else []
        ends = tuple(accumulate(len(chunk.data) for chunk in redacted.chunks))
    found += [f"{side}.headers.{name.lower()}" for name, value in redacted.headers if _leaks_in_header(name, value)]
    for finding in _found_in(body, content_type):
        if len(ends) > 1:
            place = f"chunks[{next(number for number, end in enumerate(ends) if finding.start < end)}]"
        else:
            place = f"body.{finding.place}" if finding.place else "body"
        found.append(f"{side}.{place}")
    if any(map(shapes, _names_in(body))):
        found.append(f"{side}.body, in the name of a field")
    return list(dict.fromkeys(found))


def masked(request: Outgoing, hidden: set[str] | None = None) -> Outgoing:
    """Return a redacted request as people may see it: with ``REDACTED`` for whatever ``leaks`` names.

    Args:
        request: it is left as it was.
        hidden: takes what was hidden, where that is to be compared with another request.
    """

    def hide(credential: str) -> str:
        if hidden is not None:
            hidden.add(credential)
        return REDACTED

    return _masked(request, hide)


def masked_beside(hidden: set[str], request: Outgoing) -> Outgoing:
    """Return a request as ``masked`` does, with ``ANOTHER`` for what differs from all that was hidden of another."""
    return _masked(request, lambda credential: REDACTED if credential in hidden else ANOTHER)


def _masked(request: Outgoing, hide: Hide) -> Outgoing:
    headers = tuple((name, hide(value) if _leaks_in_header(name, value) else value) for name, value in request.headers)
    return Outgoing(request.method, _masked_address(request.url, hide), headers, _masked_body(request, hide))


def _masked_address(url: str, hide: Hide) -> str:
    address, found, query = url.partition("?")
    pairs = (
        f"{pair.partition('=')[0]}={hide(pair.partition('=')[2])}" if _leaks_in_pair(pair) else pair
        for pair in query.split("&")
    )
    return f"{_masked_text(address, hide)}{found}{'&'.join(pairs)}"


def _masked_body(request: Outgoing, hide: Hide) -> bytes:
    found = [
        one._replace(replacement=one.replacement.replace(REDACTED, hide(_text(request.body[one.start : one.end]))))
        for one in _found_in(request.body, request.header("content-type").lower())
    ]
    # Latin-1 leaves every other byte as it was.
    return _LONG_NAME.sub(
        lambda name: _masked_text(name[0].decode("latin-1"), hide).encode("latin-1"), edited(request.body, found)
    )


def _masked_text(text: str, hide: Hide) -> str:
    return replaced(text, [span._replace(replacement=hide(text[span.start : span.end])) for span in shapes(text)])


def _found_in(body: bytes, content_type: str) -> list[Finding]:
    return findings(body, content_type, shapes, named=may_be_credential)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _names_in(body: bytes) -> set[str]:
    """Return the names of all fields of a JSON body that may be a credential: long ones."""
    return {_text(name) for name in _LONG_NAME.findall(body)}


def _leaks_of_address(url: str) -> Iterator[str]:
    address, _, query = url.partition("?")
    if shapes(address):
        yield "url"
    for pair in query.split("&"):
        if _leaks_in_pair(pair):
            yield f"query.{pair.partition('=')[0]}"


def _leaks_in_pair(pair: str) -> bool:
    name, _, value = map(unquote_plus, pair.partition("="))
    return not _is_blank(value) and (is_parameter(name) or may_be_credential(name, value) or bool(shapes(value)))


def _leaks_in_header(name: str, value: str) -> bool:
    if _is_blank(value):
        return False
    return name.lower() in HEADERS or may_be_credential(name, value) or bool(shapes(value))


def _is_blank(value: str) -> bool:
    return not value or REDACTED in value
