"""One interaction of a cassette, in any of the forms that recorders have written, as the values of this package."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from django_llmcache.exceptions import LLMCacheError

from .decoding import Decoder, DecodingError
from .exchange import STATUSES, Chunk, Incoming, Outgoing, first
from .heads import lasting

LARGEST_BODY: Final = 64 * 1024 * 1024
"""Bytes of the largest body that is read, once it is decoded."""

_ARCHIVES: Final = re.compile(r"application/(?:x-)?(?:gzip|tar|zip|gtar|octet-stream|tgz)")
_GZIP: Final = b"\x1f\x8b\x08"
_LINE_ENDS: Final = re.compile(r"\s*[\r\n]+\s*")
_MAGIC: Final = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_PIECE: Final = 64 * 1024
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WRAPPED: Final = frozenset({"base64_string", "encoding", "string"})

Raw = tuple[Any, Any, Any]
"""A request and an answer as a cassette has them, and when it says that they were recorded."""


class InteractionError(LLMCacheError, ValueError):
    """A cassette, or one interaction of it, has something that can't be read; the message says what."""


class NoCassetteError(InteractionError):
    """A file is something else than a cassette."""


def interactions_of(cassette: Any) -> list[Raw | None]:
    """Return the requests of a cassette with their answers, in the order in which they were recorded.

    ``None`` stands for what is not a request with its answer.

    Raises:
        NoCassetteError: it has none of the known forms.
        InteractionError: it has, and something in it is not what it should be.
    """
    named: list[str] = []
    if isinstance(cassette, dict):
        if isinstance(cassette.get("requests"), list) and isinstance(cassette.get("responses"), list):
            sent, came = cassette["requests"], cassette["responses"]
            if len(sent) != len(came):
                raise InteractionError(f"it has {len(sent)} requests and {len(came)} responses")
            return [(request, response, None) for request, response in zip(sent, came, strict=True)]
        named = [name for name in ("interactions", "http_interactions") if name in cassette]
        cassette = (cassette[named[0]] or []) if named else None
    if not isinstance(cassette, list):
        raise NoCassetteError("it is no cassette: it has neither interactions nor requests and responses")
    whole = [isinstance(each, dict) and {"request", "response"} <= each.keys() for each in cassette]
    if whole and not (named or any(whole)):
        raise NoCassetteError("interaction 1 is not a request with its response")
    return [
        (each["request"], each["response"], each.get("recorded_at")) if is_whole else None
        for each, is_whole in zip(cassette, whole, strict=True)
    ]


def outgoing(request: Any) -> Outgoing:
    """Return a request.

    Raises:
        InteractionError: something is missing, or is not what it should be.
    """
    fields = _object(request, "request")
    url = _text(fields.get("uri") or fields.get("url"), "its address").strip()
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:  # nor shown: a key may stand anywhere in it
        raise InteractionError("its address is not an absolute one with http or https")
    method = _text(fields.get("method") or "GET", "its method").upper()
    headers = tuple((name.lower(), value) for name, value in _headers(fields.get("headers")))
    return Outgoing(method, url, headers, _body(fields, "body"))


def incoming(response: Any, recorded_at: Any = None) -> Incoming:
    """Return an answer, with its body decoded, and without the headers that speak of how it was sent.

    Args:
        response: as the cassette has it.
        recorded_at: what the cassette says beside it; it becomes the ``date`` of an answer that has none.

    Raises:
        InteractionError: something is missing, or is not what it should be.
    """
    fields = _object(response, "response")
    status, reason = _status(fields)
    headers = tuple(_headers(fields.get("headers")))
    encodings = [value for name, value in headers if name.lower() == "content-encoding"]
    raw = _body(fields, "content" if "content" in fields and "body" not in fields else "body")
    body, encoding = _decode(raw, ", ".join(encodings).lower(), first(headers, "content-type"))
    return Incoming(
        status=status,
        reason=reason,
        headers=(
            *lasting(headers),
            *([("date", recorded_at)] if isinstance(recorded_at, str) and not first(headers, "date") else ()),
        ),
        chunks=(Chunk(0.0, body),) if body else (),
        encoding=encoding,
    )


