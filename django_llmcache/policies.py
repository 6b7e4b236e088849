"""What one caller wants of the response cache, and how nested wishes combine."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from datetime import timedelta
from functools import wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Final, TypeVar

from .exceptions import ConfigurationError


class Unset(enum.Enum):
    """The type of ``UNSET``: a policy field that says nothing, which ``None`` would not."""

    UNSET = "UNSET"

    def __bool__(self) -> bool:
        """Count as false, like nothing said."""
        return False


UNSET: Final = Unset.UNSET
TTL = int | float | timedelta | None
"""Seconds or a ``timedelta``; ``None`` never expires; ``0`` is not stored."""

ADMITTABLE: Final = frozenset({"truncated", "refused", "empty"})
"""Reason codes that ``admit=`` may override; an error or a stateful answer is never stored."""


def seconds(ttl: TTL, *, source: str = "ttl") -> float | None:
    """Return a time to live in seconds, or ``None`` for one that never expires.

    Raises:
        ConfigurationError: negative, NaN, a bool or not a number; ``source`` names where it was set.
    """
    if ttl is None or (ttl.__class__ is int and ttl >= 0):  # type: ignore[operator]
        return ttl  # type: ignore[return-value]
    value: Any = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(
            f"{source} is {ttl!r}; give seconds (int or float), a timedelta, 0 (do not store) or None (for ever)."
        )
    if value < 0 or math.isnan(value):
        raise ConfigurationError(f"{source} is {ttl!r}; a time to live cannot be negative. 0 means: do not store.")
    return None if math.isinf(value) else value


class CachePolicy:
    """What one caller wants. Every field starts as ``UNSET``: nothing said, the next outer word holds.

    Args:
        cache: ``False``: neither read nor store; ``True``: cache, whatever ``CACHE_BY_DEFAULT`` says.
        ttl: seconds, ``timedelta``, ``0`` (do not store) or ``None`` (never expires).
        refresh: skip the read and store what comes.
        scope: whose answer this is (a text); in the key. ``None`` or ``"public"`` shares on purpose.
        tags: texts to clear by.
        sample: which of several answers to the same request; in the key.
        admit: reason codes to store all the same (``truncated``, ``refused``, ``empty``).
        max_age: only entries at most this many seconds old.
        store: ``False``: may read, does not store.
    """

    __slots__ = ("admit", "cache", "max_age", "refresh", "sample", "scope", "store", "tags", "ttl")

    def __init__(
        self,
        *,
        cache: bool | Unset | None = UNSET,
        ttl: TTL | Unset = UNSET,
        refresh: bool | Unset = UNSET,
        scope: str | Unset | None = UNSET,
        tags: Iterable[str] | Unset = UNSET,
        sample: int | Unset = UNSET,
        admit: Iterable[str] | Unset = UNSET,
        max_age: float | Unset = UNSET,
        store: bool | Unset = UNSET,
    ) -> None:
        put = object.__setattr__
        put(self, "cache", UNSET if cache is None else _flag("cache", cache))
        put(self, "ttl", ttl if ttl is UNSET else seconds(ttl))
        put(self, "refresh", _flag("refresh", refresh))
        put(self, "scope", scope if scope is UNSET else checked_scope(scope))
        put(self, "tags", tags if tags is UNSET else _texts("tags", tags))
        put(self, "sample", sample if sample is UNSET else _index(sample))
        put(self, "admit", admit if admit is UNSET else _reasons(admit))
        put(self, "max_age", max_age if max_age is UNSET else seconds(max_age, source="max_age"))
        put(self, "store", _flag("store", store))

    cache: bool | Unset
    ttl: float | Unset | None
    refresh: bool | Unset
    scope: str | Unset | None
    tags: frozenset[str] | Unset
    sample: int | Unset
    admit: frozenset[str] | Unset
    max_age: float | Unset | None
    store: bool | Unset

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: a policy is shared between calls, so it never changes."""
        raise AttributeError(f"CachePolicy is immutable; make a new one to change {name!r}.")

    def __delattr__(self, name: str) -> None:
        """Refuse, as ``__setattr__`` does."""
        raise AttributeError(f"CachePolicy is immutable; {name!r} cannot be deleted.")

    def over(self, base: CachePolicy | None) -> CachePolicy:
        """Return this policy with what it leaves unsaid taken from ``base``; tags of both are kept."""
        if base is None or base is NOTHING_SAID:
            return self
        if self is NOTHING_SAID:
            return base
        merged = object.__new__(CachePolicy)
        put = object.__setattr__
        for name in CachePolicy.__slots__:
            mine = getattr(self, name)
            put(merged, name, getattr(base, name) if mine is UNSET else mine)
        if self.tags is not UNSET and base.tags is not UNSET:
            put(merged, "tags", self.tags | base.tags)
        return merged

    def _said(self) -> dict[str, Any]:
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not UNSET}

    def __repr__(self) -> str:
        """Show what is said, and only that."""
        return f"CachePolicy({', '.join(f'{name}={value!r}' for name, value in self._said().items())})"

    def __eq__(self, other: object) -> bool:
        """Compare by what is said."""
        return self._said() == other._said() if isinstance(other, CachePolicy) else NotImplemented

    def __hash__(self) -> int:
        """Hash by what is said."""
        return hash(tuple(self._said().items()))


