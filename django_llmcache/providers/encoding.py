"""The body as it goes over the wire: in the caller's own order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any
from uuid import UUID

import orjson

from django_llmcache.canonical import is_finite
from django_llmcache.exceptions import ConfigurationError


def encode(payload: Mapping[str, Any]) -> bytes:
    """Return the body's bytes.

    What orjson would change (NaN to ``null``) or refuse (an integer of more than 64 bits) is written as the
    standard library writes it, so that the provider judges it and not this package.

    Raises:
        ConfigurationError: no JSON can say it; the message names the field.
    """
    body = dict(payload)
    try:
        written = orjson.dumps(body, option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME)
    except (TypeError, ValueError):
        return _encode_as_standard(body)
    return written if b"null" not in written or is_finite(body.values()) else _encode_as_standard(body)


def _encode_as_standard(body: dict[str, Any]) -> bytes:
    for name, value in body.items():
        try:
            json.dumps({name: value}, default=_as_orjson)
        except RecursionError as error:  # so has its repr
            raise ConfigurationError(f"{name} is nested too deep to be sent as JSON.") from error
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{name}={value!r:.80} cannot be sent as JSON: {error}.") from error
    return json.dumps(body, default=_as_orjson).encode()


def _as_orjson(value: Any) -> Any:
    """Return what orjson makes of two types that the standard library does not know."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