def _body(fields: dict[str, Any], name: str) -> bytes:
    parsed = fields.get("parsed_body")
    # As the serialisers that parse bodies write them again.
    return _bytes(fields.get(name)) if parsed is None else _json(parsed)


def _bytes(body: Any, encoding: Any = None) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return _encoded(body, encoding)
    if isinstance(body, dict) and body.keys() <= _WRAPPED:
        if body.get("base64_string") is not None:
            return _base64(body["base64_string"])
        return _bytes(body.get("string"), body.get("encoding"))
    return _json(body)


def _encoded(text: str, encoding: Any) -> bytes:
    if isinstance(encoding, str) and encoding.lower() not in ("utf-8", "utf8"):
        try:
            return text.encode(encoding)
        except (LookupError, UnicodeEncodeError):  # Ruby's ASCII-8BIT, for one
            pass
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _base64(text: Any) -> bytes:
    try:
        return base64.b64decode(text)
    except (TypeError, ValueError, binascii.Error) as error:
        raise InteractionError(f"its body is not base64 ({error})") from error


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, default=str).encode()
    except (TypeError, RecursionError) as error:
        raise InteractionError(f"its body can't be written as JSON ({error})") from error


def _headers(headers: Any) -> Iterator[tuple[str, str]]:
    if headers is None:
        return
    if isinstance(headers, dict):
        items = [(name, one) for name, value in headers.items() for one in _each(value)]
    elif isinstance(headers, list):
        items = [_pair(item) for item in headers]
    else:
        raise InteractionError("its headers are neither an object nor a list")
    for name, value in items:
        yield _text(name, "the name of a header").strip(), _one_line(_text(value, f"header {name!r}"))


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _pair(item: Any) -> tuple[Any, Any]:
    if isinstance(item, dict) and {"name", "value"} <= item.keys():
        return item["name"], item["value"]
    if isinstance(item, list) and len(item) == 2:
        return item[0], item[1]
    raise InteractionError("its headers have something that is not a name with a value")


def _status(fields: dict[str, Any]) -> tuple[int, str]:
    status: Any = fields.get("status") or fields.get("status_code") or fields.get("code")
    reason: Any = fields.get("reason") or fields.get("reason_phrase")
    if isinstance(status, dict):
        status, reason = status.get("code"), status.get("message") or status.get("reason")
    if isinstance(status, str):
        status, _, words = status.strip().partition(" ")
        reason = reason or words
        status = int(status) if status.isdecimal() else None
    if type(status) is not int or not 100 <= status <= STATUSES[-1]:
        raise InteractionError("it has no HTTP status")
    if status not in STATUSES:
        raise InteractionError(f"its status is {status}, which is no answer yet: those are from 200 on")
    return status, _one_line(_text(reason or "", "its reason"))


def _decode(body: bytes, encoding: str, content_type: str) -> tuple[bytes, str]:
    """Return the body decoded, and the encoding that it had on the wire.

    Some recorders keep the header and store the body decoded, others store it encoded and drop the header.
    """
    if not encoding or encoding == "identity":
        if not body.startswith(_GZIP) or _ARCHIVES.match(content_type.lower()):
            return body, ""
        try:
            return _undone(body, "gzip"), "gzip"
        except DecodingError:
            return body, ""
    if _is_text(body):  # which nothing encoded is
        return body, encoding
    outermost = encoding.rpartition(",")[2].strip()
    if not body.startswith(_MAGIC.get(outermost, b"")):
        return body, encoding
    return _undone(body, encoding), encoding


def _undone(body: bytes, encoding: str) -> bytes:
    decoder = Decoder(encoding)
    found = bytearray()
    for start in range(0, len(body), _PIECE):
        found += decoder.feed(body[start : start + _PIECE])
        if len(found) > LARGEST_BODY:
            raise InteractionError(f"its body has more than {LARGEST_BODY:,} bytes once it is decoded")
    return bytes(found + decoder.finish())


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InteractionError(f"its {name} is not an object")
    return value


def _one_line(text: str) -> str:
    return _LINE_ENDS.sub(" ", text).strip()


def _text(value: Any, what: str) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise InteractionError(f"{what} is missing, or not a text")
    text = str(value)
    if _SURROGATE.search(text):
        raise InteractionError(f"{what} has half of a surrogate pair, which no file can keep")
    return text
