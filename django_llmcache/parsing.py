r"""Read and write the JSON of answers: what orjson refuses, or changes, the standard library does as it is.

Half of an emoji in ``\ud83d``, a number beyond 64 bits, ``NaN``: providers send them, and an answer is paid for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from .canonical import is_finite

_LARGE: Final = 2.0**63
"""Whole numbers from here on may be floats that orjson made of more digits."""
_SMALL: Final = frozenset({str, int, bool, type(None)})
_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")
_LONG: Final = b"0" * 19


def parsed(text: bytes) -> Any:
    """Return the JSON value that a text is.

    Raises:
        orjson.JSONDecodeError: it is none to the standard library either.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text.decode())
        except (ValueError, RecursionError):
            pass
        raise


def exactly(data: Any, text: bytes) -> Any:
    """Return what orjson made of a text, or what the text says where that is a number of more digits."""
    try:
        return json.loads(text) if _has_large((data,)) else data
    except RecursionError:
        return data


def may_be_long(text: bytes) -> bool:
    """Return whether a text has as many digits in a row as a number beyond 64 bits."""
    return _LONG in text.translate(_DIGITS)  # in a tenth of the time of a pattern


def _has_large(values: Iterable[Any]) -> bool:
    for value in values:
        kind = value.__class__
        if kind in _SMALL:
            continue
        if abs(value) >= _LARGE if kind is float else _has_large(value.values() if kind is dict else value):
            return True
    return False


def written(value: Any) -> bytes:
    """Return a value as JSON that ``parsed`` reads back as it was.

    Raises:
        TypeError: it has something that JSON cannot say, or a key that is not a text.
    """
    try:
        text = orjson.dumps(value)
    except TypeError:
        if not _has_text_keys(value):
            raise
        return json.dumps(value).encode()
    return text if b"null" not in text or is_finite((value,)) else json.dumps(value).encode()


def _has_text_keys(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _has_text_keys(inner) for name, inner in value.items())
    return not isinstance(value, list | tuple) or all(map(_has_text_keys, value))
