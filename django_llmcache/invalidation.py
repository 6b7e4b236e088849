"""Answers die with what they were made of: a change of an object clears what has it, or its model, for a tag.

Django tells of a change inside a transaction. What it concerns is cleared once that is committed, since until then
everybody else still reads the old.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any, Final

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete

from . import backends, conf
from .entry import Selector
from .exceptions import ConfigurationError
from .tags import label_of, tag_of, tag_of_object
from .telemetry import emit_failure

UNWATCHED: Final = frozenset({"admin.logentry", "contenttypes.contenttype", "migrations.migration", "sessions.session"})
"""Models that no answer is made of, and that are written all the time."""

_PENDING: Final = "_llmcache_changed"

logger = logging.getLogger("django_llmcache")


def connect() -> None:
    """Hear of every change of a model."""
    post_save.connect(_changed, dispatch_uid="django_llmcache.tags")
    pre_delete.connect(_read_ends, dispatch_uid="django_llmcache.tags")
    post_delete.connect(_changed, dispatch_uid="django_llmcache.tags")
    m2m_changed.connect(_related, dispatch_uid="django_llmcache.tags")


def _changed(sender: type[models.Model], instance: models.Model, using: str, **_: Any) -> None:
    kinds = (sender, *sender._meta.get_parent_list())  # whose rows are changed as well
    heirs = set(_heirs(sender))  # which have these fields, and may have a row of this key
    tags: set[str] = set()
    if any(_is_watched(label_of(kind)) for kind in (*kinds, *heirs)):
        tags |= {tag_of(kind) for kind in (*kinds, *heirs)}
        tags |= {tag_of_object(kind, getattr(instance, kind._meta.pk.attname)) for kind in kinds}
        tags |= {tag_of_object(heir, instance.pk) for heir in heirs}
    for kind in kinds:
        tags |= _joined(instance, kind, using)
    if tags:
        _expire_after_commit(using, tags)


def _read_ends(sender: type[models.Model], instance: models.Model, **_: Any) -> None:
    """Read which objects one that is to be deleted joins, where it was fetched without: it is still there."""
    kinds = (sender, *sender._meta.get_parent_list())
    ends = {end.attname for kind in kinds for end in _watched_joins(kind)}
    if ends and (unread := ends & instance.get_deferred_fields()):
        with suppress(ObjectDoesNotExist):  # deleted by somebody else meanwhile
            instance.refresh_from_db(fields=list(unread))


def _heirs(kind: type[models.Model]) -> Iterator[type[models.Model]]:
    for heir in kind.__subclasses__():
        if not heir._meta.abstract:
            yield heir
        yield from _heirs(heir)


def _related(
    sender: type[models.Model],
    instance: models.Model,
    action: str,
    model: type[models.Model],
    pk_set: set[Any] | None,
    using: str,
    **_: Any,
) -> None:
    """Tell of both ends of a relation. What a ``clear`` takes away is not named, and there before it alone."""
    if not (_is_watched(label_of(instance)) or _is_watched(label_of(model))):
        return
    if action == "pre_clear":
        others = _related_to(instance, sender, model, using)
    elif action.startswith("post_"):
        others = _named(pk_set or (), sender, model, using)
    else:
        return
    others = {tag_of(model)} | {tag_of_object(model, pk) for pk in others}
    _expire_after_commit(using, {tag_of(instance), tag_of(type(instance)), *others})


def _related_to(instance: models.Model, through: type[models.Model], model: type[models.Model], using: str) -> set[Any]:
    """Return the primary keys of what a table of relations has for an object, whichever side of it the object is."""
    ends = _ends(through)
    found: set[Any] = set()
    for own in ends:
        for other in ends:
            if own is not other and isinstance(instance, own.related_model) and issubclass(model, other.related_model):
                mine = getattr(instance, own.target_field.attname)
                rows = through._base_manager.using(using).filter(**{own.attname: mine})
                found |= _named(set(rows.values_list(other.attname, flat=True)), through, model, using)
    return found


def _named(values: Collection[Any], through: type[models.Model], model: type[models.Model], using: str) -> set[Any]:
    """Return the primary keys of what a table of relations names, which it may do by another field (``to_field``)."""
    names = {end.target_field.name for end in _ends(through) if issubclass(model, end.related_model)}
    found = set() if names else set(values)
    for name in names:
        if model._meta.pk.name == name:
            found.update(values)
        elif values:
            named = model._base_manager.using(using).filter(**{f"{name}__in": values})
            found.update(named.values_list("pk", flat=True))
    return found


def _joined(row: models.Model, through: type[models.Model], using: str) -> set[str]:
    """Return the tags of both ends that an object joins, where its model is that of a relation (``through``)."""
    tags: set[str] = set()
    for end in _watched_joins(through):
        tags.add(tag_of(end.related_model))
        with suppress(ObjectDoesNotExist):  # deleted before this field of it was ever read
            named = {getattr(row, end.attname)} - {None}
            others = _named(named, through, end.related_model, using)
            tags |= {tag_of_object(end.related_model, pk) for pk in others}
    return tags


def _watched_joins(through: type[models.Model]) -> tuple[Any, ...]:
    """Return both fields by which a model's objects relate others, none where nobody watches those."""
    joins = _joins(through)
    return joins if any(_is_watched(label_of(end.related_model)) for end in joins) else ()


