"""A call of a ``@cached`` function as a request, whose body is the arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from operator import is_
from typing import Any, Final
from zoneinfo import ZoneInfo

from . import conf
from .canonical import canonical_body
from .exceptions import UncacheableRequest
from .messages import LLMRequest
from .policies import CachePolicy

PROVIDER: Final = "function"
"""What an entry of ``@cached`` says of its provider, for ``clear(provider="function")``."""

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_SHOWN: Final = frozenset({date, datetime, time, timedelta, Decimal})
"""Types whose ``repr`` says all that there is to a value: that of a subclass may leave something out."""


class CachedFunction:
    """One function under ``@cached``: makes the request of each call.

    Args:
        function: as it was decorated.
        path: what tells it from others.
        policy: what its calls want of the cache.
    """

    def __init__(self, function: Callable[..., Any], path: str, policy: CachePolicy) -> None:
        self.path = path
        self.policy = policy
        self.told: set[str] = set()
        """Arguments of which has been told that they keep the function from being cached."""
        self._signature = inspect.signature(function)

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> FunctionRequest:
        """Return the request of a call.

        Raises:
            TypeError: the function takes no such arguments.
        """
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return FunctionRequest(self, dict(bound.arguments))


class FunctionRequest(LLMRequest):
    """One call of a function, with its arguments by name."""

    __slots__ = ("_arguments", "_function")

    def __init__(self, function: CachedFunction, arguments: dict[str, Any]) -> None:
        self._function = function
        self._arguments = arguments
        body = _body(arguments)
        super().__init__(PROVIDER, operation=PROVIDER, path=function.path, payload=body, policy=function.policy)

    @property
    def has_changed(self) -> bool:
        """Return whether the arguments are no more what they were, where that does not show in the body."""
        before, now, ignore = self._payload, _body(self._arguments), conf.current().ignore_fields
        try:  # as bytes: to `==` a 1 is a True, and an argument's own may say anything
            return canonical_body(before, frozenset(), ignore) != canonical_body(now, frozenset(), ignore)
        except UncacheableRequest:
            return True

    def _told_of(self, error: UncacheableRequest) -> str | None:
        """Return which argument keeps the function from being cached and what to do; ``None`` from the second time."""
        if error.reason != "unencodable":  # SCOPE or CACHEABLE failed
            return str(error)
        ignore = conf.current().ignore_fields
        for name, value in self._payload["arguments"].items():
            try:
                canonical_body({"arguments": {name: value}}, frozenset(), ignore)
            except UncacheableRequest as problem:
                if name in self._function.told:
                    return None
                self._function.told.add(name)
                why = f"its argument {name!r} is not what JSON can say ({problem.__cause__ or problem})"
                return f"{self.path}() is not cached: {why}. {_cure(name, value)}"
        return str(error)


def _cure(name: str, value: Any) -> str:
    if name == "self":
        return "Decorate a static method or a plain function, and pass what the answer depends on."
    from django.db.models import Model

    with suppress(Exception):  # a lazy object asks a database what it is, which may fail
        if isinstance(value, Model):
            return f"Pass {name}.pk and the text that is asked about."
    if type(value) in _SHOWN:
        return "Give it a time zone of datetime's or zoneinfo's own."
    return "Pass texts, numbers, dates, lists and dicts."


def _body(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a call, which has the arguments themselves where JSON says all that there is to them."""
    try:
        kinds = _kinds(arguments)
        return {"arguments": arguments} if kinds is None else {"arguments": _written(arguments), "kinds": kinds}
    except RecursionError:  # deeper than JSON goes, or a circle: the request gets no key
        return {"arguments": arguments}


def _kinds(value: Any) -> Any:
    """Return, in its own shape, where a value has what JSON takes for something else; ``None`` where it has nothing.

    To a provider a tuple is a list, an enum its value, a UUID its text and a text that a template gave any other. To a
    function they need not be.
    """
    kind = type(value)  # a lazy object or a mock has another for its __class__, and may ask a database for it
    if kind in _PLAIN:
        return None
    if kind is dict:
        items: Iterable[tuple[Any, Any]] = value.items()
    elif kind is list or kind is tuple:
        items = enumerate(value)
    else:
        items = [("value", value.value)] if issubclass(kind, Enum) else ()
    found = {str(step): kinds for step, inner in items if (kinds := _kinds(inner)) is not None}
    if kind is not dict and kind is not list:
        return {"is": f"{kind.__module__}.{kind.__qualname__}", "in": found}
    return found or None


def _written(value: Any) -> Any:
    """Return a value with texts in place of dates and the like: itself where it has none.

    Then it stays as it is in the request, so that one that changes under way is seen to.
    """
    if type(value) in _SHOWN:
        return repr(value) if _is_shown_whole(value) else value
    if type(value) is dict:
        fields = {name: _written(inner) for name, inner in value.items()}
        return value if all(map(is_, fields.values(), value.values())) else fields
    if type(value) is list or type(value) is tuple:
        items = [_written(inner) for inner in value]
        return value if all(map(is_, items, value)) else items
    return value


def _is_shown_whole(value: Any) -> bool:
    """Return whether its ``repr`` tells its time zone: that of another class may be an address, which the next gets."""
    zone = getattr(value, "tzinfo", None)
    return zone is None or zone.__class__ is timezone or (zone.__class__ is ZoneInfo and zone.key is not None)
