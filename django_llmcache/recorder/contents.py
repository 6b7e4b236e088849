"""How the body of a request or an answer is kept in a fixture: as JSON, text, base64, or in the side file."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from .exchange import Chunk, Incoming, Outgoing
from .fields import Fields
from .forms import canonical_form, counts_bytes
from .layouts import Layout, parse, recognise, too_deep

LARGE: Final = 64 * 1024
"""Bytes of a body from which on it goes into the side file."""

LARGE_BINARY: Final = 4 * 1024
"""The same, of a body that is not text."""

_FORMS: Final = ("body", "text", "base64", "side")
_ANY_FORM: Final = frozenset(_FORMS)
_WITHOUT_BODY: Final = frozenset({204, 304})
_CHUNK: Final = frozenset({"at", "text", "base64", "side"})
_SIDE_FILE: Final = frozenset({"bytes", "sha256"})
_LAYOUT: Final = frozenset(Layout._fields)
_DEFAULT_LAYOUT: Final = Layout()
_COMPACT: Final = {"style": "compact"}
"""How the default layout is noted."""


class SideFile:
    """The bytes that stand beside a fixture's JSON, in a file of the same name that ends in ``.body``."""

    SUFFIX: Final = ".body"

    __slots__ = ("_content", "_limit")

    def __init__(self, content: bytes = b"", *, limit: int = LARGE) -> None:
        self._content = bytearray(content)
        self._limit = limit

    def wants(self, body: bytes) -> bool:
        """Return whether a body is too large to stand in the JSON."""
        return len(body) > self._limit or (len(body) > LARGE_BINARY and not _is_text(body))

    def put(self, data: bytes) -> dict[str, Any]:
        """Add bytes, and return where they are."""
        start = len(self._content)
        self._content += data
        return {"side": [start, len(data)]}

    def get(self, fields: Fields) -> bytes:
        """Return the bytes that ``put`` added."""
        place = fields.value("side")
        if not (isinstance(place, list) and len(place) == 2 and all(type(n) is int and n >= 0 for n in place)):
            raise fields.error("side", "it must be a list of two numbers: where the bytes start and how many they are")
        start, length = place
        if start + length > len(self._content):
            raise fields.error("side", f"it asks for more than the {len(self._content)} bytes of the side file")
        return bytes(self._content[start : start + length])

    @property
    def content(self) -> bytes | None:
        """Return all bytes, ``None`` when nothing was added."""
        return bytes(self._content) or None

    @property
    def description(self) -> dict[str, Any]:
        """Return what the JSON says of the file."""
        return {"bytes": len(self._content), "sha256": hashlib.sha256(self._content).hexdigest()}

    @classmethod
    def checked(cls, fixture: Fields, content: bytes | None) -> SideFile:
        """Return the file that a fixture describes.

        Line ends that a version control system has changed are put right where that brings the digest back.
        """
        if "side_file" not in fixture:
            return cls()
        fields = fixture.part("side_file")
        fields.only(_SIDE_FILE)
        size, digest = fields.whole("bytes"), fields.text("sha256")
        if content is None:
            raise fixture.error("side_file", f"the file of the same name that ends in {cls.SUFFIX} is missing")
        for candidate in (content, content.replace(b"\r\n", b"\n")):
            if len(candidate) == size and hashlib.sha256(candidate).hexdigest() == digest:
                return cls(candidate)
        raise fixture.error(
            "side_file.sha256",
            f"the file that ends in {cls.SUFFIX} was changed since; restore it, or record the fixture anew "
            f"(if git changes its line ends, add `*{cls.SUFFIX} -text` to .gitattributes)",
        )


def pack_request(request: Outgoing, side: SideFile) -> dict[str, Any]:
    """Return how a request's body is kept, so that its key can be made anew.

    JSON has its names sorted, so that two recordings compare well. What counts byte by byte comes back so.
    """
    body = request.body
    if not body:
        return {}
    if not side.wants(body):
        with suppress(ValueError):
            return {"body": _sorted(request)}
    return _pack(body, side)


def is_sorted(request: Outgoing) -> bool:
    """Return whether a body is JSON as ``pack_request`` keeps it, so that it may have been sent in another order."""
    try:
        return _written_sorted(request.body)[1] == request.body
    except ValueError:
        return False


def unpack_request(fields: Fields, side: SideFile) -> Callable[[], bytes]:
    """Return what gives the body of a request; JSON that was sorted is written then, and comes back compact."""
    values = fields.values
    if "body" in values and "body_layout" not in values and len(_ANY_FORM.intersection(values)) == 1:
        return partial(_written, fields, _DEFAULT_LAYOUT)
    body = _unpack(fields, side) or b""
    return lambda: body


