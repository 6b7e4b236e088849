"""A request that has no recording, told so that one sees at once what changed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from .differences import ABSENT, Difference, differences
from .exchange import Outgoing
from .fixture import Fixture
from .leaks import masked, masked_beside
from .matcher import Matcher
from .nearest import model_of, moved_from, nearest_to
from .wording import short, word_diff


class Why(NamedTuple):
    """Why a request has no recording that may be used.

    Attributes:
        text: how the message begins.
        mode: the one that mends it, ``""`` where recording does not.
    """

    text: str
    mode: str = ""


WHYS: Final = {
    "none": Why("Nothing is recorded for this request", "once"),
    "sample": Why("Other samples of this request are recorded, and not this one", "once"),
    "incomplete": Why("The recording of this request has lost some answers", "once"),
    "expired": Why("The recording of this request has expired", "refresh"),
    "failing": Why("The newest recording of this request is an error, which FALLBACK='error' refuses", "refresh"),
    "repeated": Why(
        "This request was asked more often than it was recorded, and the test says repeat='fail'", "refresh"
    ),
    "unread": Why(
        "The recording ends where the recording test stopped reading, or was over before its stream, and this one "
        "reads on",
        "refresh",
    ),
    "fault": Why("This fault is cut from a recording, and there is none of this request", "once"),
    "damaged": Why("The recording of this request can't be read", "once"),
    "process": Why(
        "Nothing is recorded for this request, and it comes from another process than the test's, where nothing can "
        "be: ask it in a test of its own, or in a `with live_api():` block before it starts"
    ),
    "blocked": Why("A client that the recorder does not know asked for a connection to a provider"),
}
NO_KEY: Final = "no_key"
"""Stands behind a reason, or alone for ``none``, where there is no API key to ask with."""

_KEY_SET: Final = "the provider's API key set"
_ANY_KEY_SET: Final = "the API key set that the SDK asks for (any value does where the server wants none)"
_SHOWN: Final = 6
_OTHER_KEY: Final = (
    "the same request: its fixture has a key of old, which `manage.py llmcache fixtures rekey` makes anew"
)
_MOVED: Final = (
    "the same request, recorded of {host}: write the new address into the url of what is recorded there, and run "
    "`manage.py llmcache fixtures rekey`"
)
_UNSEEN: Final = "the bodies differ in what does not show here, such as the type of a file or how a number is written"
_BYTES: Final = "counts byte by byte: it has an integer beyond 64 bits, or is not exactly JSON"
_ALL_COUNTS: Final = Matcher()


class FixtureMiss(BaseException):
    """A provider was asked for what is not recorded.

    Not an ``Exception``: the SDKs catch those, try again, and tell of a "connection error". A test in which it was
    raised fails at its end, also where somebody caught it.
    """


class FixtureDamaged(FixtureMiss):
    """What was asked for is recorded in a file that can't be read; the message names it, and the field."""


class ForkedMiss(FixtureMiss, Exception):  # noqa: N818 - named as what it is a kind of
    """A miss in a process that the test has forked, or in a thread of a pool of multiprocessing's.

    It is an ordinary error there, which a pool hands to who waits for it: of any other nobody would be told, and who
    waits would do so for ever. The test fails by it as by any miss: its own process is told.
    """


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


def explain_unreadable(error: str, asked: Outgoing, *, test: str) -> str:
    """Return what to show of a request that goes nowhere, as the settings don't say whom a test may ask.

    Args:
        error: says what is wrong with them.
        asked: the request, redacted.
        test: the id of the test that asked.
    """
    return f"Nobody is asked while the settings can't be read: {masked(asked).line}\n  test     {test}\n{error}"


