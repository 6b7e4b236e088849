"""Replace a function of somebody else's, and put it back."""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final

from .mocks import is_mocked, package_of

_installed: Final[dict[tuple[Any, str], tuple[Any, Any, bool]]] = {}
"""What is ours, what was there before, and whether that was inherited."""

_made: Final[dict[tuple[Any, str, Any], tuple[Any, Any]]] = {}
"""What ``make`` returned, with the original: the same one is set again in the next test."""


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
    if (owner, name) not in _installed or _is_gone(owner, name):
        # From the class itself: what it inherits is deleted again, not copied.
        original = getattr(owner, name)
        inherited = name not in vars(owner)
        kept = _made.get((owner, name, make))
        ours = kept[1] if kept and kept[0] is original else make(original)
        _made[owner, name, make] = (original, ours)
        setattr(owner, name, ours)
        _installed[owner, name] = (ours, original, inherited)


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
    """Return whether ours was there, and now what the library itself has is, with nobody's wrapper around it."""
    function = getattr(owner, name)
    if function is _installed[owner, name][0]:
        return False
    if isinstance(function, BuiltinFunctionType):
        return bool(function.__module__ == owner.__name__)
    if not isinstance(function, FunctionType):
        return name not in vars(owner)  # of a built-in class below it
    return package_of(function) == package_of(owner)
