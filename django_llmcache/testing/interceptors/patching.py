"""Replace a function of somebody else's, and put it back."""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, NamedTuple

from .mocks import is_mocked, package_of


class _Replaced(NamedTuple):
    """What is ours, what was there before, and whether that was inherited."""

    ours: Any
    original: Any
    inherited: bool


_installed: Final[dict[tuple[Any, str], _Replaced]] = {}
_made: Final[dict[tuple[Any, str, Any], _Replaced]] = {}
"""With what ``make`` returned, so that the same is set again in the next test."""


def replace_unless_mocked(owner: type, name: str, make: Callable[[Any], Any]) -> None:
    """Replace a method as ``replace`` does, unless a mock is in its place: then that answers, and nobody else.

    It is not covered for as long as it is there; what it passes on is seen by whoever watches the connections.
    """
    if (owner, name) in _installed or not is_mocked(owner, name):
        replace(owner, name, make)


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Set an attribute to what ``make`` returns for the original, until ``put_back``.

    Where others have put theirs on top of ours, ours stays below it, and isn't set a second time: with no session in
    force it does nothing but call the original. Where one of them has put back what was there before, ours is gone, and
    set again.
    """
    if (owner, name) in _installed and not _is_gone(owner, name):
        return
    found = getattr(owner, name, None)
    if found is None:  # a test has deleted it, so that nobody calls it
        return
    kept = _made.get((owner, name, make))
    if kept is None or not (found is kept.original or found is kept.ours):  # ours: a test had deleted it for a while
        # From the class itself: what it inherits is deleted again, not copied.
        kept = _made[owner, name, make] = _Replaced(make(found), found, name not in vars(owner))
    setattr(owner, name, kept.ours)
    _installed[owner, name] = kept


def put_back() -> None:
    """Put back all that was replaced, but what others have put theirs on top of: it stays below that."""
    for (owner, name), (ours, original, inherited) in [*_installed.items()]:
        if vars(owner).get(name) is not ours:
            if not _is_gone(owner, name):
                continue
        elif inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)
        del _installed[owner, name]


def _is_gone(owner: Any, name: str) -> bool:
    """Return whether ours was there, and now nothing is, or what the library itself has, with no wrapper around it."""
    function = getattr(owner, name, None)
    if function is _installed[owner, name].ours:
        return False
    if isinstance(function, BuiltinFunctionType):
        return bool(function.__module__ == owner.__name__)
    if not isinstance(function, FunctionType):
        return name not in vars(owner)  # of a built-in class below it
    return package_of(function) == package_of(owner)
