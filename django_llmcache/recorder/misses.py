"""A request that has no recording, told so that one sees at once what changed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final, NamedTuple

from .exchange import Outgoing
from .fixture import Fixture
from .forms import shown_form
from .layouts import too_deep
from .wording import short, word_diff


class Why(NamedTuple):
    """Why a request has no recording that may be used.

    Attributes:
        text: how the message begins.
        mode: the one that mends it, ``""`` where recording does not.
        before: what has to be done first.
    """

    text: str
    mode: str = ""
    before: str = ""


WHYS: Final = {
    "none": Why("Nothing is recorded for this request", "once"),
    "sample": Why("Other samples of this request are recorded, and not this one", "once"),
    "incomplete": Why("The recording of this request has lost some answers", "once"),
    "expired": Why("The recording of this request has expired", "refresh"),
    "failing": Why("The newest recording of this request is an error, which FALLBACK='error' refuses", "refresh"),
    "repeated": Why(
        "This request was asked more often than it was recorded, and the test says repeat='fail'", "refresh"
    ),
    "unread": Why("The recording ends where the recording test stopped reading, and this one reads on", "refresh"),
    "fault": Why(
        "This fault is cut from a recording, and there is none of this request", "refresh", "the fault left out"
    ),
    "damaged": Why("The recording of this request can't be read", "once"),
    "process": Why("This request comes from another process than the test's, where nothing can be recorded"),
    "blocked": Why("A client that the recorder does not know asked for a connection to a provider"),
}
NO_KEY: Final = "no_key"
"""Stands behind a reason, or alone for ``none``, where there is no API key to ask with."""

_SHOWN: Final = 6
_OTHER_KEY: Final = (
    "the same request: its fixture has a key of old, which `manage.py llmcache fixtures rekey` makes anew"
)


class FixtureMiss(BaseException):
    """A provider was asked for what is not recorded.

    Not an ``Exception``: the SDKs catch those, try again, and tell of a "connection error". A test in which it was
    raised fails at its end, also where somebody caught it.
    """


class FixtureDamaged(FixtureMiss):
    """What was asked for is recorded in a file that can't be read; the message names it, and the field."""


def explain_damage(error: Exception, *, test: str, command: str) -> str:
    """Return what to show of a recording that can't be read.

    Args:
        error: names the file and the field.
        test: the id of the test that asked.
        command: the line that records the test.
    """
    lines = [f"A recording can't be read: {error}", f"  test     {test}", "Restore the file, or delete it."]
    if command:
        lines.append(command)
    return "\n".join(lines)


def explain_miss(
    asked: Outgoing, candidates: Iterable[Fixture], *, test: str, folder: Path, command: str, why: str = "none"
) -> str:
    """Return what to show: the request, the nearest recording, how they differ, and what records it.

    Args:
        asked: the request, redacted.
        candidates: what is recorded of the same provider.
        test: the id of the test that asked.
        folder: of the fixtures.
        command: the line that says how it is recorded, of ``line_for``.
        why: a key of ``WHYS``, with ``NO_KEY`` behind it or not.
    """
    lines = [f"{_why(why).text}: {asked.method} {asked.url}", f"  test     {test}"]
    body = value_of(asked)
    model = _model(asked, body)
    if model:
        lines.append(f"  model    {model}")
    nowhere = why in ("none", NO_KEY)
    nearest = nearest_to(asked, body, candidates) if nowhere else None
    if nearest is None:
        lines.append(f"  fixtures {folder}" + (" (none of this provider, host and model)" if nowhere else ""))
    else:
        lines.append(f"  nearest  {nearest.path}")
        lines += [f"    {line}" for line in _differences(asked, body, nearest)]
    if command:
        lines.append(command)
    return "\n".join(lines)


def line_for(command: str, why: str, *, label: str, mode: str | None) -> str:
    """Return the line that records what was missed, ``""`` where no command does.

    Args:
        command: ``Setup.command``.
        why: a key of ``WHYS``, with ``NO_KEY`` behind it or not.
        label: what the test runner runs the test by, ``""`` for all tests.
        mode: what the test itself says: it would go before the command's.
    """
    reason = _why(why)
    if not command or not reason.mode:
        return ""
    before = [reason.before] if reason.before else []
    if mode is not None:
        before.append(f"mode={str(mode)!r} left out")
    words = f"with {' and '.join(before)}" if before else ""
    line = command.format(mode=reason.mode, test=shlex.quote(label) if label else "").rstrip()
    return f"Record it{words and ', '}{words}:  {line}"


