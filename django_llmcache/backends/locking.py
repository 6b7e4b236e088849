"""The locks that processes of one shared store hold, step by step (see ``steps``).

A lock's value says who has it, until when, and when he last gave a sign of life. The store forgets it at that time by
its own clock; whoever meets it later by his takes it as well. Who has no answer to share notes that under his token, so
that a lock which the store dropped is not taken for one that was given up.
"""

from __future__ import annotations

import time
import zlib
from typing import Final

from django_llmcache.exceptions import LLMCacheError

from .generations import key_of_group
from .stamping import Steps

_NOTED_FOR: Final = 30.0
"""Seconds for which a note is kept: longer than anybody who waits looks away."""

_PLACES: Final = 16
"""Values that notes are kept in: few, since a folder or a table has room for so many, and drops answers for others."""

_LATEST: Final = 32
"""Notes that are kept in one place."""

_SLACK: Final = 5.0
"""Seconds for which the store keeps a lock beyond its time: it may count in whole ones."""


def acquiring(key: str, token: str, seconds: float, now: float) -> Steps[bool]:
    """Take the lock on a key, or take it for longer; return whether it is this token's.

    Raises:
        LLMCacheError: the store keeps no locks, as where it fails to write and says nothing.
    """
    name, value = _name(key), _value(token, now + seconds)
    if (yield "add", name, value, seconds + _SLACK):
        return True
    stored = (yield "read", [name]).get(name)
    if stored is None:  # it was free a moment ago
        return (yield from _taking(name, value, seconds))
    holder, until = _parsed(stored)
    if holder == token:
        yield "write", name, value, seconds + _SLACK
        return True
    if now < until:
        return False
    yield "remove", name
    return (yield from _taking(name, value, seconds))


def _taking(name: str, value: bytes, seconds: float) -> Steps[bool]:
    """Take a lock that nobody had a moment ago; return whether somebody else was not first."""
    if (yield "add", name, value, seconds + _SLACK):
        return True
    if not (yield "read", [name]):  # whoever waits for nobody waits in vain
        raise LLMCacheError("The store did not keep a lock, and nobody has it.")
    return False


def holding(key: str) -> Steps[str | None]:
    """Return the holder's token and its latest sign of life, ``None`` where nobody has the lock."""
    name = _name(key)
    stored = (yield "read", [name]).get(name)
    return None if stored is None else stored.decode("ascii", "replace")


def renewing(key: str, token: str, seconds: float, now: float) -> Steps[None]:
    """Give a sign of life, where this token has the lock."""
    name = _name(key)
    stored = (yield "read", [name]).get(name)
    if stored is not None and _parsed(stored)[0] == token:
        yield "write", name, _value(token, now + seconds), seconds + _SLACK


def releasing(key: str, token: str) -> Steps[None]:
    """Give the lock back, where this token has it."""
    name = _name(key)
    stored = (yield "read", [name]).get(name)
    if stored is not None and _parsed(stored)[0] == token:
        yield "remove", name


def giving_up(key: str, token: str) -> Steps[None]:
    """Give the lock back, where this token has it, and note beforehand that there is nothing to share.

    Of two who note that in one place at once, one may undo the other's note. It then counts as one who lost the lock.
    """
    name, note = _name(key), _note(key)
    got = yield "read", [name, note]
    latest = got.get(note, b"").split()[1 - _LATEST :]
    yield "write", note, b" ".join([*latest, token.encode()]), _NOTED_FOR
    if name in got and _parsed(got[name])[0] == token:
        yield "remove", name


def given_up(key: str, token: str) -> Steps[bool]:
    """Return whether this token has nothing to share."""
    note = _note(key)
    return token.encode() in (yield "read", [note]).get(note, b"").split()


def _note(key: str) -> str:
    return key_of_group(f"note:{zlib.crc32(key.encode('utf-8', 'surrogatepass')) % _PLACES}")


def _name(key: str) -> str:
    return key_of_group(f"lock:{key}")


def _value(token: str, until: float) -> bytes:
    return f"{token}:{until:.3f}:{time.time_ns():x}".encode()


def _parsed(stored: bytes) -> tuple[str, float]:
    """Return the token and the time; one that is damaged is nobody's, and over."""
    token, _, rest = stored.decode("ascii", "replace").partition(":")
    try:
        return token, float(rest.partition(":")[0])
    except ValueError:
        return "", 0.0
