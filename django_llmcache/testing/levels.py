"""What classes and modules of live_api tests set up and tear down: a session of its own, or nobody may be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, Final, NamedTuple
from unittest import SkipTest

from django_llmcache.recorder import in_force
from django_llmcache.recorder.exchange import Outgoing
from django_llmcache.recorder.misses import FixtureMiss
from django_llmcache.recorder.replay import Replay
from django_llmcache.recorder.session import Session
from django_llmcache.recorder.setup import Mode, Options
from django_llmcache.recorder.taping import Taping
from django_llmcache.recorder.telemetry import is_telemetry

from . import interceptors, summary, turns
from .changes import of_class
from .modes import Decision, decide
from .options import of_a_level
from .placeholders import standing_in
from .sessions import recorded
from .setups import setup_for

SAFEST: Final = tuple(Mode)
"""The modes, the one first that asks nobody: where all tests of a class name one, it holds for their set-up."""


class SetUpMissError(AssertionError):
    """A provider was asked for what is not recorded, while something was set up or torn down that tests share."""


class Level(NamedTuple):
    """A class or a module that has live_api tests, or what some of all tests share.

    Attributes:
        label: what the test runner runs it by.
        tests: the options of its live_api tests.
        own: what it says itself, ``None`` where only its tests are live_api.
        name: what its recordings are filed under, ``""`` where that is the label.
        kind: the class, where it is one.
    """

    label: str
    tests: Sequence[Options]
    own: Options | None = None
    name: str = ""
    kind: type | None = None

    @property
    def off(self) -> str | None:
        """Return why all of its live_api tests are skipped, ``None`` where one runs."""
        why = [decision.skip for decision in self._decisions().values()]
        return None if None in why else why[0]

    @property
    def options(self) -> Options:
        """Return what holds for what its tests share."""
        running = {said for said, decision in self._decisions().items() if decision.skip is None}
        named = {said for said in running if said is not None}
        mode = min(named, key=SAFEST.index) if named == running else None  # where one names none, as the run says
        return of_a_level(self.own, self.tests)._replace(mode=mode)

    @contextmanager
    def _in_turn(self, name: str) -> Iterator[Options]:
        """Give the options for what one worker may record for all; what another has refreshed in this run is kept."""
        options = self.options
        mode = decide(options.mode).mode
        if mode not in (Mode.ONCE, Mode.REFRESH) or not turns.is_worker():
            yield options
            return
        with turns.turn(name):
            again = mode is Mode.REFRESH and any(test.id == name and test.passed for test in summary.tests())
            yield options._replace(mode=Mode.ONCE) if again else options

    def _decisions(self) -> dict[Mode | None, Decision]:
        """Return how its tests run, by the mode that they say."""
        with of_class(self.kind):
            return {said: decide(said) for said in {test.mode: None for test in self.tests}}

    @contextmanager
    def held(self, what: str, of: str = "") -> Iterator[Hold]:
        """Answer for the providers while it is set up or torn down; where its tests are off, let none be asked.

        A miss leaves as an ordinary error: Django and unittest clean up after those alone.

        Args:
            what: ``set-up`` or ``tear-down``.
            of: which of several that the level has.

        Raises:
            SkipTest: its tests are off, and a provider was asked.
            SetUpMissError: a provider was asked for what is not recorded.
        """
        name, why = f"{self.name or self.label} ({what}{of and ' of '}{of})", self.off
        with ExitStack() as stack:
            if why:
                answering = stack.enter_context(_refusing(name))
            else:
                with of_class(self.kind):
                    options = stack.enter_context(self._in_turn(name))
                    answering = stack.enter_context(recorded(name, options, label=self.label))
            answering.is_test = False
            hold = Hold(answering, why)
            with hold.told():
                yield hold


def missing_as_error(act: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that raises an ordinary error in place of a miss."""

    @wraps(act)
    def acting(*args: Any, **kwargs: Any) -> Any:
        try:
            return act(*args, **kwargs)
        except FixtureMiss as miss:
            raise SetUpMissError(str(miss)).with_traceback(miss.__traceback__) from None

    return acting


class Hold:
    """The session of one set-up or tear-down.

    Attributes:
        session: what answers for the providers.
    """

    def __init__(self, session: Session, skip: str | None) -> None:
        self.session = session
        self._skip = skip

    @contextmanager
    def told(self) -> Iterator[None]:
        """Let a miss inside, also one that somebody caught, leave as an ordinary error; and know of any error."""
        try:
            yield
        except FixtureMiss as miss:
            raise self._error(miss) from None
        except BaseException:
            self.session.failed = True
            raise
        if self.session.misses:
            raise self._error(self.session.misses[0])

    def telling(self, act: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, told of."""

        @wraps(act)
        def acting(*args: Any, **kwargs: Any) -> Any:
            with self.told():
                return act(*args, **kwargs)

        return acting

    def tell_clean_ups(self, kind: Any) -> None:
        """Let a miss in a clean-up of a class be that clean-up's error, so that unittest goes on to the next."""
        kind._class_cleanups[:] = [(self.telling(act), args, words) for act, args, words in kind._class_cleanups]

    def _error(self, miss: FixtureMiss) -> Exception:
        self.session.failed = True
        self.session.misses.clear()  # told by this
        error: Exception = SetUpMissError(str(miss))
        if self._skip:
            summary.add_skipped(self.session.test, self._skip)
            error = SkipTest(self._skip)
        return error.with_traceback(miss.__traceback__)


class _Refusing(Session):
    """Lets no provider be asked: the tests are off, and nobody is billed for what they would need."""

    def begin(self, outgoing: Outgoing, *, timeout: float | None = None) -> Replay | Taping | None:
        providers = self.setup.providers_of(outgoing)
        if providers and not is_telemetry(outgoing):
            raise self.miss(outgoing, providers[0], "none")
        return super().begin(outgoing, timeout=timeout)

    def miss(self, asked: Outgoing, provider: str, why: str, *, key: str | None = None) -> FixtureMiss:
        error = FixtureMiss("The test cache is off.")
        self.misses.append(error)
        return error


@contextmanager
def _refusing(name: str) -> Iterator[Session]:
    session = _Refusing(name, setup_for(Mode.REPLAY))
    with standing_in(session), interceptors.armed(), in_force.holding(session):
        yield session
