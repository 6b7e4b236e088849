"""Take credentials out of what is recorded: headers by allow-list, the rest by name and by shape.

A body is read decoded and whole, so that nothing hides behind a content-encoding or the border between two chunks,
and is changed only where a credential stands: its layout, and the chunks as far as they go, stay as they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from django_llmcache.exceptions import LLMCacheError

from .borne import borne, is_bearing
from .credentials import REDACTED, Span, is_signing, merged, shapes
from .decoding import plain_body
from .echoes import echoes, encoded, hides, meant, sure, written
from .edits import cut_anew, edited, replaced
from .exchange import Incoming, Outgoing, Pairs, first
from .findings import BINARY, findings, in_text, may_find

REQUEST_HEADERS: Final = frozenset({
    "accept", "anthropic-beta", "anthropic-version", "content-type", "openai-beta", "prefer", "range",
    "x-goog-upload-command", "x-goog-upload-offset",
    "x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-guardrailversion",
    "x-amzn-bedrock-performanceconfig-latency", "x-amzn-bedrock-service-tier", "x-amzn-bedrock-trace",
})  # fmt: skip
"""What says how a request is meant."""

RESPONSE_HEADERS: Final = frozenset({
    "apim-request-id", "content-disposition", "content-range", "content-type", "location", "mistral-correlation-id",
    "openai-model", "openai-processing-ms", "openai-version", "operation-location", "request-id", "retry-after",
    "retry-after-ms", "x-amzn-errortype", "x-amzn-requestid", "x-generation-id", "x-goog-upload-chunk-granularity",
    "x-goog-upload-control-url", "x-goog-upload-status", "x-goog-upload-url", "x-ms-error-code", "x-ms-request-id",
    "x-request-id", "x-should-retry",
})  # fmt: skip
"""What SDKs read of an answer: its type, an id for the provider's support, when to come again, where to go on."""

RESPONSE_PREFIXES: Final = ("anthropic-ratelimit-", "ratelimit-", "x-amzn-bedrock-", "x-ratelimit-")

_REMEMBERED: Final = 256
_ONE_OBJECT: Final = "application/json"
_LEAST: Final = 12
"""Characters of the shortest text in a header that is taken for a credential wherever it comes again."""


class SecretError(LLMCacheError):
    """A recording still looks as if it held a credential; it was not written. The message names the field."""


