"""Write a request's body as the bytes that its key is the digest of.

Canonical is JSON with the keys of objects sorted at every depth, lists as they are and every string untouched. Numbers
are as they are written, but for those at the top level: there ``0``, ``0.0`` and ``-0.0`` are one number.

Two bodies share their canonical bytes only where the provider is sent the same JSON. That is all orjson leaves
open: a tuple is a list, an enum its value (``TextChoices`` as well) and a UUID its text. What a template gives
(``SafeString``, ``Markup``: whatever has ``__html__``) is the text that it is. Anything else that is not JSON already
(a set, a date, a dataclass, another subclass of ``str`` or of ``dict``, NaN and infinity, …) has no such bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import orjson

from .exceptions import UncacheableRequest

OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
LARGEST_INTEGER: Final = 2**63
"""Whole numbers below it, of either sign, can be part of a key."""

_SMALLEST_INTEGER: Final = -(2.0**63)
_LARGEST_INTEGER: Final = 2.0**64
_NO_NUMBERS: Final = frozenset({str, int, bool, type(None)})


def canonical_body(payload: Mapping[str, Any], unkeyed: frozenset[str], ignore: tuple[str, ...] = ()) -> bytes:
    """Return the canonical bytes of a body.

    Args:
        payload: the body; it is left as it was.
        unkeyed: top-level names that do not count.
        ignore: paths that do not count, as ``steps_of`` takes them.

    Raises:
        UncacheableRequest: NaN or infinity, a key that is not a text, or a value without JSON.
    """
    counted = plain_numbers(counted_in(payload, unkeyed, ignore))
    try:
        written = orjson.dumps(counted, as_sent, OPTIONS)
    except (TypeError, ValueError) as error:
        raise unwritable(error) from error
    if b"null" in written:
        check_numbers(counted)
    return written


def unwritable(error: Exception) -> UncacheableRequest:
    """Return what is to be raised where a body has a value that orjson will not write."""
    return UncacheableRequest(f"The request's body cannot be written as JSON exactly: {error}.")


def check_numbers(payload: Mapping[str, Any]) -> None:
    """Refuse what has a number that JSON cannot say, at any depth.

    Raises:
        UncacheableRequest: it has; the message names the field.
    """
    for name, value in payload.items():
        if not is_finite((value,)):
            raise UncacheableRequest(f"{name} has NaN or infinity in it, which JSON cannot say.")


def is_finite(values: Iterable[Any]) -> bool:
    """Return whether all numbers are, at any depth of what orjson has written: so no deeper than it goes."""
    for value in values:
        kind = value.__class__
        if kind in _NO_NUMBERS:
            continue
        if kind is float:
            good = math.isfinite(value)
        elif isinstance(value, dict):
            good = is_finite(value.values())
        elif isinstance(value, list | tuple):
            good = is_finite(value)
        else:
            good = not isinstance(value, Enum) or is_finite((value.value,))
        if not good:
            return False
    return True


def as_sent(value: Any) -> Any:
    """Return the text that a template gave, or the value of an enum: two that orjson takes for unknown classes.

    A prompt that ``render_to_string`` made is no plain ``str``, and Django's ``Choices`` have their own metaclass.
    """
    if isinstance(value, str) and hasattr(value, "__html__"):
        return str.__str__(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"Type is not JSON serializable: {type(value).__name__}")


def counted_in(payload: Mapping[str, Any], unkeyed: frozenset[str], ignore: tuple[str, ...]) -> Mapping[str, Any]:
    """Return a body less the top-level names and the paths that do not count."""
    counted: Mapping[str, Any] = {name: value for name, value in payload.items() if name not in unkeyed}
    return less(counted, ignore) if ignore else counted


def less(value: Any, ignore: tuple[str, ...]) -> Any:
    """Return a value less what the paths name, as ``steps_of`` takes them."""
    for path in ignore:
        value = without(value, steps_of(path))
    return value


def plain_numbers(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with one spelling of each number at its top level; raises as ``canonical_body``."""
    return {name: _plain(name, value) for name, value in payload.items()}


def _plain(name: str, value: Any) -> Any:
    if value.__class__ is not float:
        return value
    if not math.isfinite(value):
        raise UncacheableRequest(f"{name} is {value!r}, which JSON cannot say.")
    return int(value) if value.is_integer() and _SMALLEST_INTEGER <= value < _LARGEST_INTEGER else value


@lru_cache(maxsize=1024)
def steps_of(path: str) -> tuple[str, ...]:
    """Return a path step by step: ``messages[0].content`` is ``messages.0.content``."""
    return tuple(path.removeprefix("[").replace("[", ".").replace("]", "").split("."))


def without(value: Any, path: tuple[str, ...]) -> Any:
    """Return ``value`` less what ``path`` names; what the caller holds is left as it was.

    A step is the name of a field, the number of an item or ``*`` for any. An item that is named by its number leaves
    its place, so that the next path finds the others at theirs.
    """
    head, rest = path[0], path[1:]
    if isinstance(value, list | tuple):
        if head == "*":
            return [without(item, rest) for item in value] if rest else []
        if head.isdecimal() and int(head) < len(value):
            at = int(head)
            return [*value[:at], without(value[at], rest) if rest else "", *value[at + 1 :]]
    if not isinstance(value, dict) or head not in value:
        return value
    if not rest:
        return {name: inner for name, inner in value.items() if name != head}
    return {**value, head: without(value[head], rest)}
