"""The body as it goes over the wire: in the caller's own order."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from django_llmcache.exceptions import ConfigurationError


def encode(payload: Mapping[str, Any]) -> bytes:
    """Return the body's bytes.

    What orjson would change (NaN to ``null``) or refuse (an integer of more than 64 bits) is written as the
    standard library writes it, so that the provider judges it and not this package.

    Raises:
        ConfigurationError: no JSON can say it; the message names the field.
    """
    body = dict(payload)
    if not any(isinstance(value, float) and not math.isfinite(value) for value in body.values()):
        try:
            return orjson.dumps(body, option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME)
        except (TypeError, ValueError):
            pass
    for name, value in body.items():
        try:
            json.dumps({name: value})
        except RecursionError as error:  # so has its repr
            raise ConfigurationError(f"{name} is nested too deep to be sent as JSON.") from error
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{name}={value!r:.80} cannot be sent as JSON: {error}.") from error
    return json.dumps(body).encode()