class Redactor:
    """Takes credentials out of requests and answers.

    Those that a request bears in its headers or its address are remembered: they are taken out of every body too,
    whatever they look like, and in base64 too.

    Args:
        request_headers: names, in lower case, of the headers of a request that are kept.
        response_headers: the same of an answer.
        response_prefixes: how the names of further ones begin.
    """

    __slots__ = (
        "_clean",
        "_encoded",
        "_known",
        "_known_bytes",
        "_request_headers",
        "_response_headers",
        "_response_prefixes",
    )

    def __init__(
        self,
        *,
        request_headers: Iterable[str] = REQUEST_HEADERS,
        response_headers: Iterable[str] = RESPONSE_HEADERS,
        response_prefixes: Iterable[str] = RESPONSE_PREFIXES,
    ) -> None:
        self._request_headers = frozenset(request_headers)
        self._response_headers = frozenset(response_headers)
        self._response_prefixes = tuple(response_prefixes)
        self._known: tuple[str, ...] = ()
        self._encoded: tuple[str, ...] = ()
        self._known_bytes: tuple[bytes, ...] = ()
        self._clean: dict[str, str] = {}

    def request(self, outgoing: Outgoing) -> Outgoing:
        """Return the request without its credentials, and its body without content-encoding.

        It is the same request whichever key was sent, or none.
        """
        kept = self._kept(outgoing.headers)
        url = self._value(outgoing.url)
        headers = tuple((name, self._value(value)) for name, value in kept)
        body = plain_body(outgoing.header("content-encoding"), outgoing.body)
        content_type = first(headers, "content-type").lower()
        if body and not content_type.startswith(BINARY) and may_find(body, content_type, self._known_bytes):
            body = edited(body, findings(body, content_type, self._look, empty=True))
        return Outgoing(outgoing.method, url, headers, body)

    def response(self, incoming: Incoming) -> Incoming:
        """Return the answer without credentials, in chunks that begin and end where they did."""
        headers = tuple((name, self._value(value)) for name, value in incoming.headers if self._is_kept(name.lower()))
        incoming = incoming._replace(reason=self.text(incoming.reason), headers=headers)
        body, content_type = incoming.body, incoming.content_type
        if content_type.startswith(BINARY) or (
            content_type == _ONE_OBJECT
            and body[:1] == b"{"
            and b"}\n{" not in body
            and not may_find(body, content_type, self._known_bytes)
        ):
            return incoming
        found = findings(body, content_type, self._look)
        return incoming._replace(chunks=cut_anew(incoming.chunks, found))

    def left(self, request: Outgoing, response: Incoming) -> list[str]:
        """Return the places in a redacted exchange where a credential still stands that some request has borne.

        It may have become known after this exchange, stand in what no byte may be replaced of, or be written otherwise.
        """
        texts = {"request.url": request.url, "response.reason": response.reason}
        texts |= {f"request.headers.{name}": value for name, value in request.headers}
        texts |= {f"response.headers.{name.lower()}": value for name, value in response.headers}
        places = {place: text.encode("utf-8", "surrogatepass") for place, text in texts.items()}
        places |= {"request.body": request.body, "response.body": response.body}
        values = (*self._known, *self._encoded)
        return [place for place, data in places.items() if values and hides(data, values)]

    def text(self, text: str) -> str:
        """Return a text for people, such as a message or a difference, without credentials."""
        return replaced(text, in_text(text, self._look))

    def _kept(self, headers: Pairs) -> list[tuple[str, str]]:
        """Return the headers of a request that are kept; remember the credentials among the others."""
        kept = []
        for name, value in headers:
            lower = name.lower()
            if lower in self._request_headers:
                kept.append((lower, value))
            elif is_bearing(lower):
                for credential in borne(lower, value):
                    self._remember(credential)
        return kept

    def _is_kept(self, name: str) -> bool:
        return name in self._response_headers or name.startswith(self._response_prefixes)

    def _value(self, value: str) -> str:
        return value if len(value) < _LEAST else self._clean.get(value) or self._cleaned(value)

    def _cleaned(self, value: str) -> str:
        """Return a header's value or an address without credentials; those of a test are few, and come again."""
        clean = self._address(value) if "://" in value else replaced(value, self._look(value))
        if len(self._clean) < _REMEMBERED:
            self._clean[value] = clean
        return clean

    def _address(self, url: str) -> str:
        """Return an address less the query parameters that are credentials, its user and its fragment."""
        start, found, query = url.partition("#")[0].partition("?")
        if found:
            start += "".join(f"{'&' if number else '?'}{pair}" for number, pair in enumerate(self._kept_pairs(query)))
        scheme, found, rest = start.partition("://")
        host, slash, path = rest.partition("/")
        if "@" in host:
            start = f"{scheme}{found}{host.rpartition('@')[2]}{slash}{path}"
        return replaced(start, self._look(start))

    def _kept_pairs(self, query: str) -> Iterator[str]:
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            if is_signing(name):
                self._remember(value)
            else:
                yield pair

    def _remember(self, value: str) -> None:
        if value in self._known:
            return
        for plain in meant(value):
            if len(plain) < _LEAST or REDACTED in plain or plain in self._known:
                continue
            self._clean.clear()
            self._known += written(plain)
            forms = encoded(plain)
            self._encoded += forms
            slashed = (form.replace("/", r"\/") for form in forms if "/" in form)  # as JSON may have it
            self._known_bytes += tuple(
                each.encode("utf-8", "surrogatepass") for each in (*sure(plain), *forms, *slashed)
            )

    def _look(self, text: str) -> list[Span]:
        found = shapes(text)
        for value in self._known:
            if value in text:
                found += [Span(*match.span()) for match in re.finditer(re.escape(value), text)]
        return merged([*found, *echoes(text, self._encoded)])
