"""Fixtures made up for tests."""

from __future__ import annotations

import hashlib
from typing import Any

from django_llmcache.recorder.exchange import Chunk, Incoming, Outgoing
from django_llmcache.recorder.fixture import Fixture

URL = "https://api.openai.com/v1/chat/completions"
JSON = (("content-type", "application/json"),)
EVENTS = (("content-type", "text/event-stream"),)
NOON = 1_767_268_800.0
"""2026-01-01, 12:00 UTC."""


def key_of(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def asked(body: bytes = b'{"messages":[],"model":"gpt-4o-mini"}', *, url: str = URL, headers=JSON) -> Outgoing:
    return Outgoing("POST", url, headers, body)


def answered(*data: bytes, status: int = 200, headers=JSON, **fields: Any) -> Incoming:
    chunks = tuple(Chunk(10.0 * (index + 1), one) for index, one in enumerate(data))
    return Incoming(status, "OK", headers, chunks, **fields)


def fixture(*data: bytes, name: object = "a question", **fields: Any) -> Fixture:
    plain: dict[str, Any] = {
        "key": key_of(name), "provider": "openai", "endpoint": "chat_completions", "request": asked(),
        "response": answered(*data or (b'{"answer":42}',)), "recorded_at": NOON, "recorded_by": "0.1.0",
        "take": "2026-01-01T12-00-00Z-beef",
    }  # fmt: skip
    return Fixture(**(plain | fields))


def fields_of(one: Fixture) -> dict[str, Any]:
    """Return all that two equal fixtures share: where they lie is not part of it."""
    names = {*Fixture.__slots__, "request"} - {"_asked", "file"}
    return {name: getattr(one, name) for name in names}


def back(one: Fixture) -> Fixture:
    """Return a fixture as it is read from what is written of it."""
    text, side = one.to_text()
    return Fixture.from_text(text.encode().decode(), file=None, side=side)
