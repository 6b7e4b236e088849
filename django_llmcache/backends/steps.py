"""What a shared backend does with its store, step by step, apart from how it waits for it.

Each procedure is a generator that yields what the store is to do (the name of a ``Store``'s method and its arguments,
or ``"sleep"`` and seconds), is sent what the store gave, and returns its result. So threads and event loops share them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Hashable, Iterable, Mapping
from secrets import token_hex
from typing import Any, Final, NamedTuple, TypeVar

from django_llmcache.entry import Entry, Selector
from django_llmcache.exceptions import EntryFormatError, EntryTooLargeError, LLMCacheError

from .base import Found, groups_of
from .generations import (
    GROUP_LASTS,
    LEDGER,
    NO_LEDGER,
    Ledger,
    Mark,
    age_of,
    group_of,
    key_of_group,
    new_ledger,
    new_stamp,
)
from .packing import Packed, Packer

Result = TypeVar("Result")
Steps = Generator[tuple[Any, ...], Any, Result]

GAP: Final = b"LLMX"
"""What is left in the place of an entry that was deleted, before the stamp of the deletion."""

_GAP_LASTS: Final = 3600.0
"""Seconds: longer than any answer is on its way."""

EVERYTHING: Final = ""
"""Stands for all tags; none is empty."""

_LEDGER_LOCK: Final = "llmcache:lock:ledger"
_LEDGER_SECONDS: Final = 5.0
_LEDGER_TRIES: Final = 20
_LEDGER_PAUSE: Final = 0.05


class Now(NamedTuple):
    """What is in force on the store at this moment.

    Attributes:
        ledger: the ledger.
        stamps: by group.
    """

    ledger: Ledger
    stamps: dict[str, str]

    def mark(self, gap: str = "") -> Mark:
        """Return the stamp of an answer that is asked for now."""
        return Mark(self.ledger.epoch, self.ledger.number, tuple(self.stamps.items()), gap)

    def overtook(self, mark: Mark, entry: Entry) -> bool:
        """Return whether a clear that concerns the entry came after the mark."""
        stale = any(self.stamps.get(group) != stamp for group, stamp in mark.groups if group in self.stamps)
        return stale or self.ledger.concerns(mark, entry)


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


class EntrySteps:
    """The procedures on entries.

    Args:
        packer: makes bytes of entries.
        clock: seconds since the epoch, which all processes have in common.
    """

    def __init__(self, packer: Packer, clock: Callable[[], float]) -> None:
        self._packer = packer
        self._clock = clock
        self._ledger: tuple[bytes, Ledger] = (b"", NO_LEDGER)

    def reading(self, key: str, groups: Iterable[str]) -> Steps[tuple[bytes | None, Now]]:
        """Return what is stored under a key, and the stamps in force; begin those that the store doesn't have."""
        keys = {key_of_group(group): group for group in groups}
        got = yield "read", [key, LEDGER, *keys]
        missing = [name for name in (LEDGER, *keys) if name not in got]
        if missing:
            for name in missing:
                if name == LEDGER:
                    yield "add", name, new_ledger().encode(), None
                else:
                    yield "add", name, new_stamp().encode(), GROUP_LASTS
            got |= yield "read", missing
        stamps = {group: got[name].decode("ascii", "replace") for name, group in keys.items() if name in got}
        try:
            ledger = self._ledger_in(got.get(LEDGER))
        except EntryFormatError:  # somebody else wrote there: nothing of before counts any more
            ledger = new_ledger()
            yield "write", LEDGER, ledger.encode(), None
        return got.get(key), Now(ledger, stamps)

    def _ledger_in(self, stored: bytes | None) -> Ledger:
        """Return the ledger; there is none where the store keeps nothing. Raises ``EntryFormatError``."""
        if stored is None:
            return NO_LEDGER
        known, ledger = self._ledger
        if stored != known:
            ledger = Ledger.decode(stored)
            self._ledger = (stored, ledger)
        return ledger

    def marking(self) -> Steps[Mark]:
        """Return the stamp of an answer that is asked for now, of which no scope or tag is known."""
        _, now = yield from self.reading(LEDGER, ())
        return now.mark()

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

    def putting(self, entry: Entry, mark: Hashable, largest: int | None) -> Steps[Now | None]:
        """Store an entry; return the stamps that it bears, ``None`` where it was not stored.

        Raises:
            EntryTooLargeError: it takes more bytes than ``largest``.
        """
        ttl = entry.ttl
        if ttl is not None and ttl <= 0:
            return None
        value, now = yield from self.reading(entry.key, groups_of(entry.scope, entry.tags))
        if now.ledger is NO_LEDGER:
            return None
        gap = self._gap_in(value, entry.key)
        if isinstance(mark, Mark) and (now.overtook(mark, entry) or (gap and gap != mark.gap)):
            return None
        packed = self._packer.pack(entry, now.mark(gap), None if ttl is None else self._clock() + ttl)
        if largest is not None and len(packed) > largest:
            raise EntryTooLargeError(f"The store takes values of {largest} bytes; the entry has {len(packed)}.")
        yield "write", entry.key, packed, None if ttl is None else ttl + entry.stale_for
        yield from self._outliving(now.stamps, ttl)
        return now

    def _gap_in(self, value: bytes | None, key: str) -> str:
        """Return the last deletion of a key, as what is stored there tells of it: a gap, or what filled it."""
        if value is None or value.startswith(GAP):
            return _gap_of(value) if value else ""
        try:
            return self._packer.unpack(value, key).mark.gap
        except EntryFormatError:
            return ""

    def _outliving(self, stamps: Mapping[str, str], ttl: float | None) -> Steps[None]:
        """Keep the stamps of an entry's groups for as long as it lives, as far as they may end before."""
        lasts = GROUP_LASTS if ttl is None else max(GROUP_LASTS, 2 * ttl)
        for group, stamp in stamps.items():
            if lasts > GROUP_LASTS or age_of(stamp, self._clock()) > GROUP_LASTS / 2:
                yield "touch", key_of_group(group), lasts

    def deleting(self, key: str) -> Steps[bool]:
        look = yield from self.finding(key, ())
        yield "write", key, GAP + new_stamp().encode(), _GAP_LASTS
        return look.found.entry is not None

    def clearing(self, selector: Selector) -> Steps[None]:
        if selector.everything:
            yield from self._noting(None)
        elif (group := group_of(selector)) is not None:
            yield from self.restamping(group)
        elif selector.key is not None and len(selector.as_dict()) == 1:
            yield from self.deleting(selector.key)
        else:
            yield from self._noting(selector)

    def expiring(self, tags: Collection[str]) -> Steps[Collection[str]]:
        """Clear some tags, as far as there is anything that bears them; return those."""
        if EVERYTHING in tags:
            yield from self.clearing(Selector())
            return tags
        keys = {key_of_group(f"t:{tag}"): tag for tag in tags}
        got = yield "read", list(keys)
        for key in got:
            yield from self.restamping(f"t:{keys[key]}")
        return [keys[key] for key in got]

    def _noting(self, selector: Selector | None) -> Steps[None]:
        """Note a clear in the ledger, of everything for ``None``, one process at a time: else one would undo another's.

        Where that can't be had, everything is cleared: no less.
        """
        token = token_hex(8).encode()
        for _ in range(_LEDGER_TRIES):
            if (yield "add", _LEDGER_LOCK, token, _LEDGER_SECONDS):
                break
            yield "sleep", _LEDGER_PAUSE
        else:
            yield from self._writing(LEDGER, new_ledger().encode())
            return
        _, now = yield from self.reading(LEDGER, ())
        anew = selector is None or now.ledger is NO_LEDGER
        ledger = new_ledger() if anew or selector is None else now.ledger.with_clear(selector)
        yield from self._writing(LEDGER, ledger.encode())
        if (yield "read", [_LEDGER_LOCK]).get(_LEDGER_LOCK) == token:  # else it was held for too long, and is another's
            yield "remove", _LEDGER_LOCK

    def restamping(self, group: str) -> Steps[None]:
        """Give a group another stamp."""
        yield from self._writing(key_of_group(group), new_stamp().encode(), GROUP_LASTS)

    def _writing(self, key: str, value: bytes, seconds: float | None = None) -> Steps[None]:
        """Write what must not be lost, and look whether it is there: some caches fail to store and say nothing."""
        yield "write", key, value, seconds
        if key not in (yield "read", [key]):
            raise LLMCacheError("The store did not keep the note of a clear, so nothing may have been cleared.")


def _gap_of(value: bytes) -> str:
    """Return the stamp of the deletion that left a gap."""
    return value[len(GAP) :].decode("ascii", "replace")
