"""One recorded exchange, as a value and as the text of its file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from .contents import LARGE, SideFile, milliseconds, pack_request, pack_response, unpack_request, unpack_response
from .exchange import Incoming, Outgoing, Pairs
from .fields import Fields, FixtureError
from .heads import read_head
from .layouts import parse

SCHEMA: Final = 1
"""Version of the file's form; a file of a newer one is refused."""

KEY: Final = re.compile(r"[0-9a-f]{64}")

_FIELDS: Final = frozenset({
    "answers", "elapsed_ms", "endpoint", "ignore", "key", "key_format", "provider", "recorded_at", "recorded_by",
    "request", "response", "sample", "schema", "sequence", "side_file", "take", "tests",
})  # fmt: skip
_REQUEST: Final = frozenset({"base64", "body", "body_layout", "headers", "method", "side", "text", "url"})
_RESPONSE: Final = frozenset({
    "at", "base64", "body", "body_layout", "chunks", "encoding", "headers", "reason", "side", "status", "text",
    "truncated", "unread",
})  # fmt: skip
_SELDOM: Final = frozenset({"encoding", "truncated", "unread"})
_MODEL_IN_PATH: Final = re.compile(r"/(?:(?:models|tunedModels)/([^/:]+)|(?:model|deployments|engines)/([^/]+))")
_CUT_OFF: Final = re.compile(r"^(?:<{7}|={7}|>{7})", re.MULTILINE)