def _flag(name: str, value: Any) -> Any:
    if value is UNSET or isinstance(value, bool):
        return value
    raise ConfigurationError(f"{name} is {value!r}; give True or False.")


def checked_scope(scope: Any, *, source: str = "scope") -> str | None:
    """Return ``scope`` if it is a text or ``None``.

    Raises:
        ConfigurationError: another type, or an empty text, which would share by accident.
    """
    if scope is None or (isinstance(scope, str) and scope):
        return scope
    raise ConfigurationError(f"{source} is {scope!r}; give a non-empty text such as 'user:42', or None to share.")


def _texts(name: str, values: Any) -> frozenset[str]:
    if isinstance(values, str):
        raise ConfigurationError(f"{name} is the text {values!r}; give a list of texts: [{values!r}].")
    try:
        texts = frozenset(values)
    except TypeError:
        raise ConfigurationError(f"{name} is {values!r}; give a list of texts.") from None
    if not all(isinstance(text, str) and text for text in texts):
        raise ConfigurationError(f"{name} is {values!r}; each must be a non-empty text.")
    return texts


def _index(sample: Any) -> int:
    if isinstance(sample, bool) or not isinstance(sample, int) or sample < 0:
        raise ConfigurationError(f"sample is {sample!r}; give a whole number from 0.")
    return sample


def _reasons(admit: Any) -> frozenset[str]:
    reasons = _texts("admit", admit)
    if wrong := sorted(reasons - ADMITTABLE):
        raise ConfigurationError(f"admit has {wrong}; only {sorted(ADMITTABLE)} can be admitted.")
    return reasons


NOTHING_SAID: Final = CachePolicy()
_ambient: ContextVar[CachePolicy | None] = ContextVar("llmcache_policy", default=None)
ambient = _ambient.get
"""Return the innermost ``policy()`` in force here, outer ones merged in, or ``None``."""

Function = TypeVar("Function", bound=Callable[..., Any])


class policy:  # noqa: N801 - reads as a statement: `with policy(ttl=60):`
    """Set a ``CachePolicy`` for every LLM call in a block or a decorated function, SDK calls included.

    Works as ``with``, ``async with`` and as a decorator of plain and async functions. Takes the arguments of
    ``CachePolicy``; what the inner block leaves unsaid is taken from the outer one.
    """

    def __init__(self, **wishes: Any) -> None:
        self._policy = CachePolicy(**wishes)
        self._tokens: list[Token[CachePolicy | None]] = []

    def __enter__(self) -> CachePolicy:
        merged = self._policy.over(_ambient.get())
        self._tokens.append(_ambient.set(merged))
        return merged

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ambient.reset(self._tokens.pop())

    async def __aenter__(self) -> CachePolicy:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Function) -> Function:
        """Return ``function`` with this policy around each call, safe for concurrent calls."""
        wishes = dict(self._policy._said().items())
        if iscoroutinefunction(function):

            @wraps(function)
            async def with_policy_async(*args: Any, **kwargs: Any) -> Any:
                with policy(**wishes):
                    return await function(*args, **kwargs)

            return with_policy_async  # type: ignore[return-value]

        @wraps(function)
        def with_policy(*args: Any, **kwargs: Any) -> Any:
            with policy(**wishes):
                return function(*args, **kwargs)

        return with_policy  # type: ignore[return-value]