def explain_miss(
    asked: Outgoing,
    candidates: Iterable[Fixture],
    *,
    test: str,
    folder: Path,
    command: str,
    why: str = "none",
    matcher: Matcher = _ALL_COUNTS,
    ignore: tuple[str, ...] = (),
) -> str:
    """Return what to show: the request, the nearest recording, how they differ, and what records it.

    Args:
        asked: the request, redacted.
        candidates: what is recorded of the same provider, or else of hosts that are nobody's.
        test: the id of the test that asked.
        folder: of the fixtures.
        command: the line that says how it is recorded, of ``line_for``.
        why: a key of ``WHYS``, with ``NO_KEY`` behind it or not.
        matcher: says what of a request counts.
        ignore: dotted paths that the test itself leaves out.
    """
    hidden: set[str] = set()
    shown = masked(asked, hidden)
    lines = [f"{_why(why).text}: {shown.line}", f"  test     {test}"]
    model = model_of(shown, matcher)
    if model:
        lines.append(f"  model    {model}")
    nowhere = why in ("none", "fault", "process", NO_KEY)
    if nowhere and matcher.counts_bytes(asked) and not isinstance(matcher.body_of(asked), str):
        lines.append(f"  body     {_BYTES}")
    there = list(candidates) if nowhere else []
    nearest = nearest_to(asked, there, matcher, test=test)
    moved = None if nearest else moved_from(asked, there, matcher)
    if moved is not None:
        lines += [f"  moved?   {moved.path}", f"    {_MOVED.format(host=moved.request.host)}"]
    elif nearest is None:
        lines.append(f"  fixtures {folder}" + (" (none of this provider, host and model)" if nowhere else ""))
    else:
        lines.append(f"  nearest  {nearest.path}")
        apart = differences(shown, masked_beside(hidden, nearest.request), matcher)
        lines += [f"    {line}" for line in [*_lines(apart)] or [_unfound(asked, nearest, matcher, ignore)]]
    if command:
        lines.append(command)
    return "\n".join(lines)


def line_for(
    command: str, why: str, *, label: str, mode: str | None, variable: str = "", replays_expired: bool = False
) -> str:
    """Return the line that records what was missed, ``""`` where no command does; another one may replay it.

    Args:
        command: ``Setup.command``.
        why: a key of ``WHYS``, with ``NO_KEY`` behind it or not.
        label: what the test runner runs the test by, ``""`` for all tests.
        mode: what the test itself says: it would go before the command's.
        variable: has the API key that is missing, ``""`` where none is, or its name depends on the SDK.
        replays_expired: whether what has expired may be replayed.
    """
    reason = _why(why)
    if not command or not reason.mode:
        return ""
    test = shlex.quote(label) if label else ""
    left_out = [] if mode is None else [f"mode={str(mode)!r} left out"]
    key_set = [_KEY_SET if variable else _ANY_KEY_SET] if why.endswith(NO_KEY) else []
    line = command.format(mode=reason.mode, test=test).rstrip()
    lines = [f"{_with('Record it', *key_set, *left_out)}:  {variable and f'{variable}=… '}{line}"]
    if why == f"expired_{NO_KEY}" and replays_expired:
        line = command.format(mode="replay", test=test).rstrip()
        lines.append(f"{_with('Or replay the expired one', *left_out)}:  {line}")
    return "\n".join(lines)


def _with(act: str, *before: str) -> str:
    """Return what is done, and with what before it."""
    return f"{act}, with {' and '.join(before)}" if before else act


def _why(name: str) -> Why:
    reason = WHYS[name.removesuffix(NO_KEY).rstrip("_") or "none"]
    if name.endswith(NO_KEY):
        return Why(f"{reason.text}, and there is no API key to ask the provider with", "once")
    return reason


def _lines(apart: Iterable[Difference]) -> Iterator[str]:
    """Yield what is another in the nearest recording."""
    for number, difference in enumerate(apart, 1):
        if number > _SHOWN:
            yield "… and more"
            return
        yield from _shown(difference)


def _unfound(asked: Outgoing, nearest: Fixture, matcher: Matcher, ignore: tuple[str, ...]) -> str:
    """Return why the nearest recording is not found, though nothing that counts is another in it."""
    if matcher.key_of(nearest.request) != matcher.key_of(asked):
        return _UNSEEN
    if set(ignore) == set(nearest.ignore):
        return _OTHER_KEY
    was, now = sorted(nearest.ignore), sorted(ignore)
    return f"the same request, recorded while the test said ignore={was!r}, and it says ignore={now!r}"


def _shown(difference: Difference) -> Iterator[str]:
    place, then, now = difference.place, difference.then, difference.now
    if then is ABSENT:
        yield f"{place} is new: {short(now)}"
    elif now is ABSENT:
        yield f"{place} is gone: {short(then)}"
    elif difference.path is not None and isinstance(then, str) and isinstance(now, str):
        yield f"{place}:"
        yield f"  {word_diff(then, now)}"
    else:
        yield f"{place}: recorded {short(then)}, asked {short(now)}"