@cache
def _joins(through: type[models.Model]) -> tuple[Any, ...]:
    """Return the two fields by which a model's objects relate others many to many, none where they don't."""
    ends = _ends(through)
    names = {
        name
        for end in ends
        for field in end.related_model._meta.many_to_many
        if field.remote_field.through is through
        for name in (field.m2m_field_name(), field.m2m_reverse_field_name())
    }
    return tuple(end for end in ends if end.name in names)


def _ends(through: type[models.Model]) -> list[Any]:
    return [field for field in through._meta.fields if isinstance(field, models.ForeignKey)]


def _is_watched(label: str | None) -> bool:
    """Return whether a model's changes clear answers: those of ``TAG_MODELS``, all but a few where it is unset."""
    try:
        listed = conf.current().tag_models
    except ConfigurationError:
        return False  # every call of the cache tells of it
    if listed is None:
        return label is not None and label not in UNWATCHED
    return label in _concrete(listed)


@lru_cache(maxsize=8)
def _concrete(labels: frozenset[str]) -> frozenset[str]:
    """Return the labels that tags have, of the models that these name: of a proxy that of the model behind it."""
    found = set(labels)
    for label in labels:
        with suppress(LookupError):  # there is none: a check tells of it
            found.add(label_of(apps.get_model(label)) or label)
    return frozenset(found)


def _expire_after_commit(using: str, tags: Iterable[str]) -> None:
    """Clear what has one of the tags when the transaction is committed; what several changes concern in one go."""
    connection = connections[using]
    pending: _Pending = connection.__dict__.setdefault(_PENDING, _Pending())
    pending.add(tags)
    if _runs_first(pending.expire, connection):
        return
    try:
        transaction.on_commit(pending.expire, using=using, robust=True)
    except transaction.TransactionManagementError:  # managed by hand: nobody tells when it is committed
        pending.expire()
    else:
        _put_first(pending.expire, connection)


class _Pending:
    """The tags of what was changed in one connection's transaction."""

    def __init__(self) -> None:
        self._tags: set[str] = set()

    def add(self, tags: Iterable[str]) -> None:
        self._tags.update(tags)

    def expire(self) -> None:
        tags = frozenset(self._tags)
        self._tags.clear()
        if tags:
            _expire(tags)


def _runs_first(hook: Callable[[], None], connection: BaseDatabaseWrapper) -> bool:
    """Return whether a hook is the first to run already, and see to it that it does for this change as well.

    So there is one for all changes of a transaction. It goes with a savepoint that is rolled back where all of them do.
    """
    hooks = _hooks_of(connection)
    if not hooks or hooks[0][1] != hook:
        return False
    savepoints: set[Any] = hooks[0][0]
    savepoints.intersection_update(connection.savepoint_ids)
    return True


def _put_first(hook: Callable[[], None], connection: BaseDatabaseWrapper) -> None:
    """Let the hook that was registered last be the first to run, so that none of the project's keeps it from running.

    One that raises, as where a broker is down, ends them all, and the change is committed all the same. Django has no
    call for this. Which savepoints a hook belongs to is noted beside it, so that their order makes no difference there.
    """
    hooks = _hooks_of(connection)
    if hooks and hooks[-1][1] == hook:  # it has run where there is no transaction
        hooks.insert(0, hooks.pop())


def _hooks_of(connection: BaseDatabaseWrapper) -> list[Any]:
    """Return what Django does once the transaction is committed: the savepoints of each, and what to call.

    None in Django's ``TestCase``, which commits nothing, and knows the hooks that it captures by their place.
    """
    in_test_case = any(getattr(block, "_from_testcase", False) for block in getattr(connection, "atomic_blocks", ()))
    return [] if in_test_case else getattr(connection, "run_on_commit", [])


def _expire(tags: frozenset[str]) -> None:
    """Clear what has one of these tags; a failure is told, and never costs the change that was committed."""
    try:
        backend = backends.current()
        cleared = backend.expire(tags)
    except Exception as error:
        emit_failure(error, _expire, key=None, operation="clear")
        return
    if backend.in_process:
        from . import workers  # not with the signals: most tests of a project change nothing that is watched

        listed = _concrete(conf.current().tag_models or frozenset())
        for tag in tags:
            if tag in cleared or tag.partition(":")[0] in listed:
                workers.tell(Selector(tag=tag))
