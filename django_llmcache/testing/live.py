"""``live_api``: tests that ask providers for real once, and replay the answers ever after."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import wraps
from inspect import isclass, iscoroutinefunction
from sys import modules
from types import TracebackType
from typing import Any, Final, TypeVar, cast, overload

from django.test import tag

from django_llmcache.exceptions import ConfigurationError
from django_llmcache.policies import TTL, UNSET, Unset, seconds
from django_llmcache.recorder.faults import Fault
from django_llmcache.recorder.session import Session, current
from django_llmcache.recorder.setup import NO_OPTIONS, Options

from .modes import parsed
from .sessions import recorded

NAME: Final = "live_api"
"""The tag of Django and the marker of pytest."""

OPTIONS: Final = "__llmcache_options__"
"""The attribute of a decorated function or class that has its options."""

FALLBACKS: Final = ("latest_success", "latest_any", "error")
EXPIRED: Final = ("warn", "error")
REPEATS: Final = ("last", "fail")

Target = TypeVar("Target", bound=Callable[..., Any])


def options_from(
    *,
    mode: str | None = None,
    ttl: TTL | Unset = UNSET,
    fallback: str | None = None,
    expired: str | None = None,
    ignore: Iterable[str] = (),
    record_errors: bool = False,
    repeat: str = "last",
    samples: int = 1,
    fault: str | None = None,
    pace: float = 0.0,
) -> Options:
    """Return the options that the words of ``live_api`` say.

    Raises:
        ConfigurationError: a value that cannot work; the message names it.
    """
    if isinstance(ignore, str):
        raise ConfigurationError(f"ignore is the text {ignore!r}; give a list of dotted paths: [{ignore!r}].")
    if samples.__class__ is not int or samples < 1:
        raise ConfigurationError(f"samples is {samples!r}; give a whole number from 1.")
    return Options(
        mode=None if mode is None else parsed(mode, source="mode"),
        ttl=ttl if isinstance(ttl, Unset) else seconds(ttl),
        fallback=_one_of("fallback", fallback, FALLBACKS),
        expired=_one_of("expired", expired, EXPIRED),
        ignore=tuple(ignore),
        record_errors=record_errors,
        repeat=_one_of("repeat", repeat, REPEATS) or "last",
        samples=samples,
        fault=None if fault is None else Fault.parse(fault),
        pace=pace,
    )


def _one_of(name: str, value: str | None, known: tuple[str, ...]) -> str | None:
    if value is None or value in known:
        return value
    raise ConfigurationError(f"{name} is {value!r}; give one of {', '.join(known)}.")


@overload
def live_api(target: Target, /) -> Target: ...
@overload
def live_api(**words: Any) -> LiveAPI: ...
def live_api(target: Callable[..., Any] | None = None, /, **words: Any) -> Any:
    """Record what providers answer inside a test, and replay it in later runs.

    Works on a function, an async function, a method and a class, bare or with options, and in a ``with`` block. It
    is also the tag ``live_api`` of Django's test runner and the marker of that name for pytest.

    Args:
        target: what is decorated, where it stands bare.
        words: all optional.

            * ``mode``: ``replay``, ``once``, ``refresh`` or ``live``, over whatever the run says;
            * ``ttl``: seconds or a ``timedelta`` for which a recording is fresh; ``None`` for ever;
            * ``fallback``: ``latest_success``, ``latest_any`` or ``error``;
            * ``expired``: ``warn`` or ``error``, where an expired recording can't be recorded anew;
            * ``ignore``: dotted paths in a request's body that may differ from the recorded one;
            * ``record_errors``: keep answers that are errors as well;
            * ``repeat``: what a request gets that is made more often than it was recorded: the ``last`` answer, or
              ``fail``;
            * ``samples``: how many answers to record; the test runs once on each;
            * ``fault``: what goes wrong: ``"429x2"``, ``"500"``, ``"timeout"``, ``"cut@3"``, ``"garble@2"``,
              ``"slow(ttft=2)"``;
            * ``pace``: times the recorded pace of streams; ``0`` (the default) waits for nothing.

    Raises:
        ConfigurationError: a word that cannot work, where the test is defined.
    """
    made = LiveAPI(options_from(**words) if words else NO_OPTIONS)
    return made if target is None else made(target)


class LiveAPI:
    """What ``live_api`` with options returns: a decorator, and a context manager."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._entered: list[AbstractContextManager[Session]] = []

    def __call__(self, target: Target) -> Target:
        """Return the test, marked, and recorded where no test runner sees to it."""
        if isclass(target):
            setattr(target, OPTIONS, self.options)
            for name, function in list(vars(target).items()) if self.options.samples > 1 else ():
                if name.startswith("test") and callable(function) and not hasattr(function, OPTIONS):
                    setattr(target, name, self(function))
            return cast("Target", _marked(tag(NAME)(target)))
        decorated = _asynchronous(target, self.options) if iscoroutinefunction(target) else _plain(target, self.options)
        setattr(decorated, OPTIONS, self.options)
        # A tag on a plain function of pytest's is more than pytest-django can take.
        of_a_class = "." in target.__qualname__.rpartition("<locals>.")[2]
        return cast("Target", _marked(tag(NAME)(decorated) if of_a_class else decorated))

    def __enter__(self) -> Session:
        manager = recorded("a `with live_api()` block", self.options)
        session = manager.__enter__()
        self._entered.append(manager)
        return session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._entered.pop().__exit__(kind, error, trace)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.__exit__(kind, error, trace)


def options_of(*targets: Any) -> Options | None:
    """Return the options of the first of these that is decorated, ``None`` when none is."""
    return next((found for target in targets if (found := getattr(target, OPTIONS, None)) is not None), None)


def _plain(function: Callable[..., Any], options: Options) -> Callable[..., Any]:
    @wraps(function)
    def test(*args: Any, **kwargs: Any) -> Any:
        result = None
        for sample in range(options.samples):
            with _session(function, options, sample):
                result = function(*args, **kwargs)
        return result

    return test


def _asynchronous(function: Callable[..., Any], options: Options) -> Callable[..., Any]:
    @wraps(function)
    async def test(*args: Any, **kwargs: Any) -> Any:
        result = None
        for sample in range(options.samples):
            with _session(function, options, sample):
                result = await function(*args, **kwargs)
        return result

    return test


def _session(function: Callable[..., Any], options: Options, sample: int) -> AbstractContextManager[Any]:
    """Return what is held around one run: the runner's own session where it has one for this very test."""
    session = current()
    if session is not None and session.options._replace(mode=options.mode) == options:
        return session.run(sample)
    return recorded(f"{function.__module__}.{function.__qualname__}", options, sample=sample)


def _marked(target: Any) -> Any:
    """Put pytest's marker on where pytest is at work."""
    pytest = modules.get("pytest")
    return target if pytest is None else getattr(pytest.mark, NAME)(target)
