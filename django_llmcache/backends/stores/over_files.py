"""Files, through Django's ``FileBasedCache``, which looks first and writes then where it is to add."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from django.core.files import locks

from .over_alias import DAMAGED, GuardedStore, whole

_GATE: Final = "llmcache.lock"
"""The file that is locked while a value is swapped. The system frees it with whoever has it."""


class FileStore(GuardedStore):
    """As any alias, with an ``add`` that one process alone wins: the file system makes no two links of one name."""

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        return self._within(self._deadlines.write, lambda cache: _added(cache, key, value, whole(seconds)))

    def swap(self, key: str, old: bytes, new: bytes) -> bool | None:
        return self._within(self._deadlines.write, lambda cache: _swapped(cache, key, old, new))


def _added(cache: Any, key: str, value: bytes, timeout: int | None) -> bool:
    try:
        if cache.has_key(key):  # removes one that has expired
            return False
    except DAMAGED:
        cache.delete(key)
    draft = f"{key}:{token_hex(8)}"
    cache.set(draft, value, timeout)
    try:
        os.link(cache._key_to_file(draft), cache._key_to_file(key))
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        return bool(cache.add(key, value, timeout))
    finally:
        cache.delete(draft)
    return True


def _swapped(cache: Any, key: str, old: bytes, new: bytes) -> bool | None:
    cache._createdir()
    with (Path(cache._dir) / _GATE).open("ab") as gate:
        if not locks.lock(gate, locks.LOCK_EX):  # a system without such locks
            return None
        if cache.get(key) != old:
            return False
        cache.set(key, new, None)
        return True
