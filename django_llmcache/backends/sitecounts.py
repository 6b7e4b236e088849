"""What all processes of a site counted, added up on the store that they share, step by step (see ``steps``).

Such a store can do no sums: Memcached, the database and files only read, write and add. So each process keeps a slot
that no other writes, with the sum of what it counted, and who wants to know adds up all slots. A slot that has not been
written for a while is anybody's, who then goes on from the sum that is in it: so nothing is lost with a process, and
there are no more slots than processes that ran at a time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from secrets import token_hex
from typing import Final, NamedTuple

import orjson

from django_llmcache.counts import Batch, Count, Counts, SiteCounts

from .stamping import Steps

SLOTS: Final = 256
"""Processes that count at a time. What others count is added up once a slot is free."""

ABANDONED: Final = 180.0
"""Seconds after which a slot that was not written is anybody's."""

_LOCKED: Final = 5.0
"""Seconds that taking a slot may last."""

_KEPT: Final = 4000
"""Counts that a slot has room for: some 200 KB. More than these are added up as other models'."""


class Slot(NamedTuple):
    """What is in a slot.

    Attributes:
        owner: the token of the process that writes it.
        written: seconds since the epoch.
        batch: the id of the last batch in it.
        counts: the sums.
    """

    owner: str = ""
    written: float = 0.0
    batch: str = ""
    counts: Counts = {}

    def encode(self) -> bytes:
        """Return the slot as bytes."""
        return orjson.dumps([self.owner, self.written, self.batch, [[*what, n] for what, n in self.counts.items()]])

    @classmethod
    def decode(cls, stored: bytes | None) -> Slot:
        """Return the slot that ``encode`` wrote; an empty one where there is none, or something else."""
        try:
            owner, written, batch, counts = orjson.loads(stored or b"")
            return cls(str(owner), float(written), str(batch), {Count(*what): int(n) for *what, n in counts})
        except (ValueError, TypeError):
            return cls()


class Share:
    """The slot of one process, and what it has in it."""

    def __init__(self) -> None:
        self._owner = token_hex(8)
        self._number: int | None = None
        self._last = Slot()

    def adding(self, batch: Batch, now: float) -> Steps[bool]:
        """Add a batch to the sums; return whether there was a slot for it.

        Args:
            batch: what is new. Given again, it is added once.
            now: seconds since the epoch, which all processes have in common.
        """
        number = self._number
        if number is not None and (slot := (yield from self._own(number))) is not None:
            yield from self._write(number, slot, batch, now)
            return True
        return (yield from self._take_one(batch, now))

    def _own(self, number: int) -> Steps[Slot | None]:
        name = _name(number)
        stored = (yield "read", [name]).get(name)
        if stored is None:  # the store has dropped it
            return self._last
        slot = Slot.decode(stored)
        return slot if slot.owner == self._owner else None

    def _take_one(self, batch: Batch, now: float) -> Steps[bool]:
        self._number = None
        found = yield "read", _NAMES
        used = [number for number in range(SLOTS) if _name(number) in found]
        abandoned = [number for number in used if _is_free(Slot.decode(found[_name(number)]), now)]
        unused = set(range(SLOTS)).difference(used)
        for number in _shuffled(abandoned) + _shuffled(unused):
            if (yield from self._take(number, batch, now)):
                return True
        return False

    def _take(self, number: int, batch: Batch, now: float) -> Steps[bool]:
        name, lock = _name(number), f"{_name(number)}:lock"
        if not (yield "add", lock, self._owner.encode(), _LOCKED):
            return False
        slot = Slot.decode((yield "read", [name]).get(name))
        if free := _is_free(slot, now):
            yield from self._write(number, slot, batch, now)
        yield "remove", lock
        return free

    def _write(self, number: int, slot: Slot, batch: Batch, now: float) -> Steps[None]:
        counts = slot.counts if slot.batch == batch.id else added((slot.counts, batch.counts))
        slot = Slot(self._owner, now, batch.id, counts)
        yield "write", _name(number), slot.encode(), None
        self._number, self._last = number, slot


def totalling(now: float) -> Steps[SiteCounts]:
    """Return the sums of all slots."""
    slots = [Slot.decode(stored) for stored in (yield "read", _NAMES).values()]
    return SiteCounts(added(slot.counts for slot in slots), sum(not _is_free(slot, now) for slot in slots))


def added(parts: Iterable[Counts]) -> dict[Count, int]:
    """Return the sums of several, bounded: a site whose users name the models may have had any number of them."""
    sums: dict[Count, int] = {}
    for counts in parts:
        for what, number in counts.items():
            kept = what if what in sums or len(sums) < _KEPT else Count("other", "other", what.name)
            sums[kept] = sums.get(kept, 0) + number
    return sums


def _is_free(slot: Slot, now: float) -> bool:
    return not slot.owner or now - slot.written > ABANDONED


def _shuffled(numbers: Iterable[int]) -> list[int]:
    numbers = list(numbers)
    random.shuffle(numbers)  # so that few ask for the same one
    return numbers


def _name(number: int) -> str:
    return f"llmcache:counts:{number}"


_NAMES: Final = [_name(number) for number in range(SLOTS)]
