"""The recordings that one test's requests get, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from django_llmcache.exceptions import LLMCacheError
from django_llmcache.policies import Unset

from .exchange import Outgoing
from .fixture import Fixture
from .setup import Mode, Options, Setup
from .takes import Choice, choose


class Asked(NamedTuple):
    """A request, redacted, with what it is filed under.

    Attributes:
        others: who shares the provider's host, under whose name it may have been filed before that was told.
    """

    provider: str
    endpoint: str
    key: str
    request: Outgoing
    others: tuple[str, ...] = ()


class RefusedError(LLMCacheError):
    """There is a recording, and it may not be used."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Queues:
    """The recordings of each request in their order, and how many of them were replayed.

    Args:
        test: gives the id of the test that asks.
        setup: what holds for the run.
        options: what the test asks for.

    Attributes:
        expired: the fixtures that are replayed though they have expired.
    """

    def __init__(self, test: Callable[[], str], setup: Setup, options: Options) -> None:
        self.expired: list[str] = []
        self._test = test
        self._setup = setup
        self._options = options
        self._queues: dict[tuple[int, str], _Queue] = {}

    def next(self, asked: Asked, mode: Mode, *, sample: int) -> Fixture | None:
        """Return the recording that comes next, ``None`` when there is none that holds.

        Args:
            asked: the request.
            mode: how it is answered.
            sample: which of several runs of the test makes it.

        Raises:
            RefusedError: there is one that the test, or the setup, forbids.
            FixtureError: one is damaged.
        """
        name = (sample, asked.key)
        queue = self._queues.get(name)
        if queue is None or (queue.unusable and mode is Mode.REPLAY):  # it was of no use in another mode
            queue = self._queues[name] = self._queue(asked, mode, sample)
        if not queue.fixtures:
            return None
        if queue.position >= len(queue.fixtures) and self._options.repeat == "fail":
            raise RefusedError("repeated")
        fixture = queue.fixtures[min(queue.position, len(queue.fixtures) - 1)]
        queue.position += 1
        return fixture

    def unusable(self, asked: Asked, *, sample: int) -> str:
        """Return why a recording isn't used that is there, as ``Choice.why``; ``""`` where there is none."""
        queue = self._queues.get((sample, asked.key))
        return queue.unusable if queue else ""

    def _queue(self, asked: Asked, mode: Mode, sample: int) -> _Queue:
        choice = self._choice(asked, sample)
        take = choice.take
        if mode is Mode.ONCE and (choice.expired or choice.why in ("failing", "incomplete")):
            return _Queue((), unusable=choice.why or "expired")
        if choice.why in ("expired", "failing", "incomplete") or (
            choice.expired and not self._options.replays_expired(self._setup)
        ):
            raise RefusedError(choice.why or "expired")
        if choice.why == "sample":
            return _Queue((), unusable="sample")
        if choice.expired and take is not None:
            path = take.fixtures[0].path
            self.expired.append(str(path))
            self._setup.warn(f"{self._test()} replays a recording that has expired: {path}")
        return _Queue(take.fixtures if take else ())

    def _choice(self, asked: Asked, sample: int) -> Choice:
        setup, options = self._setup, self._options
        names = (asked.provider, *asked.others)
        there = [fixture for name in names for fixture in setup.store.take(name, asked.endpoint, asked.key)]
        # The very request, host and all, recorded when the settings called that host something else.
        there = there or list(setup.store.elsewhere(names, asked.endpoint, asked.key))
        return choose(
            there,
            fallback=options.fallback or setup.fallback,
            ttl=setup.ttl_of(asked.provider) if isinstance(options.ttl, Unset) else options.ttl,
            now=setup.now(),
            sample=sample,
            test=self._test() if len(there) > 1 else "",  # else it makes no difference
        )


class _Queue:
    __slots__ = ("fixtures", "position", "unusable")

    def __init__(self, fixtures: tuple[Fixture, ...], *, unusable: str = "") -> None:
        self.fixtures = fixtures
        self.unusable = unusable
        self.position = 0
