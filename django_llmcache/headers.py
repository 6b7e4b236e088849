"""Response headers as a read-only, case-blind mapping, and which request headers can be sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple

FRAMING: Final = frozenset({
    "connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade",
})  # fmt: skip
"""Names that say how a message travels, not what it is (RFC 9110, section 7.6.1): one of them more breaks it."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, section 5.6.2."""


RawHeaders = Sequence[tuple[bytes, bytes]]
"""The headers of a request as they go over the wire."""


def joined(headers: RawHeaders, names: AbstractSet[bytes] | None = None) -> dict[str, str]:
    """Return headers by their lower-case names; of one that comes twice, its values joined (RFC 9110, section 5.3).

    Args:
        headers: of one request.
        names: which of them, in lower case; else all.
    """
    found: dict[str, str] = {}
    for raw, value in headers:
        lower = raw.lower()
        if names is None or lower in names:
            name, text = lower.decode("latin-1"), value.decode("latin-1")
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def one_each(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers of an ``LLMRequest`` by their names; of one that comes twice, its values joined."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


class Headers(Mapping[str, str]):
    """Response headers: a read-only mapping that finds a name in any case. The last of duplicates wins."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values = {name.lower(): value for name, value in pairs}

    def __getitem__(self, name: object) -> str:
        if not isinstance(name, str):
            raise KeyError(name)
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        """Show the names alone: a value may be a cookie."""
        return f"<Headers {', '.join(self._values)}>"


class BadHeader(NamedTuple):
    """A request header that cannot be sent: which, and what is wrong with it. Never its value."""

    name: str
    problem: str


def unsendable(headers: Mapping[Any, Any]) -> BadHeader | None:
    """Return what neither HTTP library could send, or what is not the caller's to say; ``None`` where all is well.

    They find out late: the errors that they raise show the credential beside it, or blame the network.
    """
    for name, value in headers.items():
        if not isinstance(name, str) or not is_name(name):
            # Up to a colon or a blank: behind it may be a value.
            start = re.split(r"[:\s]", name)[0] if isinstance(name, str) else name
            return BadHeader(f"{start!r:.60}", "has no name that HTTP allows: give letters, digits and hyphens")
        problem = _problem_of(name, value)
        if problem is not None:
            return BadHeader(name, problem)
    return None


def is_name(text: str) -> bool:
    """Return whether HTTP allows a text as the name of a header."""
    return _TOKEN.fullmatch(text) is not None


def _problem_of(name: str, value: Any) -> str | None:
    if name.lower() in FRAMING:
        return "is for the HTTP library to set: leave it out"
    if not isinstance(value, str | int | float):
        return f"is a {type(value).__name__}: give a text"
    text = str(value)
    if not (text.isascii() and text.isprintable()):
        return "has a character that cannot be sent: give printable ASCII"
    return None if text == text.strip() else "begins or ends with a blank: take it away"
