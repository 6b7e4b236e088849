"""The fields of a fixture as they are read: each is what it should be, or the error names the file and the field."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

from django_llmcache.exceptions import LLMCacheError
from django_llmcache.spelling import near

from .exchange import Pairs

REQUIRED: Final[Any] = object()
"""The default of a field that must be there."""

_LIST: Final = {list}
_TEXT: Final = {str}
_WHOLE: Final = {int}


class FixtureError(LLMCacheError):
    """A fixture can't be read or written.

    Attributes:
        path: the file, or ``None`` for one that is not on disk.
        field: dotted path of the field at fault, ``""`` where it is the whole file.
    """

    def __init__(self, path: Path | str | None, field: str, why: str) -> None:
        super().__init__(": ".join(part for part in (str(path or "A fixture"), field, why) if part))
        self.path = None if path is None else Path(path)
        self.field = field
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        return FixtureError, (self.path, self.field, self.why)


class Fields:
    """One object of a fixture's JSON.

    Args:
        values: the parsed object.
        file: path of the file.
        where: dotted path of the object within the file.
    """

    __slots__ = ("file", "values", "where")

    def __init__(self, values: Any, *, file: str | None, where: str = "") -> None:
        self.file = file
        self.where = where
        if not isinstance(values, dict):
            raise FixtureError(file, where, f"it is {_told(values)}; it must be an object")
        self.values: Mapping[str, Any] = values

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def error(self, name: str, why: str) -> FixtureError:
        """Return the error that a field of this object is at fault for."""
        return FixtureError(self.file, self._named(name), why)

    def only(self, names: frozenset[str]) -> None:
        """Refuse any other field."""
        if not self.values.keys() <= names:
            name = next(name for name in self.values if name not in names)
            meant = near(name, names)
            raise self.error(name, "there is no such field" + (f"; did you mean {meant!r}?" if meant else ""))

    def value(self, name: str, default: Any = REQUIRED) -> Any:
        """Return any JSON value."""
        found = self.values.get(name, default)
        if found is REQUIRED:
            raise self.error(name, "it is missing")
        return found

    def text(self, name: str, default: str = REQUIRED) -> str:
        found = self.values.get(name, default)
        if not isinstance(found, str):
            raise self._not(name, found, "a text")
        return found

    def several_texts(self, *names: str) -> tuple[str, ...]:
        """Return several texts at once: in a fourth of the time, as each replayed call reads a file of them."""
        found: tuple[Any, ...] = tuple(map(self.values.get, names))
        return found if _types(found) == _TEXT else tuple(map(self.text, names))

    def whole(self, name: str, default: int = REQUIRED, *, least: int = 0, most: int | None = None) -> int:
        """Return a whole number between two, both included."""
        found = self.values.get(name, default)
        if type(found) is not int or found < least or (most is not None and found > most):
            span = f"from {least} to {most}" if most is not None else f"of at least {least}"
            raise self._not(name, found, f"a whole number {span}")
        return found

    def several_wholes(self, *names: str) -> tuple[int, ...]:
        """Return several whole numbers at once, none of them negative."""
        found: tuple[Any, ...] = tuple(map(self.values.get, names))
        return found if _types(found) == _WHOLE and min(found) >= 0 else tuple(map(self.whole, names))

    def number(self, name: str, default: float = REQUIRED) -> float:
        """Return a finite number that is not negative."""
        found = self.values.get(name, default)
        try:
            number = float(found) if type(found) in (int, float) else math.inf
        except OverflowError:  # a whole number of hundreds of digits
            number = math.inf
        if not 0 <= number < math.inf:
            raise self._not(name, found, "a number that is not negative")
        return number

    def flag(self, name: str) -> bool:
        """Return a boolean, False where it is missing."""
        found = self.values.get(name, False)
        if not isinstance(found, bool):
            raise self._not(name, found, "true or false")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, empty where it is missing."""
        found = self.values.get(name, [])
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self._not(name, found, "a list of texts")
        return tuple(found)

    def pairs(self, name: str) -> Pairs:
        """Return a list of pairs of texts."""
        found = self.values.get(name, REQUIRED)
        if not (isinstance(found, list) and _are_pairs(found)):
            raise self._not(name, found, 'a list of pairs such as ["content-type", "application/json"]')
        return tuple(map(tuple, found))

    def part(self, name: str) -> Fields:
        """Return an object within this one."""
        return Fields(self.value(name), file=self.file, where=self._named(name))

    def parts(self, name: str) -> list[Fields]:
        """Return a list of objects."""
        found = self.value(name)
        if not isinstance(found, list):
            raise self._not(name, found, "a list")
        where = self._named(name)
        return [Fields(item, file=self.file, where=f"{where}[{index}]") for index, item in enumerate(found)]

    def _named(self, name: str) -> str:
        return f"{self.where}.{name}" if self.where else name

    def _not(self, name: str, found: Any, wanted: str) -> FixtureError:
        if found is REQUIRED:
            return self.error(name, "it is missing")
        return self.error(name, f"it is {_told(found)}; it must be {wanted}")


def _types(values: Iterable[Any]) -> set[type]:
    return {*map(type, values)}


def _are_pairs(found: list[Any]) -> bool:
    return not found or (
        _types(found) == _LIST and {*map(len, found)} == {2} and _types(chain.from_iterable(found)) == _TEXT
    )


def _told(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", type(None): "null", bool: str(value).lower()}
    return kinds.get(type(value)) or reprlib.repr(value)
