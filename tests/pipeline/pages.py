"""Read the tables of a page of docs/."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
TELEMETRY = (DOCS / "telemetry.md").read_text(encoding="utf-8")


def rows(page: str, heading: str, table: int = 0) -> list[list[str]]:
    """Return the cells of a table below a heading, less its own headings."""
    section = page.partition(f"\n{heading}\n")[2]
    found = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[table]
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in found.splitlines()[2:]]


def names(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`(\w+)`", cell)