def pack_response(response: Incoming, side: SideFile) -> dict[str, Any]:
    """Return how an answer's body is kept; it comes back byte for byte, in the same chunks."""
    if not response.chunks:
        return {}
    if len(response.chunks) == 1:
        chunk = response.chunks[0]
        return {"at": milliseconds(chunk.offset), **_pack(chunk.data, side)}
    aside = side.wants(response.body)
    return {
        "chunks": [
            {"at": milliseconds(chunk.offset), **(side.put(chunk.data) if aside else _plain(chunk.data))}
            for chunk in response.chunks
        ]
    }


def unpack_response(fields: Fields, side: SideFile) -> tuple[Chunk, ...]:
    """Return the chunks of an answer.

    Raises:
        FixtureError: they are none, or its status says that there are none (RFC 9110, section 6.4.1).
    """
    chunks = _chunks(fields, side)
    if fields.values.get("status") in _WITHOUT_BODY and any(chunk.data for chunk in chunks):
        raise fields.error("status", f"it is {fields.values['status']}, with which no body can come, and there is one")
    return chunks


def _chunks(fields: Fields, side: SideFile) -> tuple[Chunk, ...]:
    if "chunks" in fields:
        if form := next((form for form in _FORMS if form in fields), None):
            raise fields.error(form, "it stands beside chunks; only one of them can be the body")
        return tuple(_chunk(part, side) for part in fields.parts("chunks"))
    data = _unpack(fields, side)
    return () if data is None else (Chunk(fields.number("at", 0.0), data),)


def milliseconds(value: float) -> float:
    """Return a time as it is kept: in hundredths, and whole where it is whole."""
    short = round(value, 2)
    return int(short) if short == int(short) else short


def _sorted(request: Outgoing) -> Any:
    """Return the value of a body with its names sorted.

    Raises:
        ValueError: that would have another key, for it is no JSON, or is some that counts byte by byte.
    """
    form = partial(canonical_form, request.header("content-type"), unkeyed=frozenset(), ignore=())
    before = form(request.body)
    if counts_bytes(before):
        raise ValueError("Its bytes count.")
    value, written = _written_sorted(request.body)
    if form(written) != before:
        raise ValueError("It is no JSON.")
    return value


def _written_sorted(body: bytes) -> tuple[Any, bytes]:
    value = parse(body.decode())
    if too_deep(value):
        raise ValueError("It is nested too deeply.")
    ordered = _ordered(value)
    return ordered, Layout().write(ordered)


def _chunk(fields: Fields, side: SideFile) -> Chunk:
    fields.only(_CHUNK)
    data = _unpack(fields, side)
    if data is None:
        raise fields.error("text", "it is missing, and so are base64 and side")
    return Chunk(fields.number("at"), data)


def _pack(data: bytes, side: SideFile) -> dict[str, Any]:
    if side.wants(data):
        return side.put(data)
    known = recognise(data)
    if known is None:
        return _plain(data)
    value, layout = known
    noted = {name: part for name, part in sorted(layout._asdict().items()) if part or name == "style"}
    return {"body": value, "body_layout": noted}


def _plain(data: bytes) -> dict[str, Any]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def _unpack(fields: Fields, side: SideFile) -> bytes | None:
    values = fields.values
    form, *more = _ANY_FORM.intersection(values) or ("",)
    if more:
        form, other, *_ = (form for form in _FORMS if form in values)
        raise fields.error(other, f"it stands beside {form}; only one of them can be the body")
    if "body_layout" in values and form != "body":
        raise fields.error("body_layout", "it describes a body, and there is none")
    if form == "body":
        return _written(fields, _layout(fields))
    if form == "text":
        return _encoded(fields, "text")
    if form == "base64":
        try:
            return base64.b64decode(_encoded(fields, "base64"), validate=True)
        except binascii.Error as error:
            raise fields.error("base64", f"it is not base64 ({error})") from error
    return side.get(fields) if form else None


def _layout(fields: Fields) -> Layout:
    if fields.values.get("body_layout") == _COMPACT:
        return _DEFAULT_LAYOUT
    noted = fields.part("body_layout")
    noted.only(_LAYOUT)
    layout = Layout(
        noted.text("style"), noted.flag("ascii"), noted.text("escaped", ""), noted.flag("exponents"),
        noted.text("before", ""), noted.text("after", ""),
    )  # fmt: skip
    if not layout.valid:
        raise fields.error("body_layout", "it is none of the known layouts")
    return layout


def _written(fields: Fields, layout: Layout) -> bytes:
    try:
        return layout.write(fields.value("body"))
    except (ValueError, RecursionError) as error:
        raise fields.error("body", f"it can't be written as JSON ({error})") from error


def _encoded(fields: Fields, name: str) -> bytes:
    try:
        return fields.text(name).encode()
    except UnicodeEncodeError as error:
        raise fields.error(name, f"it has half of a surrogate pair ({error.reason})") from error


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value
