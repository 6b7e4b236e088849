"""Tells when a library has been imported: so it is seen from its first request on, and none is imported in vain."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_coming: set[str] = set()
"""What is being imported just now."""


def is_here(name: str) -> bool:
    """Return whether a module has been imported, to its end."""
    return name in sys.modules and name not in _coming


def is_coming(name: str) -> bool:
    """Return whether a module is half imported."""
    return name in _coming


def wait_for(names: Iterable[str], arrived: Callable[[], None]) -> Callable[[], None]:
    """Call ``arrived`` whenever one of these modules has been imported; return what ends it."""
    finder = _Finder(frozenset(names), arrived)
    sys.meta_path.insert(0, finder)
    return lambda: sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Lets the others find a module, and has its loader tell when it is done."""

    def __init__(self, names: frozenset[str], arrived: Callable[[], None]) -> None:
        self._names = names
        self._arrived = arrived
        self._looking: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the others find."""
        if fullname not in self._names or fullname in self._looking:
            return None
        self._looking.add(fullname)
        try:
            spec = find_spec(fullname)
        finally:
            self._looking.discard(fullname)
        if spec is not None and spec.loader is not None:
            self._tell_after(spec.loader, fullname)
        return spec

    def _tell_after(self, loader: Any, name: str) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            if module.__name__ != name:  # a loader of several, asked for one of them and then for another
                execute(module)
                return
            vars(loader).pop("exec_module", None)
            _coming.add(name)
            try:
                execute(module)
            finally:
                _coming.discard(name)
            self._arrived()

        loader.exec_module = exec_module