def _why(name: str) -> Why:
    reason = WHYS[name.removesuffix(NO_KEY).rstrip("_") or "none"]
    if name.endswith(NO_KEY):
        text = f"{reason.text}, and there is no API key to ask the provider with"
        return Why(text, "once", "the provider's API key set")
    return reason


def nearest_to(asked: Outgoing, body: Any, candidates: Iterable[Fixture]) -> Fixture | None:
    """Return the recording most like the request, of the same host and model. For the text only: it never serves."""
    best: tuple[float, Fixture] | None = None
    model, text = _model(asked, body), _text(body)
    for fixture in candidates:
        other = value_of(fixture.request)
        if fixture.request.host != asked.host or _model(fixture.request, other) != model:
            continue
        same_path = fixture.request.parts.path == asked.parts.path
        likeness = same_path + SequenceMatcher(None, text, _text(other), autojunk=False).quick_ratio()
        if best is None or likeness > best[0]:
            best = (likeness, fixture)
    return best[1] if best else None


def _differences(asked: Outgoing, body: Any, nearest: Fixture) -> Iterator[str]:
    told = 0
    for name, now, then in (
        ("method", asked.method, nearest.request.method),
        ("path", asked.parts.path, nearest.request.parts.path),
        ("query", sorted(asked.query), sorted(nearest.request.query)),
    ):
        if now != then:
            told += 1
            yield f"{name}: recorded {short(then)}, asked {short(now)}"
    for place, then, now in apart(value_of(nearest.request), body):
        told += 1
        if told > _SHOWN:
            yield "… and more"
            return
        yield from _difference(place, then, now)
    if not told:
        yield from _header_differences(asked, nearest) or [_OTHER_KEY]


def _header_differences(asked: Outgoing, nearest: Fixture) -> list[str]:
    now, then = dict(asked.headers), dict(nearest.request.headers)
    return [
        f"header {name}: recorded {then.get(name, _ABSENT)!r}, asked {now.get(name, _ABSENT)!r}"
        for name in sorted({*now, *then})
        if now.get(name) != then.get(name)
    ]


def apart(then: Any, now: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield each place where two JSON values differ, the outermost that says it all."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in [*then, *(name for name in now if name not in then)]:
            inner = f"{place}.{name}" if place else str(name)
            yield from apart(then.get(name, _ABSENT), now.get(name, _ABSENT), inner)
    elif isinstance(then, list) and isinstance(now, list):
        for index in range(max(len(then), len(now))):
            old, new = (side[index] if index < len(side) else _ABSENT for side in (then, now))
            yield from apart(old, new, f"{place}[{index}]")
    elif then != now or isinstance(then, bool) != isinstance(now, bool):
        yield place or "body", then, now


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


_ABSENT: Final = _Absent()


def _difference(place: str, then: Any, now: Any) -> Iterator[str]:
    if isinstance(then, str) and isinstance(now, str):
        yield f"{place}:"
        yield f"  {word_diff(then, now)}"
    else:
        yield f"{place}: recorded {short(then)}, asked {short(now)}"


def value_of(request: Outgoing) -> Any:
    """Return what the body of a request says, for people: the value of JSON, the fields of a form, or a text."""
    with suppress(ValueError, RecursionError):
        value = json.loads(request.body)
        if not too_deep(value):
            return value
    form = shown_form(request.header("content-type"), request.body)
    return request.body.decode("utf-8", "replace") if form is None else form


def _text(body: Any) -> str:
    return json.dumps(body, sort_keys=True, ensure_ascii=False)[:20_000]


def _model(asked: Outgoing, body: Any) -> str:
    named = body.get("model") if isinstance(body, dict) else None
    if isinstance(named, str):
        return named
    _, found, rest = asked.parts.path.partition("/models/")
    return rest.partition(":")[0] if found else ""