class Fixture:
    """One recorded exchange. Immutable by contract: a replay hands out the same object many times.

    Attributes:
        key: 64 hex characters, the digest of the canonical request.
        provider: whose host was asked.
        endpoint: short name of the path.
        request: as it was sent, less its secrets.
        model: that was asked: of the body, else of the address, ``""`` where neither names one.
        response: as it came, less its secrets.
        recorded_at: seconds since the epoch.
        recorded_by: version of this package.
        take: what the recording session is called; its fixtures share it.
        sequence: position among the session's fixtures of the same key.
        answers: how many of them there are; ``0`` where nobody says.
        tests: ids of the tests that asked.
        sample: which of several answers to the same request.
        key_format: version of the key's making.
        ignore: dotted paths in the request's body that the test itself left out of the key.
        file: path of its file, ``None`` for one that is not on disk.
    """

    __slots__ = (
        "_asked", "answers", "endpoint", "file", "ignore", "key", "key_format", "model", "provider", "recorded_at",
        "recorded_by", "response", "sample", "sequence", "take", "tests",
    )  # fmt: skip

    def __init__(
        self,
        *,
        key: str,
        provider: str,
        endpoint: str,
        request: Outgoing | Callable[[], Outgoing],
        response: Incoming,
        recorded_at: float,
        recorded_by: str,
        take: str,
        sequence: int = 0,
        answers: int = 0,
        tests: tuple[str, ...] = (),
        sample: int = 0,
        key_format: int = 1,
        ignore: tuple[str, ...] = (),
        file: str | None = None,
        model: str | None = None,
    ) -> None:
        self.key = key
        self.provider = provider
        self.endpoint = endpoint
        self._asked = request
        self.response = response
        self.recorded_at = recorded_at
        self.recorded_by = recorded_by
        self.take = take
        self.sequence = sequence
        self.answers = answers
        self.tests = tests
        self.sample = sample
        self.key_format = key_format
        self.ignore = ignore
        self.file = file
        self.model = _model_of(self.request.url, _parsed_body(self.request)) if model is None else model

    @property
    def request(self) -> Outgoing:
        """Return the request. It is put together when somebody asks for it: a replay gives the answer alone.

        Raises:
            FixtureError: its body can't be written as JSON.
        """
        asked = self._asked  # once: another thread may put it together meanwhile
        if not isinstance(asked, Outgoing):
            asked = self._asked = asked()
        return asked

    @property
    def path(self) -> Path | None:
        """Return where its file is. Made when it is asked for: to make it takes as long as to read the file."""
        return None if self.file is None else Path(self.file)

    def to_text(self, *, largest: int = LARGE) -> tuple[str, bytes | None]:
        """Return the text of its file, and the content of the side file where there is one.

        Args:
            largest: bytes of a body that may stand in the text.
        """
        side = SideFile(limit=largest)
        response = self._response(side)
        fields: dict[str, Any] = {
            "elapsed_ms": milliseconds(self.response.elapsed),
            "endpoint": self.endpoint,
            "key": self.key,
            "key_format": self.key_format,
            "provider": self.provider,
            "recorded_at": written_time(self.recorded_at),
            "recorded_by": self.recorded_by,
            "request": self._request(side),
            "response": response,
            "sample": self.sample,
            "schema": SCHEMA,
            "sequence": self.sequence,
            "take": self.take,
            "tests": sorted(self.tests),
        }
        if self.answers > 1:
            fields["answers"] = self.answers
        if self.ignore:
            fields["ignore"] = sorted(self.ignore)
        if side.content is not None:
            fields["side_file"] = side.description
        return json.dumps(_sorted(fields), ensure_ascii=False, indent=2, allow_nan=False) + "\n", side.content

    @classmethod
    def from_text(cls, text: str, *, file: str | None, side: bytes | None = None) -> Fixture:
        """Return the fixture that ``to_text`` described.

        Args:
            text: the content of the file.
            file: path of the file, for what an error says.
            side: the content of the side file, if there is one.

        Raises:
            FixtureError: damaged, of a newer schema, or edited into nonsense.
        """
        fields = Fields(_parsed(text, file), file=file)
        _check_schema(fields)
        fields.only(_FIELDS)
        aside = SideFile.checked(fields, side)
        key, provider, endpoint, by, take = fields.several_texts("key", "provider", "endpoint", "recorded_by", "take")
        sequence, sample, key_format = fields.several_wholes("sequence", "sample", "key_format")
        if not KEY.fullmatch(key):
            raise fields.error("key", "it must be 64 hex digits in lower case")
        asked = fields.part("request")
        request = _read_request(asked, aside)
        return cls(
            key=key, provider=provider, endpoint=endpoint, request=request,
            response=_read_response(fields.part("response"), aside, elapsed=fields.number("elapsed_ms")),
            recorded_at=_read_time(fields), recorded_by=by, take=take, sequence=sequence, tests=fields.texts("tests"),
            answers=fields.whole("answers", 0), sample=sample, key_format=key_format, ignore=fields.texts("ignore"),
            file=file,
            model=_model_of(asked.values["url"], asked.values["body"]) if "body" in asked.values else None,
        )  # fmt: skip

    def changed(self, **fields: Any) -> Fixture:
        """Return the same with some fields changed."""
        kept = {name: getattr(self, name) for name in self.__slots__ if name != "_asked"}
        return Fixture(**kept | {"request": self._asked} | fields)

    def _request(self, side: SideFile) -> dict[str, Any]:
        sent = self.request
        return {"headers": sent.headers, "method": sent.method, "url": sent.url, **pack_request(sent, side)}

    def _response(self, side: SideFile) -> dict[str, Any]:
        came = self.response
        noted = {"encoding": came.encoding, "truncated": came.truncated, "unread": came.unread}
        return {
            "headers": came.headers, "reason": came.reason, "status": came.status, **pack_response(came, side),
            **{name: value for name, value in noted.items() if value},
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"<Fixture {self.provider} {self.endpoint} {self.key[:12]} {self.response.status}>"


def written_time(seconds: float) -> str:
    """Return a time as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _parsed_body(request: Outgoing) -> Any:
    try:
        return parse(request.body)
    except ValueError:
        return None


def _model_of(url: str, body: Any) -> str:
    named = body.get("model") if isinstance(body, dict) else None
    if isinstance(named, str):
        return named
    found = _MODEL_IN_PATH.search(urlsplit(url).path)
    return unquote(found[1] or found[2]) if found else ""


def _sorted(fields: dict[str, Any]) -> dict[str, Any]:
    # Not the bodies: a request's is sorted already, and an answer's order is the provider's.
    kept = {"body", "body_layout", "chunks"}
    return {
        name: _sorted(value) if isinstance(value, dict) and name not in kept else value
        for name, value in sorted(fields.items())
    }


def _parsed(text: str, file: str | None) -> Any:
    try:
        return parse(text)
    except json.JSONDecodeError as error:
        if _CUT_OFF.search(text):
            raise FixtureError(
                file, "", "it has the marks of a merge conflict; keep one side, or both as files"
            ) from error
        where = f"line {error.lineno}, column {error.colno}"
        raise FixtureError(file, "", f"it is not JSON ({error.msg}, {where})") from error
    except ValueError as error:
        raise FixtureError(file, "", f"it is not JSON ({error})") from error


def _check_schema(fields: Fields) -> None:
    schema = fields.whole("schema", least=1)
    if schema > SCHEMA:
        by = fields.values.get("recorded_by")
        reader = f"django-llmcache {by}, which recorded it, reads it" if isinstance(by, str) else "a newer one reads it"
        raise fields.error("schema", f"it is {schema} and this version reads {SCHEMA}; {reader}: update the package")


def _read_request(fields: Fields, side: SideFile) -> Callable[[], Outgoing]:
    fields.only(_REQUEST)
    method, url = fields.several_texts("method", "url")
    if not _is_absolute(url):
        raise fields.error("url", f"it is {url!r}; it must be an absolute address")
    if not method.isupper():
        raise fields.error("method", f"it is {method!r}; it must be a method such as 'POST'")
    headers, body = fields.pairs("headers"), unpack_request(fields, side)
    return partial(_outgoing, method, url, headers, body)


def _outgoing(method: str, url: str, headers: Pairs, body: Callable[[], bytes]) -> Outgoing:
    return Outgoing(method, url, headers, body())


@lru_cache(maxsize=256)
def _is_absolute(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.scheme and parts.hostname) and (parts.port is None or parts.port >= 0)
    except ValueError:
        return False


def _read_response(fields: Fields, side: SideFile, *, elapsed: float) -> Incoming:
    fields.only(_RESPONSE)
    status, reason, headers = read_head(fields)
    came = Incoming(status, reason, headers, unpack_response(fields, side), elapsed=elapsed)
    if _SELDOM.isdisjoint(fields.values):
        return came
    encoding, truncated = fields.text("encoding", ""), fields.flag("truncated")
    return came._replace(encoding=encoding, truncated=truncated, unread=fields.flag("unread"))


def _read_time(fields: Fields) -> float:
    text = fields.text("recorded_at")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise fields.error("recorded_at", f"it is {text!r}; it must be a time such as '2026-01-31T12:00:00Z'")
    return time.timestamp()


__all__ = ["KEY", "SCHEMA", "Fixture", "FixtureError", "written_time"]
