"""One form for all bodies that say the same, whatever the order of their fields or the boundary between their parts.

JSON is taken as the response cache takes it (``keys``). A body that is not what its type says, or has an integer beyond
64 bits, counts byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from django_llmcache.canonical import OPTIONS, canonical_body, counted_in, less, steps_of
from django_llmcache.exceptions import UncacheableRequest
from django_llmcache.naming import is_named
from django_llmcache.parsing import exactly, may_be_long

from .credentials import REDACTED, is_parameter
from .layouts import too_deep

_FILE: Final = "filename"
_REDACTED: Final = REDACTED.encode()
_RAW: Final = b"raw\n"
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)
_PARAMETER: Final = re.compile(r';\s*(name|filename\*?)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))', re.IGNORECASE)


def canonical_form(content_type: str, body: bytes, *, unkeyed: frozenset[str], ignore: tuple[str, ...]) -> bytes:
    """Return the canonical bytes of a redacted body.

    Args:
        content_type: the header with its parameters, ``""`` for none.
        body: as it is sent, less credentials.
        unkeyed: top-level names that do not count.
        ignore: paths that do not count; ``*`` stands for any item of a list, a number for one.
    """
    if not body:
        return b""
    media_type = content_type.partition(";")[0].strip().lower()
    form: bytes | None = None
    if media_type.startswith("multipart/"):
        form = _parts(content_type, body, unkeyed, ignore)
    elif media_type == "application/x-www-form-urlencoded":
        form = _pairs(body, unkeyed, ignore)
    elif body.lstrip()[:1] in (b"{", b"[") or media_type.endswith("json"):
        form = _json(body, unkeyed, ignore)
    if form is not None:
        return form
    return _RAW + orjson.dumps((media_type, hashlib.sha256(body).hexdigest()))


def counts_bytes(form: bytes) -> bool:
    """Return whether canonical bytes are those of a body that counts byte by byte."""
    return form.startswith(_RAW)


def counted_value(content_type: str, body: bytes, *, unkeyed: frozenset[str], ignore: tuple[str, ...]) -> Any:
    """Return what counts of a redacted body, for people: the value of JSON, the fields of a form, or a text.

    Args:
        content_type: the header with its parameters, ``""`` for none.
        body: as it is sent, less credentials.
        unkeyed: top-level names that do not count.
        ignore: dotted paths that do not count.
    """
    with suppress(ValueError, RecursionError):
        value = json.loads(body)
        if not too_deep(value):
            return _counted(value, unkeyed, ignore)
    fields = _fields(content_type, body, ignore)
    if fields is None:
        return body.decode("utf-8", "replace")
    return {
        name: value
        for name, value in fields.items()
        if not (value == REDACTED and is_named(name)) and _counts(name, unkeyed, ignore)
    }


def _counted(value: Any, unkeyed: frozenset[str], ignore: tuple[str, ...]) -> Any:
    value = _without_credentials(value)
    return counted_in(value, unkeyed, ignore) if isinstance(value, dict) else less(value, ignore)


def _fields(content_type: str, body: bytes, ignore: tuple[str, ...]) -> dict[str, Any] | None:
    """Return what the fields of a form say, ``None`` for a body that is no form.

    A file is told with its name and type, and what is there several times as a list.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        return {name: value for name, value in pairs if not is_parameter(name)}
    pieces = _pieces(content_type, body) if media_type.startswith("multipart/") else None
    if pieces is None:
        return None
    shown: dict[str, list[Any]] = {}
    for name, file, kind, content in pieces:
        text = content.decode("utf-8", "replace")
        told = text if file is None else {_FILE: _named(file, name, ignore), "type": kind, "content": text}
        shown.setdefault(name, []).append(told)
    return {name: values[0] if len(values) == 1 else values for name, values in shown.items()}


