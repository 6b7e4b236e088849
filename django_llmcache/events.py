"""Read a streamed answer event by event, whatever the provider's framing and dialect.

Framings: server-sent events (html.spec.whatwg.org, "Server-sent events"), one JSON value a line (Ollama), and a JSON
array (Gemini without ``alt=sse``).
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from . import bodies
from .parsing import parsed

DONE = b"[DONE]"
"""What OpenAI-style services send as the last event's data."""


class StreamEvent(NamedTuple):
    """One event of a streamed answer."""

    name: str
    """The event's own name (``"message"`` unless the provider says otherwise)."""
    data: Any
    """The parsed JSON."""

    @property
    def text(self) -> str:
        """Return the piece of the answer's text in this event; empty where it has none."""
        return delta_of(self.data)


class Framing:
    """Cut bytes, as they arrive, into events. Feed it what came; ``flush`` what is left at the end."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, received: bytes) -> Iterator[StreamEvent]:
        """Yield the events that are whole now."""
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            yield from self._line(line.removesuffix(b"\r"))

    def flush(self) -> Iterator[StreamEvent]:
        """Yield what the end of the stream completes."""
        if self._rest:
            yield from self._line(self._rest.removesuffix(b"\r"))
            self._rest = b""

    def _line(self, line: bytes) -> Iterator[StreamEvent]:
        """One JSON value a line."""
        if line.strip():
            yield StreamEvent("message", parsed(line))


class ServerSentEvents(Framing):
    """Events of ``data:`` lines, ended by an empty line; comments and unknown fields are skipped.

    A line ends with CR, LF or both, and a byte order mark may stand before the first.
    """

    _END: Final = re.compile(rb"\r\n|\n|\r")

    def __init__(self) -> None:
        super().__init__()
        self._name = "message"
        self._data: list[bytes] = []
        self._is_begun = False
        self._has_cr = False

    def feed(self, received: bytes) -> Iterator[StreamEvent]:
        """Yield the events that are whole now."""
        text = self._rest + received
        if not self._is_begun:
            if len(text) < len(BOM_UTF8) and BOM_UTF8.startswith(text):
                self._rest = text
                return
            self._is_begun, text = True, text.removeprefix(BOM_UTF8)
        if self._has_cr and text:  # its line has been read; this may be the other half of its end
            text, self._has_cr = text.removeprefix(b"\n"), False
        self._has_cr = self._has_cr or text.endswith(b"\r")
        *lines, self._rest = self._END.split(text)
        for line in lines:
            yield from self._line(line)

    def flush(self) -> Iterator[StreamEvent]:
        """Yield the last event, also where the provider left out the empty line behind it."""
        yield from super().flush()
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[StreamEvent]:
        if not line:
            yield from self._event()
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")

    def _event(self) -> Iterator[StreamEvent]:
        data, name = b"\n".join(self._data), self._name
        self._data, self._name = [], "message"
        if data and data != DONE:
            yield StreamEvent(name, parsed(data))


class JSONObjects(Framing):
    """Objects one after another on any number of lines, alone or in one array."""

    _MARKS: Final = re.compile(rb'["\\\\{}]')
    _BETWEEN: Final = b"[], \t\r\n"

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._in_text = False
        self._escaped = -1

    def feed(self, received: bytes) -> Iterator[StreamEvent]:
        """Yield the objects that are whole now."""
        begin, seen = 0, len(self._rest)
        self._rest += received
        for mark in self._MARKS.finditer(self._rest, seen):
            sign, at = mark[0], mark.start()
            if at == self._escaped:
                continue
            if sign == b"\\":
                self._escaped = at + 1
            elif sign == b'"':
                self._in_text = not self._in_text
            elif not self._in_text:
                self._depth += 1 if sign == b"{" else -1
                if self._depth <= 0:
                    yield from self._line(self._rest[begin : at + 1].lstrip(self._BETWEEN))
                    begin = at + 1
        self._rest = self._rest[begin:]
        self._escaped -= begin

    def flush(self) -> Iterator[StreamEvent]:
        """Yield nothing: what is left behind the last object is none."""
        yield from self._line(self._rest.strip(self._BETWEEN))


_FRAMINGS: Final[Mapping[str, type[Framing]]] = {
    "application/json": JSONObjects,
    "text/event-stream": ServerSentEvents,
}


def framing_for(content_type: str) -> Framing:
    """Return the reader for a stream of this content type."""
    return _FRAMINGS.get(content_type.partition(";")[0].strip().lower(), Framing)()


def delta_of(data: Any) -> str:
    """Return the piece of text that one event of any dialect adds to the answer."""
    if not isinstance(data, dict):
        return ""
    for read in _DIALECTS:
        piece = read(data)
        if isinstance(piece, str):
            return piece
    return ""


def error_of(data: Any) -> Any:
    """Return what the provider says of an error inside a stream or a success, or ``None``.

    It is in ``error``, or the whole of it says that it is one: OpenAI's Responses, vLLM.
    """
    if isinstance(data, list):
        return next((found for item in data if (found := error_of(item)) is not None), None)
    if not isinstance(data, dict):
        return None
    return data.get("error") or (data if "error" in (data.get("type"), data.get("object")) else None)


def end_after(data: Any, awaited: str | None) -> str | None:
    """Return which mark of its end a stream still owes behind this event, ``None`` where it owes none.

    Anthropic's and Ollama's streams always have one. Those of services with OpenAI's API may lack it, and Gemini's do.

    Args:
        data: of the event.
        awaited: what was owed before it.
    """
    if not isinstance(data, dict):
        return awaited
    kind, done = data.get("type"), data.get("done")
    if kind == "message_start":
        return "message_stop"
    if kind == "message_stop" or done is True:
        return None
    return '"done": true' if done is False else awaited


def _openai_chat(data: dict[str, Any]) -> Any:
    choices = data.get("choices")
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        return None
    delta = choices[0].get("delta")
    return delta.get("content") if isinstance(delta, dict) else choices[0].get("text")


def _openai_responses(data: dict[str, Any]) -> Any:
    return data.get("delta") if data.get("type") == "response.output_text.delta" else None


def _anthropic(data: dict[str, Any]) -> Any:
    delta = data.get("delta")
    return delta.get("text") if data.get("type") == "content_block_delta" and isinstance(delta, dict) else None


def _whole_message(data: dict[str, Any]) -> Any:
    """Gemini and Ollama stream parts that have the shape of a whole answer."""
    return bodies.text_of(data) if data.keys() & {"candidates", "message", "response"} and "type" not in data else None


_DIALECTS: tuple[Callable[[dict[str, Any]], Any], ...] = (_openai_chat, _openai_responses, _anthropic, _whole_message)
