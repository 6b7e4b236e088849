"""What answers can be cleared by: texts, and Django's models and their objects, each of which stands for a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .exceptions import ConfigurationError


def tag_of(value: Any) -> str:
    """Return the text that a tag stands for: of a model its label, of an object its label and primary key.

    Half of a character, which JSON may have and no store can keep, stands as its escape.

    A model is told by its ``_meta``, so that this needs no Django.

    Raises:
        ConfigurationError: neither a non-empty text nor a model nor a saved object of one.
    """
    if isinstance(value, str) and value:
        if type(value) is str and value.isascii():
            return value
        return value.encode("utf-8", "backslashreplace").decode()  # of an enum its text, however that is shown
    label = label_of(value)
    if label is None:
        raise ConfigurationError(
            f"{value!r:.80} is no tag: each must be a non-empty text, a model or an object of one."
        )
    if isinstance(value, type):
        return label
    if value.pk is None:
        raise ConfigurationError(f"an unsaved {label} is no tag: save it first, or give the model itself.")
    return tag_of_object(value._meta.model, value.pk)  # its type may be that of a proxy, as of ``request.user``


def tag_of_object(kind: Any, key: Any) -> str:
    """Return the tag of an object of a model by its primary key, in whichever way that is written.

    Args:
        kind: the model.
        key: as its field takes it: a UUID may be a text, with dashes or without.
    """
    try:
        key = kind._meta.pk.to_python(key)
    except Exception:  # it is none of that field's; the database may take it all the same
        key = str(key)
    return f"{label_of(kind)}:{key}"


def label_of(value: Any) -> str | None:
    """Return ``app.model`` of a model or its object, of the concrete model behind a proxy; ``None`` of what is none."""
    meta = getattr(getattr(value, "_meta", None), "concrete_model", None)
    label: str | None = getattr(getattr(meta, "_meta", None), "label_lower", None)
    return label


def tags_of(values: Any) -> frozenset[str]:
    """Return the texts that several tags stand for; raises as ``tag_of``."""
    if isinstance(values, str):
        raise ConfigurationError(f"tags is the text {values!r:.80}; give a list of texts: [{values!r:.80}].")
    if label_of(values) is not None or not isinstance(values, Iterable):
        raise ConfigurationError(f"tags is {values!r:.80}; give a list of texts, models or objects of models.")
    try:
        return frozenset(map(tag_of, values))
    except ConfigurationError as error:
        raise ConfigurationError(f"tags is {values!r:.80}; {error}") from None
