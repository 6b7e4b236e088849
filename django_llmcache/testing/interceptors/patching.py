"""Replace a function of somebody else's, and put it back."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, Final

_installed: Final[dict[tuple[Any, str], Any]] = {}
_made: Final[dict[tuple[Any, str, Any], tuple[Any, Any]]] = {}
"""What ``make`` returned, with the original: the same one is set again in the next test."""


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[], None]:
    """Set an attribute to what ``make`` returns for the original; return what puts the original back.

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
        ours, original, inherited = _installed.get((owner, name), (None, None, False))
        if ours is None or vars(owner).get(name) is not ours:
            return
        del _installed[owner, name]
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)

    return put_back


MOCKS: Final = frozenset({"respx"})
"""Packages that put an answer of their own in the place of a connection."""


def is_mocked(owner: type, name: str) -> bool:
    """Return whether a mock is in the place of a class' method.

    Told by who wrote the function. A function of anybody else's is a wrapper, such as telemetry's, and goes on to the
    provider: what passes by it is recorded as ever.
    """
    home = next((kind for kind in owner.__mro__ if name in vars(kind)), None)
    if home is None:
        return False
    function = inspect.unwrap(vars(home)[name])
    if not isinstance(function, FunctionType):
        return True
    author: str = function.__globals__["__name__"]
    return author.partition(".")[0] in MOCKS


def _is_gone(owner: Any, name: str) -> bool:
    """Return whether ours was there, and now what the library itself has is, with nobody's wrapper around it."""
    function = getattr(owner, name)
    if function is _installed[owner, name][0]:
        return False
    if not isinstance(function, FunctionType):
        return name not in vars(owner)  # of a built-in class below it
    home = sys.modules.get(owner.__name__ if isinstance(owner, ModuleType) else owner.__module__)
    return function.__code__.co_filename == getattr(home, "__file__", None)
