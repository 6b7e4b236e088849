"""The head of a recorded answer as it is read: its status, the words beside it, and headers that a replay can give."""

from __future__ import annotations

import re
from itertools import chain
from typing import Final

from .exchange import STATUSES, Pairs
from .fields import Fields

FRAMING: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that speak of a body as it was on the wire: untrue of one that is kept decoded, and framed anew."""

_LINE_END: Final = re.compile(r"[\r\n]")
_LINE_END_IN_VALUE: Final = re.compile(r"\r(?![\n \t])|\n(?![ \t])")
"""One that is no fold: a server may fold a long header, and it is recorded so."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NAME: Final = re.compile("[!-9;-~]+")
"""A header's as Python's own client takes it (RFC 5322, section 3.6.8): servers send ``x-ratelimit-limit/min``."""

_NAMES: Final = re.compile(rf"{_NAME.pattern}(?:\n{_NAME.pattern})*")


def lasting(headers: Pairs) -> Pairs:
    """Return the headers of an answer that came, as a recording keeps them, without those of ``FRAMING``.

    A NUL becomes a space (RFC 9110, section 5.5).
    """
    return tuple((name, value.replace("\0", " ")) for name, value in headers if name.lower() not in FRAMING)


def read_head(response: Fields) -> tuple[int, str, Pairs]:
    """Return the status of an answer, its reason and its headers.

    Raises:
        FixtureError: one of them is not what an answer can have.
    """
    status, reason = response.whole("status", least=STATUSES[0], most=STATUSES[-1]), response.text("reason", "")
    headers = response.pairs("headers")
    names = "\n".join([name for name, _ in headers])
    if not _is_plain("".join(chain((reason,), *headers))) or (headers and not _NAMES.fullmatch(names)):
        _check_reason(response, reason)
        for index, (name, value) in enumerate(headers):
            _check_header(response, f"headers[{index}]", name, value)
    return status, reason, headers


def _is_plain(text: str) -> bool:
    """Return whether nothing in a whole head needs a closer look: one by one takes longer than all else of a head."""
    if not (text.isascii() and text.isprintable()):
        return False
    lower = text.lower()
    return not ("content-length" in lower or "-encoding" in lower)


def _check_reason(response: Fields, reason: str) -> None:
    if _LINE_END.search(reason):
        raise response.error("reason", f"it is {reason!r}; it must be one line: take the line end out")
    if _SURROGATE.search(reason):
        raise response.error("reason", "it has half of a surrogate pair: take it out")


def _check_header(response: Fields, place: str, name: str, value: str) -> None:
    if name.lower() in FRAMING:
        raise response.error(
            place, f"{name!r} speaks of the bytes on the wire, and the body is kept without its encoding and framing: "
            "take the header out",
        )  # fmt: skip
    if _LINE_END.search(name):
        raise response.error(place, f"its name is {name!r}; it must be one line: take the line end out")
    if not _NAME.fullmatch(name):
        raise response.error(place, f"its name is {name!r}; it must be a header's name such as 'content-type'")
    if "\0" in value:
        raise response.error(
            place, rf"the value of {name!r} has the character '\x00', which no header can have: take it out"
        )
    if _LINE_END_IN_VALUE.search(value):
        raise response.error(place, f"the value of {name!r} has a line end; it must be one line: take the line end out")
    if _SURROGATE.search(value):
        raise response.error(place, "it has half of a surrogate pair: take it out")
