"""What is counted, of one process and of a site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Count(NamedTuple):
    """What is counted.

    Attributes:
        provider, model: that were asked; ``""`` where it is of none, ``"other"`` beyond what is counted one by one.
        name: of the event: ``hit``, ``miss``, ``put``, ``stale``, ``error``, ``bypass.`` and ``not_stored.`` with a
            reason; ``tokens_saved`` counts tokens.
    """

    provider: str
    model: str
    name: str


Counts = Mapping[Count, int]


class Batch(NamedTuple):
    """What a process counted since its last batch, with an id: so it is added once, even when it is handed in again."""

    id: str
    counts: Counts


class SiteCounts(NamedTuple):
    """What a whole site counted.

    Attributes:
        counts: the sums.
        processes: how many counted anything lately.
    """

    counts: Counts
    processes: int
