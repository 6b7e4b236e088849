"""An error for each who is to be told the same one."""

from __future__ import annotations

from copy import copy
from types import FunctionType
from typing import Final

_OF_PYTHON: Final = frozenset({"__dict__", "__weakref__"})


def fresh(error: BaseException) -> BaseException:
    """Return an error like this one, without its traceback: one object raised in many threads would gather them all.

    It has the text, the attributes, the notes and a cause like that of the other, which has no traceback either: a
    traceback shows the variables of whoever called. Where no second one can be made, it is the other.
    """
    try:
        other = _made_again(error) if isinstance(type(error).__init__, FunctionType) else copy(error)
    except Exception:  # whatever a class of somebody else's does when it is made
        return error
    if type(other) is not type(error) or other is error:
        return error
    other.__cause__ = None if error.__cause__ is None else fresh(error.__cause__)
    other.__suppress_context__ = error.__suppress_context__
    if hasattr(error, "__notes__"):
        other.__notes__ = list(error.__notes__)
    return other.with_traceback(None)


def _made_again(error: BaseException) -> BaseException:
    """Return a copy that the class' own ``__init__`` has no hand in: given ``args``, it would say something else.

    ``copy`` calls it with what it made of its arguments, not with them.
    """
    kind = type(error)
    other = kind.__new__(kind, *error.args)
    inits = (vars(base).get("__init__") for base in kind.__mro__)
    init = next(init for init in inits if init is not None and not isinstance(init, FunctionType))
    init(other, *error.args)  # the nearest that is written in C, such as OSError's
    vars(other).update(vars(error))
    for base in kind.__mro__:
        for name in _slots_of(base):
            if hasattr(error, name):
                setattr(other, name, getattr(error, name))
    return other


def _slots_of(kind: type) -> list[str]:
    """Return the names of what a class keeps outside of ``vars``, as an attribute is read from outside."""
    said = vars(kind).get("__slots__", ())
    names = (said,) if isinstance(said, str) else tuple(said)
    return [
        f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
        for name in names
        if name not in _OF_PYTHON
    ]
