"""``live_api``: tests that ask providers for real once, and replay the answers ever after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from inspect import isasyncgenfunction, isclass, iscoroutine, iscoroutinefunction, isgeneratorfunction, unwrap
from sys import modules
from types import TracebackType
from typing import Any, TypeVar, cast, overload

from django.test import tag

from django_llmcache.apps import hook_unittest
from django_llmcache.exceptions import ConfigurationError
from django_llmcache.recorder.in_force import current, is_own
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Options

from . import blocks
from .options import NAME, WORDS, options_from
from .sessions import recorded

__unittest = True  # so that a traceback of unittest's goes on to the test's own line

Target = TypeVar("Target", bound=Callable[..., Any])


@overload
def live_api(target: Target, /) -> Target: ...
@overload
def live_api(**words: Any) -> LiveAPI: ...
def live_api(target: Any = None, /, **words: Any) -> Any:
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
            * ``pace``: times the recorded pauses of streams, ``2`` for half the pace; ``0`` (the default) for none.

    Raises:
        ConfigurationError: a word that cannot work, or no test, where the test is defined.
    """
    if target is not None and not (callable(target) or isinstance(target, classmethod)):
        raise ConfigurationError(
            f"live_api takes its words by name, and got {target!r}: write live_api(mode='replay')."
        )
    made = LiveAPI(words)
    return made if target is None else made(target)


class LiveAPI:
    """What ``live_api`` with options returns: a decorator, and a context manager."""

    def __init__(self, words: dict[str, Any]) -> None:
        self.words = words
        self.options = options_from(**words)
        self._entered: list[tuple[Session, AbstractContextManager[Session]]] = []

    def __call__(self, target: Target) -> Target:
        """Return the test, marked, and recorded where no test runner sees to it."""
        if isclass(target):
            hook_unittest()  # as the app does, which may not be installed, or not be ready where a worker is spawned
            setattr(target, WORDS, {**(vars(target).get(WORDS) or {}), **self.words})
            return cast("Target", _marked(tag(NAME)(target), self.words))
        if isinstance(target, staticmethod):  # a test of a class would be given its instance
            return cast("Target", staticmethod(self(target.__func__)))
        if isinstance(target, classmethod):
            raise ConfigurationError(
                f"live_api stands on {target.__qualname__}, which is a classmethod: put it on the class, where it "
                "covers what its tests share as well."
            )
        if isgeneratorfunction(target) or isasyncgenfunction(target):
            raise ConfigurationError(
                f"live_api stands on {target.__qualname__}, which is a generator and would run after it has ended: "
                "put it on the test, or `with live_api():` inside."
            )
        words = {**(getattr(target, WORDS, None) or {}), **self.words}
        decorated = _asynchronous(target, words) if iscoroutinefunction(target) else _plain(target, words)
        setattr(decorated, WORDS, words)
        # A tag on a plain function of pytest's is more than pytest-django can take.
        return cast("Target", _marked(tag(NAME)(decorated) if _is_method(target) else decorated, self.words))

    def __enter__(self) -> Session:
        if self.options.samples > 1:
            raise ConfigurationError(
                f"samples={self.options.samples} needs the whole test, and a block runs once: decorate the test."
            )
        block = blocks.next_block() or "a `with live_api()` block"
        manager = recorded(block, self.options, label=blocks.running_test() or "")
        session = manager.__enter__()
        self._entered.append((session, manager))
        return session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        newest_first = self._entered[::-1]
        # Others may be in it at once. A fixture may end in another context than it began in, where none is its own.
        entered = next((one for one in newest_first if is_own(one[0])), newest_first[0])
        self._entered.remove(entered)
        return entered[1].__exit__(kind, error, trace)

    async def __aenter__(self) -> Session:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.__exit__(kind, error, trace)


def _is_method(function: Callable[..., Any]) -> bool:
    """Return whether a function is of a class: defined in one, or made to become a method of one."""
    code = getattr(unwrap(function), "__code__", None)
    return "." in function.__qualname__.rpartition("<locals>.")[2] or (
        code is not None and code.co_varnames[: code.co_argcount][:1] == ("self",)
    )


def _plain(function: Callable[..., Any], words: dict[str, Any]) -> Callable[..., Any]:
    @wraps(function)
    def test(*args: Any, **kwargs: Any) -> Any:
        result = None
        for session in _sessions(function, words):
            with session:
                result = function(*args, **kwargs)
                if iscoroutine(result):
                    result.close()
                    raise ConfigurationError(
                        f"live_api stands on {function.__qualname__}, which returned a coroutine that would run after "
                        "it has ended: make it `async def`, or put live_api on what awaits it."
                    )
        return result

    return test


def _asynchronous(function: Callable[..., Any], words: dict[str, Any]) -> Callable[..., Any]:
    @wraps(function)
    async def test(*args: Any, **kwargs: Any) -> Any:
        result = None
        for session in _sessions(function, words):
            with session:
                result = await function(*args, **kwargs)
        return result

    return test


def _sessions(function: Callable[..., Any], words: dict[str, Any]) -> Iterator[AbstractContextManager[Any]]:
    """Yield what is held around each run of a function: nothing where a runner sees to this very test."""
    options, session = options_from(**words), current()
    if session is not None and _is_shared(session, function, options):
        yield nullcontext()
        return
    name = blocks.next_block() or f"{function.__module__}.{function.__qualname__}"
    for sample in range(options.samples):
        yield recorded(name, options, sample=sample, label=blocks.running_test() or "")


def _is_shared(session: Session, function: Callable[..., Any], options: Options) -> bool:
    """Return whether a session answers for a function until it ends.

    That of another call, which is only the newest here, may end first: then nobody would answer, nor guard a replay.
    """
    if function.__name__ in session.functions:
        return True
    of_a_runner = bool(session.functions) or not session.is_test
    return session.options == options and (of_a_runner or is_own(session))


def _marked(target: Any, words: dict[str, Any]) -> Any:
    """Put pytest's marker on where pytest is at work."""
    pytest = modules.get("pytest")
    return target if pytest is None else getattr(pytest.mark, NAME)(**words)(target)
