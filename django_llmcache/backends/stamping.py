"""The stamps that entries are held against (see ``generations``), read and replaced on a shared store, step by step.

Each procedure is a generator that yields what the store is to do (the name of a ``Store``'s method and its arguments,
or ``"sleep"`` and seconds), is sent what the store gave, and returns its result. So threads and event loops share them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from random import uniform
from secrets import token_hex
from typing import Any, Final, NamedTuple, TypeVar

from django_llmcache.entry import Entry, Selector
from django_llmcache.exceptions import EntryFormatError, LLMCacheError

from .generations import GROUP_LASTS, LEDGER, NO_LEDGER, Ledger, Mark, key_of_group, new_ledger, new_stamp

Result = TypeVar("Result")
Steps = Generator[tuple[Any, ...], Any, Result]

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

    def without(self, groups: tuple[str, ...]) -> Now:
        """Return the same less the stamps of some groups."""
        stamps = {group: stamp for group, stamp in self.stamps.items() if group not in groups}
        return self._replace(stamps=stamps) if groups else self

    def overtook(self, mark: Mark, entry: Entry) -> bool:
        """Return whether a clear that concerns the entry came after the mark."""
        stamps = self.stamps
        for group, stamp in mark.groups:
            if stamps.get(group, stamp) != stamp:
                return True
        return self.ledger.concerns(mark, entry)


class StampSteps:
    """The procedures on stamps."""

    def __init__(self) -> None:
        self._ledger: tuple[bytes, Ledger] = (b"", NO_LEDGER)

    def reading(self, key: str, groups: Iterable[str]) -> Steps[tuple[bytes | None, Now]]:
        """Return what is stored under a key, and the stamps in force; begin those that the store doesn't have.

        One that can't be begun, as where a database is busy or a server full, is unknown: no entry has ever borne it.
        """
        keys = {key_of_group(group): group for group in groups}
        got = yield "read", [LEDGER, *keys, key]  # the stamps are none that came after the entry
        missing = [name for name in (LEDGER, *keys) if name not in got]
        if missing:
            for name in missing:
                if name == LEDGER:
                    yield "begin", name, new_ledger().encode(), None
                else:
                    yield "begin", name, new_stamp().encode(), GROUP_LASTS
            got |= yield "read", [*missing, key]  # a deletion that came first found no stamp to replace
        stamps = {
            group: got[name].decode("ascii", "replace") if name in got else new_stamp() for name, group in keys.items()
        }
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

    def noting(self, selector: Selector | None) -> Steps[None]:
        """Note a clear in the ledger, of everything for ``None``, so that it undoes nobody else's.

        Where that can't be had, everything is cleared: no less. A ledger of a new epoch brings back nothing, whenever
        it is written.
        """
        for _ in range(_LEDGER_TRIES):
            stored, now = yield from self.reading(LEDGER, ())
            if stored is None:
                break
            swapped = yield "swap", LEDGER, stored, now.ledger.after(selector).encode()
            if swapped:
                return
            if swapped is None:
                yield from self._noting_alone(selector)
                return
            yield "sleep", uniform(0, _LEDGER_PAUSE)  # noqa: S311 - so that those who swap at once come apart
        yield from self.writing(LEDGER, new_ledger().encode())

    def rehearsing(self) -> Steps[None]:
        """Do what ``noting`` does, and leave the ledger as it is."""
        stored, _ = yield from self.reading(LEDGER, ())
        if stored is not None:
            yield "swap", LEDGER, stored, stored

    def _noting_alone(self, selector: Selector | None) -> Steps[None]:
        """Do what ``noting`` does on a store that can't swap: one process at a time."""
        token = token_hex(8).encode()
        for _ in range(_LEDGER_TRIES):
            if (yield "add", _LEDGER_LOCK, token, _LEDGER_SECONDS):
                break
            yield "sleep", _LEDGER_PAUSE
        else:
            yield "write", _LEDGER_LOCK, token, _LEDGER_SECONDS  # whoever has it, and stands still, is to know
            selector = None
        _, now = yield from self.reading(LEDGER, ())
        yield from self.writing(LEDGER, now.ledger.after(selector).encode())
        if (yield "read", [_LEDGER_LOCK]).get(_LEDGER_LOCK) == token:
            yield "remove", _LEDGER_LOCK
        else:  # it was had for too long: others may have noted clears since, which this has undone
            yield from self.writing(LEDGER, new_ledger().encode())

    def restamping(self, group: str) -> Steps[None]:
        """Give a group another stamp."""
        yield from self.writing(key_of_group(group), new_stamp().encode(), GROUP_LASTS)

    def writing(self, key: str, value: bytes, seconds: float | None = None) -> Steps[None]:
        """Write what must not be lost, and look whether it is there: Django's caches may fail to store without a word.

        Somebody else may have written there since; but what was there before is what was to be replaced.
        """
        before = (yield "read", [key]).get(key)
        yield "write", key, value, seconds
        if (yield "read", [key]).get(key) in (None, before):
            raise LLMCacheError("The store did not keep the note of a clear, so nothing may have been cleared.")
