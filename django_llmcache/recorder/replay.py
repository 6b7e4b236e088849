"""A recorded answer that is about to be given again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .exchange import Incoming


def _never() -> BaseException:
    return AssertionError("An answer that was not recorded is never cut short by its reader.")


class Replay:
    """What an interceptor gives to its client.

    Attributes:
        response: the answer; its chunks are decoded.
        failure: ``"timeout"`` or ``"refused"`` where the client's own error is to be raised instead, else ``None``.
        retried_at_once: whether a client that tries again after it is not to wait.
    """

    __slots__ = ("_pace", "_run_out", "_waits", "failure", "response", "retried_at_once")

    def __init__(
        self,
        response: Incoming,
        *,
        pace: float = 0.0,
        run_out: Callable[[], BaseException] = _never,
        failure: str | None = None,
        wait: float = 0.0,
        retried_at_once: bool = False,
    ) -> None:
        self.response = response
        self.failure = failure
        self.retried_at_once = retried_at_once
        self._pace = pace
        self._run_out = run_out
        self._waits = wait

    @property
    def at_once(self) -> bool:
        """Return whether no chunk has to be waited for."""
        return not self._pace and not self._waits

    def pieces(self) -> Iterator[tuple[float, bytes]]:
        """Yield each chunk with the seconds to wait before it: none, unless the test asked for some.

        Raises:
            FixtureMiss: the reader goes on where the recording test had stopped reading.
        """
        before = 0.0
        for index, chunk in enumerate(self.response.chunks):
            at = chunk.offset / 1000 * self._pace
            yield (at - before if at > before else 0.0) + (self._waits if index == 0 else 0.0), chunk.data
            before = max(at, before)
        if self.response.unread:
            raise self._run_out()
