"""One exchange with a provider, as it went over the wire: what a fixture keeps and a replay gives again."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

Pairs = tuple[tuple[str, str], ...]
"""Headers or query parameters in their order; a name may come more than once."""

STATUSES: Final = range(200, 1000)
"""Those of an answer, as clients take them: a gateway may have some of its own beyond 599."""


def first(pairs: Pairs, name: str) -> str:
    """Return the first value that a lower-case name has, ``""`` when it has none."""
    for other, value in pairs:
        if other == name or other.lower() == name:
            return value
    return ""


class Outgoing(NamedTuple):
    """A request as it leaves. Immutable.

    Attributes:
        method: upper-case.
        url: absolute, with its query.
        headers: names in lower case.
        body: the bytes, empty for none.
    """

    method: str
    url: str
    headers: Pairs
    body: bytes

    @property
    def parts(self) -> SplitResult:
        """Return the parts of the address."""
        return _parts_of(self.url)

    @property
    def host(self) -> str:
        """Return the host in lower case, with the port where it is not the scheme's own."""
        parts = self.parts
        return _host_of(parts.scheme, parts.netloc)

    @property
    def line(self) -> str:
        """Return what is asked, in one line; the address begins with ``//`` where its scheme is not known."""
        return f"{self.method} {self.url.removeprefix('//')}"

    @property
    def query(self) -> Pairs:
        """Return the query parameters."""
        return tuple(parse_qsl(self.parts.query, keep_blank_values=True))

    def header(self, name: str) -> str:
        """Return the first value of a header, ``""`` when there is none."""
        return first(self.headers, name)

    def __repr__(self) -> str:
        # What a traceback shows of it: headers, address and body may each hold a key.
        return f"<Outgoing {self.method} {self.host}>"


_parts_of = lru_cache(maxsize=256)(urlsplit)


@lru_cache(maxsize=256)
def _host_of(scheme: str, netloc: str) -> str:
    parts = SplitResult(scheme, netloc, "", "", "")
    host = (parts.hostname or "").lower()
    default = {"http": 80, "https": 443}.get(scheme)
    return host if parts.port in (None, default) else f"{host}:{parts.port}"


class Chunk(NamedTuple):
    """One piece of a body as it arrived.

    Attributes:
        offset: milliseconds from the start of the request.
        data: the bytes, decoded from any content-encoding.
    """

    offset: float
    data: bytes

    def __repr__(self) -> str:
        return f"<Chunk {len(self.data)} bytes at {self.offset} ms>"


class Incoming(NamedTuple):
    """An answer as it came. Immutable.

    Attributes:
        status: HTTP status.
        reason: the words beside it, may be empty.
        headers: in their order, without ``content-encoding``, ``content-length`` and ``transfer-encoding``.
        chunks: the body; one piece unless it was a stream.
        encoding: the content-encoding that it had on the wire, ``""`` for none.
        truncated: whether the connection broke before the body's end.
        unread: whether the recording test stopped reading before the body's end.
        elapsed: milliseconds until the body's end.
    """

    status: int
    reason: str
    headers: Pairs
    chunks: tuple[Chunk, ...]
    encoding: str = ""
    truncated: bool = False
    unread: bool = False
    elapsed: float = 0.0

    @property
    def body(self) -> bytes:
        """Return the whole body."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def ok(self) -> bool:
        """Return whether it is no error, and whole as far as the provider goes."""
        return 200 <= self.status < 400 and not self.truncated

    @property
    def content_type(self) -> str:
        """Return the media type without its parameters, in lower case."""
        return first(self.headers, "content-type").partition(";")[0].strip().lower()

    def __repr__(self) -> str:
        return f"<Incoming {self.status} {self.content_type} in {len(self.chunks)} chunks>"
