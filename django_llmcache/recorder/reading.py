"""What a request asks, and what its answer says: its text and its tokens, whatever the dialect, of a stream too."""

from __future__ import annotations

from typing import Any, Final

import orjson

from django_llmcache import bodies
from django_llmcache.bodies import Usage
from django_llmcache.events import framing_for

from .exchange import Incoming

_STREAMS: Final = ("text/event-stream", "application/x-ndjson", "application/stream+json")


def text_of(response: Incoming) -> str:
    """Return the text of an answer: of a stream, all its pieces."""
    if response.content_type in _STREAMS:
        return "".join(event.text for event in _events(response))
    return bodies.text_of(parsed(response.body))


def usage_of(response: Incoming) -> Usage:
    """Return the tokens that the provider counted, as far as the answer says it; of a stream, the most it says."""
    if response.content_type not in _STREAMS:
        return bodies.usage_of(parsed(response.body))
    usages = [bodies.usage_of(part) for event in _events(response) for part in _parts(event.data)]
    return Usage(
        max((usage.input_tokens for usage in usages), default=0),
        max((usage.output_tokens for usage in usages), default=0),
    )


def question_in(body: Any) -> str:
    """Return the last thing that a request's parsed body says to the model, ``""`` where that can't be told."""
    if not isinstance(body, dict):
        return ""
    names = ("messages", "contents", "input", "prompt", "content", "inputText")
    return next((text for name in names if (text := _last_text(body.get(name)))), "")


def parsed(body: bytes) -> Any:
    """Return the JSON value that a body is, ``None`` for anything else."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _events(response: Incoming) -> list[Any]:
    framing = framing_for(response.content_type)
    found: list[Any] = []
    try:
        found.extend(framing.feed(response.body))
        found.extend(framing.flush())
    except (ValueError, AttributeError):
        pass  # a stream that broke off, or is none
    return found


def _parts(data: Any) -> list[Any]:
    """Return where an event may speak of usage: itself, and the message or the response that it is about."""
    return [data, data.get("message"), data.get("response")] if isinstance(data, dict) else []


def _last_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return next((text for text in map(_last_text, reversed(value)) if text), "")
    if isinstance(value, dict):
        return next((text for name in ("content", "parts", "text") if (text := _last_text(value.get(name)))), "")
    return ""
