"""What was cleared on a store that can neither list its entries nor count: stamps that entries are held against.

An entry carries the stamps that were in force when its answer was asked for. Whoever reads it fetches today's stamps in
the same round trip, and takes no entry whose stamps are others. So a clear is the writing of one small value, whatever
it clears, and an answer that was on its way when the clear came is none that counts.

There are two kinds of them. A *group* is one scope or one tag: its stamp is replaced to clear it. The *ledger* is for
the rest: its epoch is replaced to clear everything, and it has a list of the latest clears by provider, by model, or
by several conditions at once, which are rare. One group more is of all deletions, where there are near tiers.

Stamps are unique for ever, never a number that counts up: where the store drops one, the next one is new, and whatever
was stored under the old one stays gone.
"""

from __future__ import annotations

import hashlib
import time
from functools import lru_cache
from secrets import token_hex
from typing import Any, Final, NamedTuple

import orjson

from django_llmcache.entry import Entry, Selector
from django_llmcache.exceptions import EntryFormatError

PREFIX: Final = "llmcache:g1:"
LEDGER: Final = f"{PREFIX}ledger"
KEPT: Final = 64
"""Clears in the ledger. What was asked for before the oldest of them no longer counts."""

DELETIONS: Final = "d:"
"""The group whose stamp changes with each deletion of one entry, anywhere. Near entries alone are held against it."""

GROUP_LASTS: Final = 30 * 86_400.0
"""Seconds for which a group's stamp is kept after it was last stored under: every user and every object may be one."""


class Mark(NamedTuple):
    """The stamps in force at one moment.

    Attributes:
        epoch: the ledger's.
        number: how many clears the ledger had seen.
        groups: the stamps by group.
        gap: the last deletion of the entry's key, ``""`` for none: an answer that was on its way then is not stored.
    """

    epoch: str
    number: int
    groups: tuple[tuple[str, str], ...]
    gap: str = ""

    def as_list(self) -> list[Any]:
        """Return it as JSON can say it."""
        return [self.epoch, self.number, self.groups, *([self.gap] if self.gap else [])]

    @classmethod
    def from_list(cls, listed: Any) -> Mark:
        """Return what ``as_list`` described; raises ``TypeError`` or ``ValueError`` for anything else."""
        epoch, number, groups, gap = listed if len(listed) == 4 else (*listed, "")
        return cls(epoch, int(number), tuple([(group, stamp) for group, stamp in groups]), str(gap))


class Ledger(NamedTuple):
    """What is cleared by more than one scope or tag.

    Attributes:
        epoch: the stamp of everything.
        number: how many clears there were in this epoch.
        clears: the latest of them, newest last.
    """

    epoch: str
    number: int = 0
    clears: tuple[Selector, ...] = ()

    def concerns(self, mark: Mark, entry: Entry) -> bool:
        """Return whether a clear since the mark named the entry, or may have."""
        since = self.number - mark.number
        if mark.epoch != self.epoch or since > len(self.clears) or since < 0:
            return True
        return since > 0 and any(selector.matches(entry) for selector in self.clears[-since:])

    def after(self, selector: Selector | None) -> Ledger:
        """Return the ledger after one clear more, of everything for ``None``."""
        if selector is None or not self.epoch:
            return new_ledger()
        return Ledger(self.epoch, self.number + 1, (*self.clears, selector)[-KEPT:])

    def encode(self) -> bytes:
        """Return it as bytes."""
        return orjson.dumps((self.epoch, self.number, [selector.as_dict() for selector in self.clears]))

    @classmethod
    def decode(cls, stored: bytes) -> Ledger:
        """Return what ``encode`` wrote.

        Raises:
            EntryFormatError: anything else.
        """
        try:
            epoch, number, clears = orjson.loads(stored)
            return cls(epoch, int(number), tuple(Selector.from_dict(conditions) for conditions in clears))
        except (TypeError, ValueError) as error:
            raise EntryFormatError(f"The ledger of clears cannot be read: {error}") from error


NO_LEDGER: Final = Ledger("")


def new_stamp() -> str:
    """Return a stamp that there never was."""
    return f"{time.time_ns():x}-{token_hex(6)}"


def age_of(stamp: str, now: float) -> float:
    """Return how many seconds ago a stamp was made; what is none is as old as can be."""
    try:
        return now - int(stamp.partition("-")[0], 16) / 1e9
    except ValueError:
        return now


def new_ledger() -> Ledger:
    """Return a ledger under which nothing counts that was stored before."""
    return Ledger(new_stamp())


@lru_cache(maxsize=4096)
def key_of_group(group: str) -> str:
    """Return the key of a group's stamp, of a form that every store takes."""
    return f"{PREFIX}{hashlib.sha256(group.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def group_of(selector: Selector) -> str | None:
    """Return the group that is all a selector names, ``None`` where it names more, less or something else."""
    conditions = selector.as_dict()
    if len(conditions) != 1:
        return None
    if "scope" in conditions:
        return f"s:{selector.scope}"
    return f"t:{selector.tag}" if "tag" in conditions else None
