"""Which tests there are, those beside one that pytest is given by its node id among them.

Used in every project that has the package installed: it imports pytest alone.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TypeAlias

import pytest

from .plugin import NAME

Within: TypeAlias = dict[pytest.Collector, list[pytest.Item | pytest.Collector]]


def mark(item: pytest.Item) -> None:
    """Let Django's tag of that name be the marker too."""
    if item.get_closest_marker(NAME) is None and NAME in _tags(item):
        item.add_marker(getattr(pytest.mark, NAME))


def beside(found: Container[pytest.Item], within: Within) -> list[pytest.Item]:
    """Return the tests of the same modules that were not found; a class that was left out whole is looked into.

    Args:
        found: the tests that pytest was asked for.
        within: what each module and class that pytest has looked into consists of; those looked into here are added.
    """
    left_out = []
    collectors = [*within]
    for collector in collectors:
        for node in within[collector]:
            if isinstance(node, pytest.Class) and node not in within:
                node.ihook.pytest_make_collect_report(collector=node)
                collectors.append(node)
            elif isinstance(node, pytest.Item) and node not in found:
                mark(node)
                left_out.append(node)
    return left_out


def _tags(item: pytest.Item) -> set[str]:
    found: set[str] = set()
    for target in (getattr(item, "obj", None), getattr(item, "cls", None)):
        found |= set(getattr(target, "tags", None) or ()) if isinstance(getattr(target, "tags", None), set) else set()
    return found
