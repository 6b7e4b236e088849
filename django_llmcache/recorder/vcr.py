"""Reads the cassettes of VCR.py, VCR, betamax and their like, whatever form they were written in.

They are other people's files: a YAML tag that would make an object is refused, and what expands (aliases, gzip) is
held to a limit.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from django_llmcache.exceptions import LLMCacheError

from .exchange import Incoming, Outgoing
from .interactions import incoming, interactions_of, outgoing
from .redaction import Redactor

LARGEST: Final = 256 * 1024 * 1024
"""Bytes of the largest cassette that is read, once it is decompressed."""

MOST_VALUES: Final = 5_000_000
"""Values in the largest YAML cassette that is read, once its aliases are expanded."""

MOST_LEVELS: Final = 200
"""Levels of nesting of the deepest YAML cassette that is read; at some more, libyaml ends the process."""

_GZIP: Final = b"\x1f\x8b"
_LONGEST_QUOTED: Final = len("'\\x00'")
_QUOTED: Final = re.compile("'[^']*'")
_SHOWN_TAGS: Final = ("!!python/", "!!ruby/", "!ruby/")
_UNKNOWN_TAG: Final = re.compile(r"could not determine a constructor for the tag '([^']*)'")


class CassetteError(LLMCacheError):
    """A cassette can't be read; the message names the file and what is wrong in it.

    Attributes:
        path: the file.
        whys: what is wrong: of the file, or of each interaction that is.
        why: the same as one text.
    """

    def __init__(self, path: Path, *whys: str) -> None:
        self.path = path
        self.whys = whys
        self.why = "; ".join(whys)
        super().__init__(f"{path}: {self.why}")

    def __reduce__(self) -> tuple[Any, ...]:
        return CassetteError, (self.path, *self.whys)


def read_cassette(path: Path) -> list[tuple[Outgoing, Incoming]]:
    """Return the requests of a cassette with their answers, in the order in which they were recorded.

    Nothing is taken out of them: redact them before they are shown or written.

    Args:
        path: a file of YAML or JSON, compressed with gzip or not; its content tells which, not its name.

    Raises:
        CassetteError: it can't be read, it is no cassette, or one of its interactions is not what it should be.
    """
    try:
        raw = interactions_of(_document(_content(path)))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise _refused(path, _why(error)) from error
    found, whys = [], []
    for number, each in enumerate(raw, 1):
        if each is None:
            whys.append(f"interaction {number} is not a request with its response")
            continue
        request, response, recorded_at = each
        try:
            found.append((outgoing(request), incoming(response, recorded_at)))
        except ValueError as error:
            whys.append(f"interaction {number}: {error}")
    if whys:
        raise _refused(path, *whys)
    return found


def _refused(path: Path, *whys: str) -> CassetteError:
    shown = map(Redactor().text, whys)  # a name that is shown may be a credential in the wrong place
    return CassetteError(path, *shown)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if content.startswith(_GZIP):
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    return content


def _document(content: bytes) -> Any:
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"{", b"["):
        try:
            return json.loads(content)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except ValueError as error:
            try:
                return _yaml(content)  # whose own brackets they may be
            except ValueError:
                raise ValueError(f"it is not JSON ({error})") from error
    return _yaml(content)


def _yaml(content: bytes) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ValueError(
            "it is YAML, which takes PyYAML to read: install django-llmcache[vcr], or convert the cassette to JSON"
        ) from error
    try:
        _check_depth(yaml.parse(content, _loader()))
        document = _loaded(content)
    except yaml.YAMLError as error:
        raise ValueError(_trouble(error)) from None  # a traceback would show the line that is wrong
    _check_size(document)
    return document


def _loaded(content: bytes) -> Any:
    import yaml

    try:
        return yaml.load(content, _loader())  # noqa: S506 - a subclass of the safe loader
    except (ArithmeticError, AttributeError, LookupError, ValueError):  # of the type that a tag names
        raise ValueError("it is not YAML (a value is not of the kind that its tag says)") from None


def _trouble(error: Any) -> str:
    """Return what is wrong in a document, and in which line; nothing of what stands there, since it may be a key."""
    mark: Any = getattr(error, "problem_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", ""))
    if tag := _UNKNOWN_TAG.search(problem):
        name = tag[1].replace("tag:yaml.org,2002:", "!!")
        shown = f"the tag {name}" if name.startswith(_SHOWN_TAGS) else "a tag"
        return (
            f"{shown} (line {mark.line + 1}) is refused, since such tags can run code; record the cassette anew, or "
            "take the tag out by hand"
        )
    place = f"line {mark.line + 1}: " if mark else ""
    return f"it is not YAML ({place}{_QUOTED.sub(_shortened, problem)})"


def _shortened(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[0]) <= _LONGEST_QUOTED else "'…'"


@cache
def _loader() -> Any:
    """Return PyYAML's safe loader, made to leave times as texts, merge nothing, and read Ruby's binary."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    unwanted = [f"tag:yaml.org,2002:{name}" for name in ("merge", "timestamp", "value")]
    resolvers = {
        start: [(tag, pattern) for tag, pattern in known if tag not in unwanted]
        for start, known in base.yaml_implicit_resolvers.items()
    }
    loader: Any = type("_Loader", (base,), {"yaml_implicit_resolvers": resolvers})
    loader.yaml_constructors = {**base.yaml_constructors, "!binary": base.yaml_constructors["tag:yaml.org,2002:binary"]}
    return loader


def _check_depth(events: Iterable[Any]) -> None:
    level = 0
    for event in events:
        kind = type(event).__name__
        level += kind.endswith("StartEvent") - kind.endswith("EndEvent")
        if level > MOST_LEVELS:
            raise ValueError("it is nested too deeply")


def _check_size(document: Any) -> None:
    """Refuse a document whose aliases, each a few bytes long, stand for more than memory holds."""
    values, size, left = 0, 0, [document]
    while left:
        value = left.pop()
        values += 1
        size += len(value) if isinstance(value, str | bytes) else 0
        inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
        if values + len(left) + len(inner) > MOST_VALUES or size > LARGEST:
            raise ValueError("its aliases expand to more than is read")
        left.extend(inner)


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it can't be read ({error.strerror or error})"
    return f"it is not gzip ({error})" if isinstance(error, EOFError | zlib.error) else str(error)
