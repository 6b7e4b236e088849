"""Answers die with what they were made of: a change of an object clears what has it, or its model, for a tag.

Django tells of a change inside a transaction. What it concerns is cleared once that is committed, since until then
everybody else still reads the old.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from django.db import connections, models, transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from . import backends, conf, workers
from .entry import Selector
from .exceptions import BackendUnavailableError, ConfigurationError
from .tags import label_of, tag_of
from .telemetry import emit, told

UNWATCHED: Final = frozenset({"admin.logentry", "contenttypes.contenttype", "migrations.migration", "sessions.session"})
"""Models that no answer is made of, and that are written all the time."""

_PENDING: Final = "_llmcache_changed"

logger = logging.getLogger("django_llmcache")


def connect() -> None:
    """Hear of every change of a model."""
    post_save.connect(_changed, dispatch_uid="django_llmcache.tags")
    post_delete.connect(_changed, dispatch_uid="django_llmcache.tags")
    m2m_changed.connect(_related, dispatch_uid="django_llmcache.tags")


def _changed(sender: type[models.Model], instance: models.Model, using: str, **_: Any) -> None:
    if _is_watched(label_of(sender)):
        _expire_after_commit(using, {tag_of(sender), tag_of(instance)})


def _related(
    sender: type[models.Model],
    instance: models.Model,
    action: str,
    model: type[models.Model],
    pk_set: set[Any] | None,
    using: str,
    **_: Any,
) -> None:
    """Tell of both ends of a relation. What a ``clear`` takes away is not named, and known before it alone."""
    if not action.startswith("post_") or not (_is_watched(label_of(instance)) or _is_watched(label_of(model))):
        return
    label = label_of(model)
    others = {f"{label}:{pk}" for pk in pk_set or ()} | {str(label)}
    _expire_after_commit(using, {tag_of(instance), tag_of(type(instance)), *others})


def _is_watched(label: str | None) -> bool:
    """Return whether a model's changes clear answers: those of ``TAG_MODELS``, all but a few where it is unset."""
    try:
        listed = conf.current().tag_models
    except ConfigurationError:
        return False  # every call of the cache tells of it
    if listed is None:
        return label is not None and label not in UNWATCHED
    return label in listed


def _expire_after_commit(using: str, tags: Iterable[str]) -> None:
    """Clear what has one of the tags when the transaction is committed; what several changes concern in one go."""
    connection = connections[using]
    pending: set[str] = connection.__dict__.setdefault(_PENDING, set())
    pending.update(tags)

    def expire() -> None:
        tags = frozenset(pending)
        pending.clear()
        if tags:
            _expire(tags)

    transaction.on_commit(expire, using=using, robust=True)


def _expire(tags: frozenset[str]) -> None:
    """Clear what has one of these tags; a failure is told, and never costs the change that was committed."""
    try:
        backend = backends.current()
        cleared = backend.expire(tags)
    except Exception as error:
        if not isinstance(error, BackendUnavailableError):
            emit("error", _expire, key=None, operation="clear", error=told(error))
        return
    if backend.in_process:
        listed = conf.current().tag_models or ()
        for tag in tags:
            if tag in cleared or tag.partition(":")[0] in listed:
                workers.tell(Selector(tag=tag))
