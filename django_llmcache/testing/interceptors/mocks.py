"""Tells a mock, which answers in the place of a library's function, from a wrapper, which goes on to it."""

from __future__ import annotations

import inspect
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final
from unittest.mock import NonCallableMock

MOCKS: Final = frozenset({"pytest_httpx", "responses", "respx"})
"""Packages that put an answer of their own in the place of a connection."""


def is_mocked(owner: type, name: str) -> bool:
    """Return whether a mock is in the place of a class' method.

    Told by who wrote it, or by that it isn't told which object asks, so that it can't go on to the library's own. Any
    other function is taken for a wrapper, such as telemetry's: what passes by it is recorded as ever.
    """
    home = next((kind for kind in owner.__mro__ if name in vars(kind)), None)
    if home is None:
        return False
    found = vars(home)[name]
    if isinstance(found, FunctionType) and package_of(found) == package_of(home):  # at once: httpx asks on each call
        return False
    found = inspect.unwrap(found)
    if isinstance(found, FunctionType):
        return package_of(found) in MOCKS or isinstance(vars(found).get("mock"), NonCallableMock)
    return isinstance(found, NonCallableMock | MethodType) or not hasattr(type(found), "__get__")


def package_of(one: Any) -> str:
    """Return the package whose code a function, a class or a module is."""
    if isinstance(one, FunctionType):
        name = one.__globals__.get("__name__", "")
    else:
        name = one.__name__ if isinstance(one, ModuleType) else one.__module__
    return str(name).partition(".")[0]
