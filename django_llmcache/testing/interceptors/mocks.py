"""Tells a mock, which answers in the place of a library's function, from a wrapper, which goes on to it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from unittest.mock import NonCallableMock

MOCKS: Final = frozenset({"pytest_httpx", "responses", "respx"})
"""Packages that put an answer of their own in the place of a connection."""


def is_mocked(owner: type, name: str) -> bool:
    """Return whether a mock is in the place of a class' method.

    Told by who wrote the function, and by what it holds. One that holds the library's own is a wrapper, such as
    telemetry's, and goes on to the provider: what passes by it is recorded as ever. One that doesn't can only answer
    by itself.
    """
    home = next((kind for kind in owner.__mro__ if name in vars(kind)), None)
    if home is None:
        return False
    found, package = vars(home)[name], package_of(home)
    if isinstance(found, FunctionType) and package_of(found) == package:  # at once: httpx asks this of each call
        return False
    found = inspect.unwrap(found)
    function = _function(found)
    if function is None:
        return isinstance(found, NonCallableMock) or not hasattr(found, "__get__")  # it isn't told which object asks
    author = package_of(function)
    if author == package:
        return False
    return author in MOCKS or _is_autospec(function) or not _holds(found, f"{home.__qualname__}.{name}", package, set())


def package_of(one: Any) -> str:
    """Return the package whose code a function, a class or a module is."""
    if isinstance(one, FunctionType):
        name = one.__globals__.get("__name__", "")
    else:
        name = one.__name__ if isinstance(one, ModuleType) else one.__module__
    return str(name).partition(".")[0]


def _function(one: Any) -> FunctionType | None:
    function = one.__func__ if isinstance(one, MethodType) else one
    return function if isinstance(function, FunctionType) else None


def _is_autospec(function: FunctionType) -> bool:
    return isinstance(getattr(function, "mock", None), NonCallableMock)


def _holds(holder: Any, name: str, package: str, seen: set[int]) -> bool:
    """Return whether a function has a package's own of that name at hand, or a function that has."""
    seen.add(id(holder))
    for value in _at_hand(holder):
        if any(_is_own(one, name, package) for one in (value, *_kept(value))):
            return True
        further = inspect.unwrap(value) if _function(value) else None
        if further is None or id(further) in seen or package_of(_function(further)) in {package, *MOCKS}:
            continue
        if _holds(further, name, package, seen):
            return True
    return False


def _is_own(one: Any, name: str, package: str) -> bool:
    function = _function(inspect.unwrap(one)) if callable(one) and hasattr(one, "__qualname__") else None
    return function is not None and function.__qualname__ == name and package_of(function) == package


def _at_hand(holder: Any) -> Iterator[Any]:
    """Yield what a function has as its object, in its closure, as its defaults, and as a global that it names."""
    function = _function(holder)
    if function is None:
        return
    if isinstance(holder, MethodType):
        yield holder.__self__
    cells: tuple[CellType, ...] = function.__closure__ or ()
    for cell in cells:
        with suppress(ValueError):  # nothing is in it yet
            yield cell.cell_contents
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield function.__globals__[name]


def _kept(value: Any) -> list[Any]:
    """Return what is kept in an object, its class among it, or in a collection."""
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    return [*vars(type(value)).values(), *getattr(value, "__dict__", {}).values()]
