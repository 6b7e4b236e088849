"""What one caller wants of the response cache, and how nested wishes combine."""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextvars import ContextVar
from datetime import timedelta
from functools import partial, wraps
from inspect import isasyncgenfunction, isclass, iscoroutine, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Never, Self, TypedDict, TypeVar, Unpack

from .canonical import LARGEST_INTEGER
from .durations import TTL, duration, lasting, seconds
from .exceptions import ConfigurationError
from .spelling import did_you_mean
from .tags import tags_of


class Unset(enum.Enum):
    """The type of ``UNSET``: a policy field that says nothing, which ``None`` would not."""

    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        """Count as false, like nothing said."""
        return False


UNSET: Final = Unset.UNSET
ADMITTABLE: Final = frozenset({"truncated", "refused", "empty"})
"""Reason codes that ``admit=`` may override; an error or a stateful answer is never stored."""


class _Fields(NamedTuple):
    cache: bool | Unset
    ttl: float | Unset | None
    refresh: bool | Unset
    scope: str | Unset | None
    tags: frozenset[str] | Unset
    sample: int | Unset
    admit: frozenset[str] | Unset
    max_age: float | Unset | None
    store: bool | Unset
    stale_for: float | Unset


class Wishes(TypedDict, total=False):
    """The arguments of ``CachePolicy`` and of ``policy()``, all by keyword."""

    cache: bool | Unset | None
    ttl: TTL | Unset
    refresh: bool | Unset
    scope: str | Unset | None
    tags: Iterable[Any] | Unset
    sample: int | Unset
    admit: Iterable[str] | Unset
    max_age: TTL | Unset
    store: bool | Unset
    stale_for: int | float | timedelta | Unset


class CachePolicy(_Fields):
    """What one caller wants. Every field starts as ``UNSET``: nothing said, the next outer word holds. Immutable.

    Args:
        cache: ``False``: neither read nor store; ``True``: cache, whatever ``CACHE_BY_DEFAULT`` says; ``None``:
            nothing said.
        ttl: seconds, ``timedelta``, ``0`` (do not store) or ``None`` (never expires).
        refresh: skip the read and store what comes.
        scope: whose answer this is (a text); in the key. ``None`` or ``"public"`` shares on purpose.
        tags: what to clear by: texts, models and their objects. A change of an object clears the answers that have it
            or its model for a tag.
        sample: which of several answers to the same request; in the key.
        admit: reason codes to store all the same (``truncated``, ``refused``, ``empty``).
        max_age: only entries at most this many seconds (or this ``timedelta``) old; ``None``: of any age.
        store: ``False``: may read, does not store.
        stale_for: seconds (or a ``timedelta``) for which an expired answer may still be served: at once, while one
            caller asks anew, and where the provider fails. ``0``: not at all.

    ``chat`` and its like take them as keywords, but ``max_age``, ``store`` and ``stale_for``: ``policy()`` says those.

    Raises:
        ConfigurationError: a value that cannot work; the message names the field.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        cache: bool | Unset | None = UNSET,
        ttl: TTL | Unset = UNSET,
        refresh: bool | Unset = UNSET,
        scope: str | Unset | None = UNSET,
        tags: Iterable[Any] | Unset = UNSET,
        sample: int | Unset = UNSET,
        admit: Iterable[str] | Unset = UNSET,
        max_age: TTL | Unset = UNSET,
        store: bool | Unset = UNSET,
        stale_for: float | timedelta | Unset = UNSET,
    ) -> Self:
        """Check what is said. A tuple underneath: made on every call, where a frozen class costs four times as much."""
        return tuple.__new__(cls, (
            UNSET if cache is UNSET or cache is None else _flag("cache", cache),
            ttl if ttl is UNSET else seconds(ttl),
            refresh if refresh is UNSET else _flag("refresh", refresh),
            scope if scope is UNSET else checked_scope(scope),
            tags if tags is UNSET else tags_of(tags),
            sample if sample is UNSET else _index(sample),
            admit if admit is UNSET else _reasons(admit),
            max_age if max_age is UNSET else duration(max_age, "max_age", "or None (of any age)"),
            store if store is UNSET else _flag("store", store),
            stale_for if stale_for is UNSET else lasting(stale_for),
        ))  # fmt: skip

    def over(self, base: CachePolicy | None) -> CachePolicy:
        """Return this policy with what it leaves unsaid taken from ``base``; tags of both are kept."""
        if base is None or base is NOTHING_SAID:
            return self
        if self is NOTHING_SAID:
            return base
        fields = [theirs if mine is UNSET else mine for mine, theirs in zip(self, base, strict=True)]
        if self.tags is not UNSET and base.tags is not UNSET:
            fields[_TAGS] = self.tags | base.tags
        return tuple.__new__(CachePolicy, fields)

    def __repr__(self) -> str:
        """Show what is said, and only that."""
        said = (f"{name}={value!r}" for name, value in self._asdict().items() if value is not UNSET)
        return f"CachePolicy({', '.join(said)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(CachePolicy, **self._asdict()), ()


_TAGS: Final = CachePolicy._fields.index("tags")


def checked_policy(name: str, wishes: Mapping[str, Any]) -> CachePolicy:
    """Return the policy that the words of ``policy()`` or ``cached()`` say.

    Raises:
        ConfigurationError: a value that cannot work; the message names the field.
        TypeError: a word that there is not; the message names the one that was meant.
    """
    for word in wishes:
        if word not in CachePolicy._fields:
            hint = did_you_mean(
                _ELSEWHERE.get(word, word), CachePolicy._fields, otherwise=f"it has {', '.join(CachePolicy._fields)}."
            )
            raise TypeError(f"{name}() has no argument {word!r}; {hint}")
    return CachePolicy(**wishes)


_ELSEWHERE: Final = {"timeout": "ttl"}
"""What Django's own cache calls it."""


