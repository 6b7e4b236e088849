"""Which recording of a request a replay uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from .fixture import Fixture, FixtureError

_BLOCK: Final = re.compile(r" <\d+>$")
"""What the id of a test has that asks in a block of its own, but the first."""

_GROUP: Final = re.compile(r"@[^/:\[\]<>]+(?= <\d+>$|$)")
"""What xdist adds to the id of a test that is in a group, where it goes by those."""

IMPORTED: Final = "vcr:"
"""How the name of a cassette begins, which a fixture that was imported has in place of a test."""


class Take(NamedTuple):
    """What one session wrote under one key.

    Attributes:
        id: what the session called it.
        recorded_at: when its first answer was recorded, in seconds since the epoch.
        fixtures: in the order of the calls.
    """

    id: str
    recorded_at: float
    fixtures: tuple[Fixture, ...]

    @property
    def ok(self) -> bool:
        """Return whether no answer is an error, and each is whole as far as the provider goes."""
        return all(one.response.ok for one in self.fixtures)

    @property
    def missing(self) -> int:
        """Return how many answers are not there, as far as the fixtures say how many there were."""
        last = self.fixtures[-1]
        there = {one.sequence for one in self.fixtures} if len(self.fixtures) > 1 else (last,)
        return max(last.answers, last.sequence + 1) - len(there)

    @property
    def whole(self) -> bool:
        """Return whether no answer is missing."""
        return not self.missing

    @property
    def copies(self) -> list[tuple[Fixture, Fixture]]:
        """Return the pairs of files that are the same answer of the take, as they follow one another."""
        return [(one, other) for one, other in pairwise(self.fixtures) if one.sequence == other.sequence]

    def without_copies(self) -> Take:
        """Return the take less the copies of its files.

        Raises:
            FixtureError: two differ that are to be the same answer of the take.
        """
        copies = self.copies
        for one, other in copies:
            if one.response != other.response:
                raise FixtureError(
                    other.file, "sequence", f"it is {other.sequence}, as in {one.file}; keep one of them"
                )
        if not copies:
            return self
        extra = {id(other) for _, other in copies}
        return self._replace(fixtures=tuple(one for one in self.fixtures if id(one) not in extra))

    @property
    def tests(self) -> tuple[str, ...]:
        """Return the ids of the tests that asked for any of its answers."""
        return tuple(test for one in self.fixtures for test in one.tests)


class Choice(NamedTuple):
    """What a replay uses.

    Attributes:
        take: ``None`` when nothing may be used.
        expired: whether the take, or the one that may not be used, is older than the TTL.
        why: where nothing may be used, ``"none"``, ``"sample"`` (there are others), ``"incomplete"``, ``"expired"`` or
            ``"failing"``; otherwise ``""``.
    """

    take: Take | None
    expired: bool
    why: str


_Recording = TypeVar("_Recording", Fixture, Take)


def by_test(recordings: Sequence[_Recording], test: str) -> Iterator[list[_Recording]]:
    """Yield what a test recorded itself, what another block of it did, what it did seen from another folder, and all.

    Whichever runner each ran under. Of two ids of one test, the one begins with more folders than the other where the
    runner was started in a folder above.

    Args:
        recordings: fixtures or takes.
        test: its id.
    """
    name = _dotted(test)
    named = [(one, set(map(_dotted, one.tests))) for one in recordings]
    yield [one for one, names in named if name in names]
    yield [one for one, names in named if without_block(name) in map(without_block, names)]
    yield [one for one, names in named if any(each.endswith(f".{name}") or name.endswith(f".{each}") for each in names)]
    yield list(recordings)


def without_block(test: str) -> str:
    """Return the id of a test that asked in a block of its own."""
    return _BLOCK.sub("", test)


def takes(fixtures: Iterable[Fixture]) -> list[Take]:
    """Return the takes that fixtures of one key and one sample make, the oldest first."""
    fixtures = tuple(fixtures)
    if len(fixtures) == 1:  # as most often
        return [Take(fixtures[0].take, fixtures[0].recorded_at, fixtures)]
    grouped: dict[str, list[Fixture]] = {}
    for fixture in fixtures:
        grouped.setdefault(fixture.take, []).append(fixture)
    found = [_take(name, members) for name, members in grouped.items()]
    return sorted(found, key=lambda take: (take.recorded_at, take.id))


def takes_by_request(fixtures: Iterable[Fixture]) -> list[list[Take]]:
    """Return the takes of each request and sample, the oldest of each first."""
    groups: dict[tuple[str, str, int], list[Fixture]] = {}
    for one in fixtures:
        groups.setdefault((one.provider, one.key, one.sample), []).append(one)
    return [takes(group) for group in groups.values()]


def choose(
    fixtures: Sequence[Fixture], *, fallback: str, ttl: float | None, now: float, sample: int = 0, test: str = ""
) -> Choice:
    """Return the take that a replay uses: of those that the test recorded itself, where there are some, else of all.

    Another test that asks the same, once and later, must not change what this one gets.

    Args:
        fixtures: of one key.
        fallback: ``"latest_success"`` for the newest take that is a success, or the newest where none is;
            ``"latest_any"`` for the newest; ``"error"`` for the newest, and nothing if it failed or expired.
        ttl: seconds from the recording after which a take is expired; ``None`` for never. No replay prolongs it.
        now: seconds since the epoch.
        sample: which of several answers to the same request.
        test: the id of the test that asks.

    Raises:
        FixtureError: two files of that take can't both be of it.
    """
    made = takes([fixture for fixture in fixtures if fixture.sample == sample])
    found = [take for take in made if take.whole]
    if not found:
        return Choice(None, expired=False, why="incomplete" if made else "sample" if fixtures else "none")
    if len(found) > 1:
        found = next(filter(None, by_test(found, test)))
    take = found[-1]
    if fallback == "latest_success":
        take = next((one for one in reversed(found) if one.ok), take)
    take = take.without_copies()
    expired = ttl is not None and now - take.recorded_at >= ttl
    if fallback == "error" and (expired or not take.ok):
        return Choice(None, expired=expired, why="failing" if not take.ok else "expired")
    return Choice(take, expired=expired, why="")


def _dotted(test: str) -> str:
    """Return the id of a test as Django's runner writes it; its parameters stay as they are."""
    names, bracket, parameters = _GROUP.sub("", test).partition("[")
    return names.replace(".py::", ".").replace("::", ".").replace("/", ".") + bracket + parameters


def _take(name: str, members: list[Fixture]) -> Take:
    ordered = sorted(members, key=lambda one: (one.sequence, one.recorded_at, str(one.path)))
    return Take(name, min(one.recorded_at for one in members), tuple(ordered))
