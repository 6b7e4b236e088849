"""What one test asked for real: the answers that are kept when it has passed, and those that can't be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from .exchange import STATUSES, Outgoing
from .fixture import Fixture
from .leaks import masked
from .queues import Asked
from .redaction import Redactor
from .taping import Spoil, Taping


class Tapes:
    """The tapes of one test, in the order of its calls.

    Args:
        redactor: takes credentials out of the answers.
        record_errors: whether an answer that is an error is kept.
        during: held while a call is made.
        now: seconds since the epoch.
        late: told of the request of a stream that is read on after its test's end.
    """

    def __init__(
        self,
        redactor: Redactor,
        *,
        record_errors: bool,
        during: Callable[[str], AbstractContextManager[None]],
        now: Callable[[], float],
        late: Callable[[Outgoing], None],
    ) -> None:
        self._redactor = redactor
        self._record_errors = record_errors
        self._during = during
        self._now = now
        self._late = late
        self._tapes: dict[tuple[int, str], list[Taping]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._tapes.values()))

    def add(self, asked: Asked, *, sample: int, fault: Spoil | None = None) -> Taping:
        """Return the tape of a call that is about to be made.

        Args:
            asked: the request.
            sample: which of several runs of the same test makes it.
            fault: what the client gets in place of an answer that is kept; ``None`` for the answer itself.
        """
        tape = Taping(
            asked.request, key=asked.key, provider=asked.provider, endpoint=asked.endpoint, redactor=self._redactor,
            during=self._during, now=self._now, fault=fault, record_errors=self._record_errors,
        )  # fmt: skip
        self._tapes.setdefault((sample, tape.key), []).append(tape)
        return tape

    def counts(self, *, kept: int) -> Counter[str]:
        """Return what became of the calls, as a session counts them.

        Args:
            kept: how many answers were written; of a test that passes, all that are wanted.
        """
        wanted = sum(len(self._wanted(tapes)) for tapes in self._tapes.values())
        return Counter(recorded=kept, live=len(self) - kept, unkept=0 if kept else wanted)

    def finish(self) -> None:
        """End what nobody read to its end and nobody closed: what came of it is kept."""
        for tapes in self._tapes.values():
            for tape in tapes:
                tape.cut(self._late)

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
        return [tape for tape in self._wanted(tapes) if tape.finished]

    @staticmethod
    def _wanted(tapes: list[Taping]) -> list[Taping]:
        """Return the answers to one request that are ones to keep.

        One that was given up and tried again is gone, as an error is. Where the last one was, a replay would give one
        from before in its place: then there is none.
        """
        return [] if tapes[-1].given_up else [tape for tape in tapes if tape.wanted and not tape.given_up]

    @staticmethod
    def _why(tape: Taping) -> str:
        if tape.status is None:
            return "no answer came"
        if tape.given_up:
            return tape.given_up
        if tape.status not in STATUSES:
            return f"its status was {tape.status}, and those that are kept are from {STATUSES[0]} to {STATUSES[-1]}"
        return f"the answer was an error ({tape.status}), which record_errors=True keeps"