def _flag(name: str, value: Any) -> bool:
    if value is True or value is False:
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
    if isinstance(sample, bool) or not isinstance(sample, int) or not 0 <= sample < LARGEST_INTEGER:
        raise ConfigurationError(f"sample is {sample!r:.80}; give a whole number from 0, below 2**63.")
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

asker: Final[ContextVar[Callable[[], str | None] | None]] = ContextVar("llmcache_asker", default=None)
"""Set while a web request is served: returns the scope of whoever it is from, ``None`` for nobody in particular."""
whose: Final = asker.get

_entered: ContextVar[tuple[tuple[policy, CachePolicy | None], ...]] = ContextVar("llmcache_policies", default=())
"""Each ``policy()`` in force here with what held outside it: kept in the context, where no other task can reach."""

Function = TypeVar("Function", bound=Callable[..., Any])


class policy:  # noqa: N801 - reads as a statement: `with policy(ttl=60):`
    """Set a ``CachePolicy`` for every LLM call in a block or a decorated function, SDK calls included.

    Works as ``with``, ``async with`` and as a decorator of plain and async functions. Takes the arguments of
    ``CachePolicy``; what the inner block leaves unsaid is taken from the outer one. It holds in the thread and the
    asyncio task that entered it and in tasks that these start inside; one object may be in force in many at once.

    Raises:
        ConfigurationError: a value that cannot work; the message names the field.
        TypeError: a word that there is not; or it decorates a class or a generator, whose body would run outside the
            policy.
    """

    __slots__ = ("_policy",)

    def __init__(self, *bare: Never, **wishes: Unpack[Wishes]) -> None:
        if bare:
            raise TypeError(f"policy() takes its words by name, and got {bare[0]!r}: write policy(ttl=60).")
        self._policy = checked_policy("policy", wishes)

    def __enter__(self) -> CachePolicy:
        outer = _ambient.get()
        merged = self._policy.over(outer)
        _entered.set((*_entered.get(), (self, outer)))
        _ambient.set(merged)
        return merged

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the policy back in the context that entered it, last in first out or not; elsewhere it never held."""
        blocks = list(_entered.get())
        mine = [index for index, (owner, _) in enumerate(blocks) if owner is self]
        if not mine:
            return
        _, outer = blocks.pop(mine[-1])
        if mine[-1] == len(blocks):
            _ambient.set(outer)
        else:
            blocks[mine[-1]] = (blocks[mine[-1]][0], outer)
        _entered.set(tuple(blocks))

    async def __aenter__(self) -> CachePolicy:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Function) -> Function:
        """Return ``function`` with this policy around each call."""
        if isclass(function) or isgeneratorfunction(function) or isasyncgenfunction(function):
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(f"policy() cannot decorate {name}, whose body runs later: put `with policy(...):` inside.")
        if iscoroutinefunction(function):

            @wraps(function)
            async def with_policy_async(*args: Any, **kwargs: Any) -> Any:
                return await self._around(function(*args, **kwargs))

            return with_policy_async  # type: ignore[return-value]

        @wraps(function)
        def with_policy(*args: Any, **kwargs: Any) -> Any:
            with self:
                result = function(*args, **kwargs)
            # A plain function may hand out a coroutine, as the dispatch() of an async View does.
            return self._around(result) if iscoroutine(result) else result

        return with_policy  # type: ignore[return-value]

    async def _around(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        with self:
            return await coroutine
