"""What a shared backend does with its store, step by step, apart from how it waits for it (see ``stamping``)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Final, NamedTuple

from django_llmcache.entry import Entry, Selector
from django_llmcache.exceptions import EntryFormatError, EntryTooLargeError, LLMCacheError

from .base import Found, groups_of
from .generations import (
    DELETIONS,
    GROUP_LASTS,
    LEDGER,
    NO_LEDGER,
    Mark,
    age_of,
    group_of,
    key_of_group,
    new_ledger,
    new_stamp,
)
from .packing import Packed, Packer
from .stamping import Now, StampSteps, Steps

GAP: Final = b"LLMX"
"""What is left in the place of an entry that was deleted, before the stamp of the deletion."""

_GAP_LASTS: Final = 3600.0
"""Seconds: longer than any answer is on its way."""

EVERYTHING: Final = ""
"""Stands for all tags; none is empty."""


class Put(NamedTuple):
    """Under which stamps an entry was stored.

    Attributes:
        mark: what it bears.
        now: the stamps that were in force before it was stored.
    """

    mark: Mark
    now: Now


class Look(NamedTuple):
    """What a look-up on the store gave.

    Attributes:
        found: the entry, if it is still good.
        now: the stamps in force, those of all of the entry's groups among them.
        packed: what is stored, good or not.
    """

    found: Found
    now: Now
    packed: Packed | None = None


class EntrySteps(StampSteps):
    """The procedures on entries.

    Args:
        packer: makes bytes of entries.
        clock: seconds since the epoch, which all processes have in common.
    """

    def __init__(self, packer: Packer, clock: Callable[[], float]) -> None:
        super().__init__()
        self._packer = packer
        self._clock = clock

    def finding(self, key: str, groups: tuple[str, ...]) -> Steps[Look]:
        """Return what is stored under a key, in one round trip unless it has tags that the groups don't name."""
        value, now = yield from self.reading(key, groups)
        if value is None:
            return Look(Found(None, now.mark()), now)
        if value.startswith(GAP):
            return Look(Found(None, now.mark(_gap_of(value))), now)
        try:
            packed = self._packer.unpack(value, key)
        except EntryFormatError as error:
            return Look(Found(None, now.mark(), error), now)
        if others := [group for group, _ in packed.mark.groups if group not in now.stamps]:
            _, more = yield from self.reading(key, others)
            now = Now(now.ledger, now.stamps | more.stamps)
        late = -1.0 if packed.expires is None else self._clock() - packed.expires
        gone = late >= 0 and late >= packed.entry.stale_for
        if gone or now.overtook(packed.mark, packed.entry):
            return Look(Found(None, now.mark(packed.mark.gap)), now, packed)
        return Look(Found(packed.entry, now.mark(packed.mark.gap), late=max(0.0, late)), now, packed)

    def putting(
        self, entry: Entry, mark: Hashable, largest: int | None, others: tuple[str, ...] = ()
    ) -> Steps[Put | None]:
        """Store an entry; return under which stamps, ``None`` where it was not stored.

        Args:
            entry: what to store.
            mark: the stamps that were in force when its answer was asked for.
            largest: bytes that the store takes, ``None`` where nobody says.
            others: groups that are none of the entry's, of which the caller wants the stamps of before it was stored.

        Raises:
            EntryTooLargeError: it takes more bytes than ``largest``.
        """
        ttl = entry.ttl
        if ttl is not None and ttl <= 0:
            return None
        value, read = yield from self.reading(entry.key, (*groups_of(entry.scope, entry.tags), *others))
        now = read.without(others)
        if now.ledger is NO_LEDGER:
            return None
        gap = self._gap_in(value, entry.key)
        if isinstance(mark, Mark) and (now.overtook(mark, entry) or (gap and gap != mark.gap)):
            return None
        packed = self._packer.pack(entry, now.mark(gap), None if ttl is None else self._clock() + ttl)
        if largest is not None and len(packed) > largest:
            raise EntryTooLargeError(f"The store takes values of {largest} bytes; the entry has {len(packed)}.")
        kept = None if ttl is None else ttl + entry.stale_for
        yield "write", entry.key, packed, kept
        yield from self._outliving(now.stamps, kept)
        return Put(now.mark(gap), read)

    def _gap_in(self, value: bytes | None, key: str) -> str:
        """Return the last deletion of a key, as what is stored there tells of it: a gap, or what filled it."""
        if value is None or value.startswith(GAP):
            return _gap_of(value) if value else ""
        try:
            return self._packer.unpack(value, key).mark.gap
        except EntryFormatError:
            return ""

    def _outliving(self, stamps: Mapping[str, str], kept: float | None) -> Steps[None]:
        """Keep the stamps of an entry's groups for as long as it is kept, as far as they may end before."""
        lasts = GROUP_LASTS if kept is None else max(GROUP_LASTS, 2 * kept)
        for group, stamp in stamps.items():
            if lasts > GROUP_LASTS or age_of(stamp, self._clock()) > GROUP_LASTS / 2:
                yield "touch", key_of_group(group), lasts

    def deleting(self, key: str) -> Steps[bool]:
        look = yield from self.finding(key, ())
        yield from self.writing(key, GAP + new_stamp().encode(), _GAP_LASTS)
        if (yield "read", [key_of_group(DELETIONS)]):  # there are near tiers, which don't see the gap
            yield from self.restamping(DELETIONS)
        return look.found.entry is not None

    def clearing(self, selector: Selector) -> Steps[None]:
        if selector.everything:
            yield from self.noting(None)
        elif (group := group_of(selector)) is not None:
            yield from self.restamping(group)
        elif selector.key is not None and len(selector.as_dict()) == 1:
            yield from self.deleting(selector.key)
        else:
            yield from self.noting(selector)

    def expiring(self, tags: Collection[str]) -> Steps[Collection[str]]:
        """Clear some tags, as far as there is anything that bears them; return those.

        Raises:
            LLMCacheError: it can't be told whether there is.
        """
        if EVERYTHING in tags:
            yield from self.clearing(Selector())
            return tags
        keys = {key_of_group(f"t:{tag}"): tag for tag in tags}
        borne = yield from self._borne(keys)
        for key in borne:
            yield from self.restamping(f"t:{keys[key]}")
        return [keys[key] for key in borne]

    def _borne(self, names: Collection[str]) -> Steps[list[str]]:
        """Return which of some stamps there are, read with the ledger: without it nothing counts that is stored.

        Where it can't be begun either, the store may be away, and its library say that it has nothing.
        """
        got = yield "read", [LEDGER, *names]
        if LEDGER not in got:
            yield "begin", LEDGER, new_ledger().encode(), None
            got = yield "read", [LEDGER, *names]
            if LEDGER not in got:
                raise LLMCacheError("The store has nothing and keeps nothing, so nothing may have been cleared.")
        return [name for name in names if name in got]


def _gap_of(value: bytes) -> str:
    """Return the stamp of the deletion that left a gap."""
    return value[len(GAP) :].decode("ascii", "replace")
