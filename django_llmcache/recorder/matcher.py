"""Say which requests are the same to the test cache: a digest of all of a request that can change its answer."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlencode

import orjson

from .credentials import is_signing
from .exchange import Outgoing, Pairs
from .forms import canonical_form, counted_value, counts_bytes
from .names import folder_name

FORMAT: Final = 1
"""Version of the key's own making; every key changes with it."""

HEADERS: Final = frozenset({
    "anthropic-beta", "openai-beta", "prefer", "range", "x-amzn-bedrock-guardrailidentifier",
    "x-amzn-bedrock-guardrailversion", "x-amzn-bedrock-performanceconfig-latency", "x-amzn-bedrock-service-tier",
    "x-amzn-bedrock-trace", "x-goog-upload-command", "x-goog-upload-offset",
})  # fmt: skip
"""Headers that change an answer. Of ``accept`` it counts whether it asks for an event stream."""

UNKEYED: Final = frozenset({
    "clientRequestToken", "idempotencyKey", "idempotency-key", "idempotency_key", "metadata", "user",
})  # fmt: skip
"""Top-level names of a body that do not count."""

_Head = tuple[int, str, str, str, list[str], list[tuple[str, str]], list[tuple[str, list[str]]]]
"""The key's format, and of a request its method, scheme, host, path, query and headers."""

_PLAIN: Final = "!$&'()*+,;=:@"
"""What stands in a step of a path as it is."""

_EVENTS: Final = "text/event-stream"
_VERSIONS: Final = ("v1", "v1alpha", "v1beta", "v2", "v3", "v4")


class Matcher:
    """Makes the keys of requests.

    Args:
        ignore: paths in the body that do not count; ``*`` stands for any item of a list, a number for one.
        headers: names, in lower case, of headers that count besides ``HEADERS``.
    """

    __slots__ = ("_headers", "_ignore")

    def __init__(self, ignore: tuple[str, ...] = (), headers: frozenset[str] = frozenset()) -> None:
        self._ignore = ignore
        self._headers = headers

    def key_of(self, redacted: Outgoing) -> str:
        """Return 64 hex characters, the same for requests that are the same and for no others."""
        digest = hashlib.sha256(_envelope(*redacted[:3], self._headers))
        digest.update(self._form(redacted))
        return digest.hexdigest()

    def counts_bytes(self, redacted: Outgoing) -> bool:
        """Return whether a request's body counts byte by byte."""
        return counts_bytes(self._form(redacted))

    def head_of(self, redacted: Outgoing) -> dict[str, str]:
        """Return what counts of a request besides its body, one text for each part, by what people call it."""
        _, method, scheme, _, steps, query, headers = _head(redacted, self._headers)
        parts = {"method": method, "scheme": scheme, "path": "/".join(quote(step, _PLAIN, "latin-1") for step in steps)}
        parts["query"] = urlencode(query, encoding="latin-1", errors="backslashreplace")
        return parts | {f"header {name}": ", ".join(words) for name, words in headers}

    def body_of(self, redacted: Outgoing) -> Any:
        """Return what counts of a request's body, for people: the value of JSON, the fields of a form, or a text."""
        return counted_value(redacted.header("content-type"), redacted.body, unkeyed=UNKEYED, ignore=self._ignore)

    def _form(self, redacted: Outgoing) -> bytes:
        return canonical_form(redacted.header("content-type"), redacted.body, unkeyed=UNKEYED, ignore=self._ignore)


def endpoint_of(outgoing: Outgoing) -> str:
    """Return a name for a request's address, which a folder can have: its path after the version, cut if long."""
    return _endpoint_of(outgoing.parts.path)


@lru_cache(maxsize=256)
def _endpoint_of(path: str) -> str:
    steps = [step for step in unquote(path, errors="replace").split("/") if step.strip(".")]
    for number, step in enumerate(steps[:-1]):
        if step in _VERSIONS:
            steps = steps[number + 1 :]
            break
    return folder_name("_".join(steps) or "root")


@lru_cache(maxsize=256)
def _envelope(method: str, url: str, headers: Pairs, counted: frozenset[str]) -> bytes:
    """Return everything but the body that makes the key, as one line of JSON."""
    return orjson.dumps(_head(Outgoing(method, url, headers, b""), counted)) + b"\n"


def _head(outgoing: Outgoing, counted: frozenset[str]) -> _Head:
    return (
        FORMAT, outgoing.method.upper(), outgoing.parts.scheme, outgoing.host, _steps(outgoing.parts.path or "/"),
        _query(outgoing), sorted(_headers(outgoing, counted)),
    )  # fmt: skip


def _steps(path: str) -> list[str]:
    """Return the steps of a path, so that it doesn't count which characters a client sends percent-encoded."""
    steps = path.split("/")
    if "%" in path or not path.isascii():
        return [unquote_to_bytes(step).decode("latin-1") for step in steps]
    return steps


def _query(outgoing: Outgoing) -> list[tuple[str, str]]:
    query = outgoing.parts.query
    if not query:
        return []
    # Latin-1 keeps apart whatever bytes are behind the percent signs.
    pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1")
    return sorted((pair for pair in pairs if not is_signing(pair[0])), key=itemgetter(0))


def _headers(outgoing: Outgoing, counted: frozenset[str]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for name, value in outgoing.headers:
        lower = name.lower()
        if lower in HEADERS:
            found.setdefault(lower, []).extend(word.strip() for word in value.split(","))
        elif lower in counted:
            found.setdefault(lower, []).append(value)
        elif lower == "accept" and _EVENTS in value.lower():
            found[lower] = [_EVENTS]
    return [(name, sorted(words)) for name, words in found.items()]
