"""Which tests there are, those beside one that pytest is given by its node id among them.

Used in every project that has the package installed: it imports pytest alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator
from inspect import getattr_static
from types import ModuleType
from typing import Any, Final, TypeAlias
from warnings import catch_warnings, simplefilter

import pytest

from .plugin import NAME

Within: TypeAlias = dict[pytest.Collector, list[pytest.Item | pytest.Collector]]

_FOLDER_OF_KEY: Final = re.compile(r"[0-9a-f]{12}")

_root = pytest.StashKey[str]()


def has_fixtures_alone(path: str, config: pytest.Config, conf: ModuleType | None) -> bool:
    """Return whether a path is the folder of an endpoint, which has nothing but recorded questions.

    pytest takes 0.3 ms to look into one of those. Above it there may be tests, where the fixtures are among them; and a
    project's own hook may make a test of each recording.

    Args:
        path: what pytest is about to look into.
        config: of the run.
        conf: the module of that name, ``None`` where nobody has imported it.
    """
    if conf is None or not conf.settings.configured:  # a conftest further down may be about to choose them
        return False
    root = config.stash.get(_root, None)
    if root is None:
        root = config.stash[_root] = _root_of_fixtures(conf)
    if not path.startswith(root) or path.count(os.sep, len(root)) != 1 or not os.path.isdir(path):  # noqa: PTH112
        return False  # asked of every file of the project: no Path is made
    if any(
        not each.function.__module__.startswith("_pytest.") for each in config.hook.pytest_collect_file.get_hookimpls()
    ):
        return False
    try:
        return all(map(_FOLDER_OF_KEY.fullmatch, os.listdir(path)))  # noqa: PTH208 - the same
    except OSError:  # pytest tells of it
        return False


def _root_of_fixtures(conf: ModuleType) -> str:
    try:
        return f"{conf.fixture_folder()}{os.sep}"
    except conf.UNREADABLE:  # whoever needs the settings tells of them
        return os.devnull + os.sep


def mark(item: pytest.Item) -> None:
    """Let Django's tag of that name be the marker too."""
    if item.get_closest_marker(NAME) is None and NAME in _tags(item):
        item.add_marker(getattr(pytest.mark, NAME))


def beside(found: Container[pytest.Item], within: Within) -> list[pytest.Item]:
    """Return the tests of the same modules that were not found.

    A class that was left out whole is looked into if it may have live_api tests. For all others nobody's hooks run, and
    nobody is told of what is odd in a class that was not asked for.

    Args:
        found: the tests that pytest was asked for.
        within: what each module and class that pytest has looked into consists of; those looked into here are added.
    """
    left_out = []
    collectors = [*within]
    for collector in collectors:
        for node in within[collector]:
            if isinstance(node, pytest.Class) and node not in within:
                if node.get_closest_marker(NAME) or _is_live(node.obj):
                    with catch_warnings():
                        simplefilter("ignore")
                        node.ihook.pytest_make_collect_report(collector=node)
                    collectors.append(node)
            elif isinstance(node, pytest.Item) and node not in found:
                mark(node)
                left_out.append(node)
    return left_out


def _is_live(kind: type, seen: set[int] | None = None) -> bool:
    """Return whether a class, one above it or something in it has the marker or the tag.

    A class in it need not be written there: pytest takes its tests all the same.

    Args:
        kind: the class.
        seen: which were looked into before, as one may name another that names it; a class may say what it is equal to.
    """
    seen = set() if seen is None else seen
    seen.add(id(kind))
    return any(
        NAME in _names_on(target) or (_is_class(target) and id(target) not in seen and _is_live(target, seen))
        for base in kind.__mro__
        for target in (base, *vars(base).values())
    )


def _is_class(target: Any) -> bool:
    return issubclass(type(target), type)


def _names_on(target: Any) -> Iterator[Any]:
    """Return the markers and tags of a class or a function; what else there is in a class may run if it is asked."""
    known = target.__func__ if type(target) in (staticmethod, classmethod) else target
    marks, tags = getattr_static(known, "pytestmark", ()), getattr_static(known, "tags", ())
    for mark in marks if type(marks) is list else [marks]:
        if isinstance(mark, pytest.Mark | pytest.MarkDecorator):
            yield mark.name
    yield from tags if type(tags) is set else ()


def _tags(item: pytest.Item) -> set[str]:
    found: set[str] = set()
    for target in (getattr(item, "obj", None), getattr(item, "cls", None)):
        found |= set(getattr(target, "tags", None) or ()) if isinstance(getattr(target, "tags", None), set) else set()
    return found