def _json(body: bytes, unkeyed: frozenset[str], ignore: tuple[str, ...]) -> bytes | None:
    try:
        data = orjson.loads(body)
        if may_be_long(body):
            data = exactly(data, body)  # orjson does not write it again, so that the body counts byte by byte
        if _REDACTED in body:
            data = _without_credentials(data)
        if data.__class__ is dict:
            return b"json\n" + canonical_body(data, unkeyed, ignore)
        return b"json\n" + orjson.dumps(less(data, ignore), option=OPTIONS)
    except (UncacheableRequest, ValueError, TypeError, RecursionError):
        return None


def _without_credentials(value: Any) -> Any:
    """Return a value less the fields of credentials: whether one was given doesn't count."""
    if value.__class__ is list:
        return [_without_credentials(item) for item in value]
    if value.__class__ is not dict:
        return value
    return {
        name: _without_credentials(inner) for name, inner in value.items() if not (inner == REDACTED and is_named(name))
    }


def _pairs(body: bytes, unkeyed: frozenset[str], ignore: tuple[str, ...]) -> bytes:
    # Latin-1 keeps apart whatever bytes are behind the percent signs.
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    kept = [pair for pair in pairs if not is_parameter(pair[0]) and _counts(pair[0], unkeyed, ignore)]
    return b"form\n" + orjson.dumps(sorted(kept, key=_name))


def _parts(content_type: str, body: bytes, unkeyed: frozenset[str], ignore: tuple[str, ...]) -> bytes | None:
    """Return each part by its name, the name of its file, its type and a digest of its content.

    The name of a file can be left out by itself, as ``file.filename`` where the part is ``file``: that of a temporary
    file is another each time.
    """
    pieces = _pieces(content_type, body)
    if pieces is None:
        return None
    parts = [
        (name, _named(file, name, ignore), kind, hashlib.sha256(content).hexdigest())
        for name, file, kind, content in pieces
        if not (content == _REDACTED and is_named(name)) and _counts(name, unkeyed, ignore)
    ]
    return b"parts\n" + orjson.dumps(sorted(parts, key=_name))


def _named(file: str | None, part: str, ignore: tuple[str, ...]) -> str | None:
    return file if file is None or _counts(f"{part}[{_FILE}]", (), ignore) else ""


def _pieces(content_type: str, body: bytes) -> list[tuple[str, str | None, str, bytes]] | None:
    """Return name, file name, type and content of each part of a multipart body; ``None`` where it is damaged."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return None
    border = b"\r\n--" + (found[1] or found[2]).encode("utf-8", "surrogatepass")
    pieces = (b"\r\n" + body).split(border)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        return None
    parts = []
    for piece in pieces[1:-1]:
        head, empty_line, content = piece.partition(b"\r\n\r\n")
        if not empty_line:
            return None
        disposition, kind = _head(head)
        named = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(disposition)}
        parts.append((named.get("name", ""), named.get("filename", named.get("filename*")), kind, content))
    return parts


def _head(head: bytes) -> tuple[str, str]:
    """Return the disposition and the type in the head of a part."""
    disposition = kind = ""
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            disposition = value.strip()
        elif name.strip().lower() == "content-type":
            kind = value.strip().lower()
    return disposition, kind


def _name(item: tuple[Any, ...]) -> str:
    return str(item[0])


def _counts(name: str, unkeyed: Iterable[str], ignore: tuple[str, ...]) -> bool:
    """Return whether a field of a form counts; ``metadata[trace][]`` is at ``metadata.trace.*``."""
    path = name.replace("]", "").split("[")
    if path[0] in unkeyed:
        return False
    return not any(covers(steps_of(ignored), path) for ignored in ignore)


def covers(ignored: Sequence[str], path: Sequence[str]) -> bool:
    """Return whether a field lies at or below a path that is ignored; both are given step by step."""
    return len(ignored) <= len(path) and all(step in ("*", actual) for step, actual in zip(ignored, path, strict=False))
