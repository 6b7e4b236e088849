"""What one test asked for real: the answers that are kept when it has passed, and those that can't be."""

from __future__ import annotations

from collections.abc import Iterator

from .exchange import STATUSES
from .fixture import Fixture
from .leaks import masked
from .taping import Taping


class Tapes:
    """The tapes of one test, in the order of its calls.

    Args:
        record_errors: whether an answer that is an error is kept.
    """

    def __init__(self, *, record_errors: bool) -> None:
        self._record_errors = record_errors
        self._tapes: dict[tuple[int, str], list[Taping]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._tapes.values()))

    def add(self, tape: Taping, *, sample: int) -> None:
        """Take a call that is about to be made."""
        self._tapes.setdefault((sample, tape.key), []).append(tape)

    def finish(self) -> None:
        """End what nobody read to its end and nobody closed: what came of it is kept."""
        for tapes in self._tapes.values():
            for tape in tapes:
                tape.ended(complete=False)  # says nothing new where the end was reached

    def fixtures(self, *, take: str, test: str, version: str, ignore: tuple[str, ...]) -> Iterator[Fixture]:
        """Return what is kept.

        Raises:
            SecretError: something in it still looks like a credential.
        """
        for (sample, _), tapes in self._tapes.items():
            kept = self._kept(tapes)
            for sequence, tape in enumerate(kept):
                yield tape.fixture(
                    take=take,
                    sequence=sequence,
                    answers=len(kept),
                    test=test,
                    sample=sample,
                    version=version,
                    ignore=ignore,
                )

    def lost(self) -> Iterator[str]:
        """Return the requests of which nothing can be kept, each with why: every run asks for them anew."""
        for tapes in self._tapes.values():
            if not self._kept(tapes):
                asked = masked(tapes[-1].request)
                yield f"{asked.method} {asked.url}: {self._why(tapes[-1])}"

    def _kept(self, tapes: list[Taping]) -> list[Taping]:
        return [tape for tape in tapes if tape.finished and (self._record_errors or tape.successful)]

    @staticmethod
    def _why(tape: Taping) -> str:
        if tape.status is None:
            return "no answer came"
        if tape.status not in STATUSES:
            return f"its status was {tape.status}, and those that are kept are from {STATUSES[0]} to {STATUSES[-1]}"
        return f"the answer was an error ({tape.status}), which record_errors=True keeps"
