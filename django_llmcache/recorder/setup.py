"""What holds for a run of tests, and what one test asks for."""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django_llmcache.policies import UNSET, Unset

from .exchange import Outgoing
from .fixture import Fixture
from .store import FixtureStore
from .usage import UsageLog

if TYPE_CHECKING:
    from .faults import Fault  # hardly a test has one, and who has none waits for no import

Tell = Callable[[str, Mapping[str, Any]], None]
"""Told of ``hit``, ``miss``, ``save`` and ``error`` with what is known of each; a ``path`` is a text."""

Hosts = tuple[tuple[str, str], ...]
"""Patterns of ``host`` or ``host:port`` with the provider's name for each; the first that a host has holds."""

IsCall = Callable[[Outgoing], bool]
"""Return whether a request to a host that is no provider's looks like an LLM call."""

Whose = Callable[[str], str | None]
"""Return which of several providers at one host an address is of, ``None`` where it doesn't tell."""


class Mode(enum.StrEnum):
    """How a test's calls are answered."""

    REPLAY = "replay"
    """From fixtures, never from the network."""
    ONCE = "once"
    """From fixtures; what is missing or expired is asked for and recorded."""
    REFRESH = "refresh"
    """From the network, and recorded anew."""
    LIVE = "live"
    """From the network, not recorded."""


def _tell_nobody(event: str, details: Mapping[str, Any]) -> None:
    pass


def _warn_nobody(text: str) -> None:
    pass


def _nobody_s(url: str) -> None:
    pass


def _is_none(asked: Outgoing) -> bool:
    return False


def _as_it_is(test: str) -> str:
    return test


def _of_any_name(provider: str) -> str:
    return ""


class Setup(NamedTuple):
    """What holds for every test of a run.

    Attributes:
        store: where the fixtures are.
        mode: how calls are answered where a test doesn't say.
        hosts: which requests are a provider's.
        ttl: seconds for which a recording is fresh, or ``None`` for ever.
        ttls: the same of single providers, which goes before.
        fallback: which take is replayed: ``latest_success``, ``latest_any`` or ``error``.
        expired: what an expired take means where it can't be recorded anew: ``warn`` or ``error``.
        ignore: dotted paths in a request's body that may differ.
        headers: names, in lower case, of a request's headers that count besides those that always do.
        usage: where it is noted which fixtures were used.
        whose: tells providers apart that share a host.
        is_call: tells LLM calls among the requests to hosts that are no provider's.
        tell: told of what happens.
        warn: shown to the user as a warning.
        command: the line that records a test, with ``{mode}`` and ``{test}`` for what it is run by.
        typed: return how what a test is run by is typed in the user's folder.
        key_variable: return the variable that has a provider's API key, ``""`` where its name depends on the SDK.
        version: of this package, for ``recorded_by``.
        placeholder: stands for an API key where there is none; never sent.
        now: seconds since the epoch.
        unreadable: what is wrong with the settings in force, ``""`` where they can be read. Else whoever is asked may
            be a provider, and nobody is.
    """

    store: FixtureStore
    mode: Mode
    hosts: Hosts
    ttl: float | None = None
    ttls: Mapping[str, float | None] = MappingProxyType({})
    fallback: str = "latest_success"
    expired: str = "warn"
    ignore: tuple[str, ...] = ()
    headers: frozenset[str] = frozenset()
    usage: UsageLog | None = None
    whose: Whose = _nobody_s
    is_call: IsCall = _is_none
    tell: Tell = _tell_nobody
    warn: Callable[[str], None] = _warn_nobody
    command: str = ""
    typed: Callable[[str], str] = _as_it_is
    key_variable: Callable[[str], str] = _of_any_name
    version: str = ""
    placeholder: str = ""
    now: Callable[[], float] = time.time
    unreadable: str = ""

    def stands_in(self, asked: Outgoing) -> bool:
        """Return whether a request bears the placeholder of a key: it is sent nowhere."""
        name = self.placeholder
        return bool(name) and (name in asked.url or any(name in value for _, value in asked.headers))

    def provider_of(self, host: str) -> str | None:
        """Return whose host it is, ``None`` for one that is no provider's."""
        return next(iter(_names_at(self.hosts, host)), None)

    def providers_of(self, asked: Outgoing) -> tuple[str, ...]:
        """Return whose request it is, then who else is at its host; nobody where it is no provider's."""
        return providers_of(asked, self.hosts, self.whose)

    def recorded_at(self, asked: Outgoing) -> Iterator[Fixture]:
        """Return what is recorded of all who are at a request's host; where that is nothing, what is of nobody's."""
        found = chain.from_iterable(map(self.store.of, self.providers_of(asked)))
        first = next(found, None)
        if first is not None:
            return chain((first,), found)
        everything = (one for one in self.store.all() if isinstance(one, Fixture))
        return (one for one in everything if not self.providers_of(one.request))

    def ttl_of(self, provider: str) -> float | None:
        """Return for how many seconds a provider's recordings are fresh, ``None`` for ever."""
        return self.ttls.get(provider, self.ttl)


def providers_of(asked: Outgoing, hosts: Hosts, whose: Whose) -> tuple[str, ...]:
    """Do what ``Setup.providers_of`` does, with what holds for a run that is none of tests."""
    names = _names_at(hosts, asked.host)
    if len(names) < 2:  # nearly always: the rest is for a gateway
        return names
    name = whose(asked.url)
    return (name, *(other for other in names if other != name)) if name in names else names


@lru_cache(maxsize=1024)
def _names_at(hosts: Hosts, host: str) -> tuple[str, ...]:
    """Return the names that stand beside the first pattern which a host has."""
    found = next((pattern for pattern, _ in hosts if fnmatchcase(host, pattern)), None)
    return tuple(dict.fromkeys(name for pattern, name in hosts if pattern == found))


class Options(NamedTuple):
    """What one test asks for; ``None`` and ``UNSET`` leave it to the setup.

    Attributes:
        mode, ttl, fallback, expired: as in ``Setup``.
        ignore: dotted paths in a request's body that may differ, besides the setup's.
        record_errors: whether an answer that is an error is recorded.
        repeat: what a request gets that is asked more often than it was recorded: the ``last`` answer, or ``fail``.
        samples: how many answers to the same requests are recorded, each by a run of its own.
        fault: what goes wrong.
        pace: times the recorded pauses of a stream that a replay waits; ``0`` for no waiting.
    """

    mode: Mode | None = None
    ttl: float | Unset | None = UNSET
    fallback: str | None = None
    expired: str | None = None
    ignore: tuple[str, ...] = ()
    record_errors: bool = False
    repeat: str = "last"
    samples: int = 1
    fault: Fault | None = None
    pace: float = 0.0

    def replays_expired(self, setup: Setup) -> bool:
        """Return whether a recording that has expired is replayed where it can't be recorded anew."""
        return "error" not in (self.expired or setup.expired, self.fallback or setup.fallback)

    @property
    def faults(self) -> int:
        """Return how many times something goes wrong."""
        return self.fault.times if self.fault else 0


NO_OPTIONS: Final = Options()
