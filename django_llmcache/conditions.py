"""What a caller names to have answers cleared, as what the backends and the other workers are told."""

from __future__ import annotations

from typing import Any

from .entry import Selector
from .exceptions import ConfigurationError
from .keys import is_key, scope_digest
from .tags import label_of, tag_of


def selector_of(
    *,
    provider: str | None = None,
    model: str | None = None,
    scope: str | None = None,
    tag: Any = None,
    key: str | None = None,
) -> Selector:
    """Return the selector of the answers that meet every condition named.

    Args:
        provider: its name.
        model: as it was asked for.
        scope: whose answers; ``"public"`` for those that are shared.
        tag: a text, a model, or an object of one.
        key: as in ``response.cache.key``.

    Raises:
        ConfigurationError: a condition that is no text, an empty one, or none that can be stored; nothing was removed.
    """
    if label_of(tag) is not None:
        tag = tag_of(tag)
    for name, value in (("provider", provider), ("model", model), ("scope", scope), ("tag", tag), ("key", key)):
        if value is not None and not isinstance(value, str):
            raise ConfigurationError(f"{name} is {value!r}; give a text, or leave it out. Nothing was removed.")
        if value == "":  # such as of a variable that is unset
            raise ConfigurationError(f"{name} is empty, and so names nothing; leave it out. Nothing was removed.")
        if name not in ("scope", "tag") and not _is_storable(value or ""):
            raise ConfigurationError(
                f"{name} is {value!r}, which no answer has: it has half of a character in it. Nothing was removed."
            )
    if key is not None and not is_key(key):
        raise ConfigurationError(f"key is {key!r:.80}, which is none; give response.cache.key. Nothing was removed.")
    digest = None if scope is None else scope_digest(scope)
    return Selector(provider=provider, model=model, scope=digest, tag=None if tag is None else tag_of(tag), key=key)


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
