"""Files, through Django's ``FileBasedCache``, which looks first and writes then where it is to add."""

from __future__ import annotations

import os
from secrets import token_hex
from typing import Any

from .over_alias import GuardedStore, whole


class FileStore(GuardedStore):
    """As any alias, with an ``add`` that one process alone wins: the file system makes no two links of one name."""

    def add(self, key: str, value: bytes, seconds: float | None) -> bool:
        return self._within(self._deadlines.write, lambda cache: _added(cache, key, value, whole(seconds)))


def _added(cache: Any, key: str, value: bytes, timeout: int | None) -> bool:
    if cache.has_key(key):  # removes one that has expired
        return False
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
