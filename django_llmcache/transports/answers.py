"""An answer that a client of the user's own brought, and what a stored one looks like to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from django_llmcache import conf
from django_llmcache.credentials import Credentials, in_address, in_headers
from django_llmcache.headers import RawHeaders, joined
from django_llmcache.messages import LLMResponse

from .wire import kept

_EVENTS: Final = ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream")
_TYPE: Final = (("content-type", "application/json"),)


class CarriedAnswer(LLMResponse):
    """A live answer with the HTTP library's own object, which its caller gets as it came.

    Args:
        carried: the library's response.
        body: its bytes; none of one that its caller reads as it arrives.
        reason: what is against storing it (a reason code), where the transport has seen it.
    """

    __slots__ = ("carried",)

    def __init__(
        self, carried: Any, body: bytes, *, status: int, headers: Iterable[tuple[str, str]], reason: str | None = None
    ) -> None:
        super().__init__(body, status=status, headers=kept(headers))
        self.carried = carried
        self._reason = reason

    def marked(self, result: str, **details: Any) -> CarriedAnswer:
        """Return a copy that tells another story of where it came from."""
        other = CarriedAnswer(self.carried, self._body, status=self._status, headers=self._headers)
        other._entry, other._result, other._key = details.get("entry"), result, details.get("key")
        other._reason, other._backend = details.get("reason"), details.get("backend")
        return other


def is_events(content_type: str) -> bool:
    """Return whether an answer is a stream of events, whatever the request asked for."""
    return content_type.lower().startswith(_EVENTS)


def echoes(headers: RawHeaders, url: str, body: bytes) -> bool:
    """Return whether an answer has the credential in it with which it was asked for."""
    return Credentials(None, (*in_headers(joined(headers)), *in_address(url))).are_in(body)


def headers_of(answer: LLMResponse) -> list[tuple[str, str]]:
    """Return the headers of an answer that no connection brought: what is kept of its own, and where it came from."""
    pairs = list(answer._headers)
    if not any(name.lower() == "content-type" for name, _ in pairs):
        pairs += _TYPE
    pairs.append(("content-length", str(len(answer.body))))
    if answer.from_cache:
        info = answer.cache
        pairs += [
            ("x-llmcache", info.status),
            ("x-llmcache-age", str(int(info.age))),
            ("x-llmcache-id", opaque(info.key or "")),
        ]
    return pairs


def opaque(key: str) -> str:
    """Return 16 hex characters that stand for a key. Nobody can check with them what was asked, as with the key."""
    return hashlib.blake2s(key.encode(), digest_size=8, key=_key_of(conf.secret())).hexdigest()


@lru_cache(maxsize=1)
def _key_of(secret: bytes) -> bytes:
    """Return a key for BLAKE2 (RFC 7693), which takes 32 bytes and a tenth of the time of HMAC's two rounds."""
    return hashlib.sha256(b"llmcache id:" + secret).digest()
